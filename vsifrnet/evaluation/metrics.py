"""The metrics of the official IFRNet benchmarks, by their definitions.

Pictures are (3, H, W), RGB in [0, 1], float. Nothing is rounded to 8 bits unless said.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["interpolation_error", "psnr", "ssim"]

RADIUS = 5
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2


def psnr(picture: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB: -10 log10(mean squared error); inf for equal ones."""
    error = float(F.mse_loss(picture.double(), truth.double()))
    return -10.0 * math.log10(error) if error else math.inf


def interpolation_error(picture: Tensor, truth: Tensor) -> float:
    """Mean absolute difference in steps of 8 bits, both pictures rounded to these first."""
    steps = (255 * picture).round() - (255 * truth).round()
    return float(steps.abs().double().mean())


def ssim(picture: Tensor, truth: Tensor) -> float:
    """Structural similarity (Wang et al., 2004) of two pictures as volumes.

    The three channels are the third axis of a volume (3, H, W): an 11 x 11 x 11 Gaussian window
    of sigma 1.5 slides over all three axes, with the border replicated by 5 on each. This is what
    the official benchmarks publish; a common SSIM, which treats channels apart, is lower.
    """
    x, y = picture.float(), truth.float()
    mu_x, mu_y, xx, yy, xy = _window(torch.stack((x, y, x * x, y * y, x * y)))
    var_x, var_y, covariance = xx - mu_x * mu_x, yy - mu_y * mu_y, xy - mu_x * mu_y
    luminance = (2 * mu_x * mu_y + C1) / (mu_x * mu_x + mu_y * mu_y + C1)
    structure = (2 * covariance + C2) / (var_x + var_y + C2)
    return float((luminance * structure).double().mean())


def _window(volumes: Tensor) -> Tensor:
    """Gaussian means over 11 x 11 x 11 of volumes (B, 3, H, W), borders replicated."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=volumes.device, dtype=volumes.dtype)
    gauss = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    gauss /= gauss.sum()
    # Along the channels, replicated by 5 on either side, the window is a mix of the three.
    unit = F.pad(torch.eye(3).to(volumes), (RADIUS, RADIUS), mode="replicate")
    mix = F.conv1d(unit.unsqueeze(1), gauss.view(1, 1, -1)).squeeze(1).T
    mixed = torch.einsum("ij,bjhw->bihw", mix, volumes)
    kernel = torch.outer(gauss, gauss).expand(3, 1, -1, -1)
    return F.conv2d(F.pad(mixed, (RADIUS,) * 4, mode="replicate"), kernel, groups=3)
