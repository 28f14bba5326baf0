"""Phase correlation: the displacements between two pictures, likeliest first.

The phases of the spectra alone are compared, so that a fade or a flash does not disturb it.

This module imports torch only, beside :mod:`~vsifrnet.engine.moves`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vsifrnet.engine.moves import mean

__all__ = ["displacements", "tiles"]

FLOOR = 1e-4
"""Added to the magnitude of the cross spectrum: frequencies of rounding errors do not count."""

APART = 3
"""Pixels from a peak within which the surface belongs to that peak."""


def displacements(img0: Tensor, img1: Tensor, count: int) -> Tensor:
    """Return the ``count`` likeliest displacements from picture 0 to picture 1.

    Args:
        img0, img1: (B, 1, H, W), float32; every picture of the batch has its own displacements.

    Returns:
        (B, count, 2), x before y, in pixels, to a fraction of one.
    """
    height, width = img0.shape[2:]
    window = torch.outer(
        torch.hann_window(height, dtype=img0.dtype, device=img0.device),
        torch.hann_window(width, dtype=img0.dtype, device=img0.device),
    )

    def spectrum(img: Tensor) -> Tensor:
        result: Tensor = torch.fft.rfft2((img - mean(img)) * window)
        return result

    cross = spectrum(img1) * spectrum(img0).conj()
    surface = torch.fft.irfft2(cross / (cross.abs() + FLOOR), s=(height, width))
    # The peak of a displacement between two pixels is spread over both.
    surface = F.avg_pool2d(F.pad(surface, (1, 1, 1, 1), mode="circular"), 3, 1)[:, 0]
    y = torch.arange(height, device=img0.device)
    x = torch.arange(width, device=img0.device)
    found = []
    for _ in range(count):
        index = surface.flatten(1).argmax(1, keepdim=True)
        top, left = index // width, index % width
        # Distances from the peak on the surface, whose opposite borders meet.
        far_y = (y - top + height // 2) % height - height // 2
        far_x = (x - left + width // 2) % width - width // 2
        near = (far_y.abs() < APART)[:, :, None] & (far_x.abs() < APART)[:, None, :]
        weight = (surface.clamp(min=0) * near).square()
        total = weight.sum((1, 2)).clamp(min=1e-20)
        dx = left[:, 0] + (weight.sum(1) * far_x).sum(1) / total
        dy = top[:, 0] + (weight.sum(2) * far_y).sum(1) / total
        dx = (dx + width / 2) % width - width / 2
        dy = (dy + height / 2) % height - height / 2
        found.append(torch.stack((dx, dy), 1))
        surface = surface.masked_fill(near, 0.0)
    return torch.stack(found, 1)


def tiles(picture: Tensor) -> Tensor:
    """Cut (1, 1, H, W) into nine tiles of half the size that overlap by half: (9, 1, H/2, W/2)."""
    height, width = picture.shape[2] // 2, picture.shape[3] // 2
    tops, lefts = (0, height // 2, height), (0, width // 2, width)
    return torch.cat([picture[:, :, y : y + height, x : x + width] for y in tops for x in lefts])
