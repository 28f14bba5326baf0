"""The metrics of the official IFRNet benchmarks, by their definitions.

Pictures are (3, H, W), RGB in [0, 1], float. Nothing is rounded to 8 bits unless the docstring
says so. The benchmarks, ``vsifrnet bench clips``, validation while training and the scripts all
measure by these functions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["HIGHEST_PSNR", "interpolation_error", "psnr", "ssim"]

HIGHEST_PSNR = 60.0
"""PSNR in dB that a picture counts for at most in means over sets with equal pictures.

8-bit pictures cannot tell what lies beyond it, and one equal pair would outweigh all others.
"""

RADIUS = 5
"""Radius of SSIM's Gaussian window."""
SIGMA = 1.5
"""Standard deviation of SSIM's Gaussian window."""
C1 = 0.01**2
"""Constant that keeps SSIM's luminance term finite."""
C2 = 0.03**2
"""Constant that keeps SSIM's structure term finite."""


def psnr(picture: Tensor, truth: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB, -10 log10(mean squared error).

    Equal pictures give inf.
    """
    error = float(F.mse_loss(picture.double(), truth.double()))
    return -10.0 * math.log10(error) if error else math.inf


def interpolation_error(picture: Tensor, truth: Tensor) -> float:
    """Return the mean absolute difference in 8-bit steps, after rounding both pictures to these."""
    steps = (255 * picture).round() - (255 * truth).round()
    return float(steps.abs().double().mean())


def ssim(picture: Tensor, truth: Tensor) -> float:
    """Return the structural similarity (Wang et al., 2004) of two pictures as volumes.

    The three channels are the third axis of a volume (3, H, W): an 11 x 11 x 11 Gaussian window
    of sigma 1.5 slides over all three axes, with the border replicated by 5 on each. This is what
    the official benchmarks publish; the common SSIM treats channels apart and is lower.
    """
    x, y = picture.float(), truth.float()
    mu_x, mu_y, xx, yy, xy = _window(torch.stack((x, y, x * x, y * y, x * y)))
    var_x, var_y, covariance = xx - mu_x * mu_x, yy - mu_y * mu_y, xy - mu_x * mu_y
    luminance = (2 * mu_x * mu_y + C1) / (mu_x * mu_x + mu_y * mu_y + C1)
    structure = (2 * covariance + C2) / (var_x + var_y + C2)
    return float((luminance * structure).double().mean())


def _window(volumes: Tensor) -> Tensor:
    """Return Gaussian means over 11 x 11 x 11 of volumes (B, 3, H, W), borders replicated."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=volumes.device, dtype=volumes.dtype)
    gauss = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    gauss /= gauss.sum()
    # There are three channels only, so the window along them is a 3 x 3 matrix.
    unit = F.pad(torch.eye(3).to(volumes), (RADIUS, RADIUS), mode="replicate")
    mix = F.conv1d(unit.unsqueeze(1), gauss.view(1, 1, -1)).squeeze(1).T
    mixed = torch.einsum("ij,bjhw->bihw", mix, volumes)
    kernel = torch.outer(gauss, gauss).expand(3, 1, -1, -1)
    return F.conv2d(F.pad(mixed, (RADIUS,) * 4, mode="replicate"), kernel, groups=3)
