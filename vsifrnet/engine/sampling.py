"""How pictures are sampled between their pixels in the network's last blend.

This module does not import torch, so that commands which only list models start at once.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["SAMPLINGS", "Sampling"]

type Sampling = Literal["bilinear", "bicubic"]
"""Name of a sampling, which is a property of weights: they are trained with it.

``bilinear`` is that of the official network. ``bicubic`` is Keys' cubic convolution with a = -0.75
over 4 x 4 pixels (R. Keys, "Cubic convolution interpolation for digital image processing", IEEE
ASSP 29, 1981), the kernel of :func:`torch.nn.functional.grid_sample`, of OpenCV's INTER_CUBIC and
of ONNX's GridSample. Training, the filter and exported graphs use the same operator. Both samplings
pass through the pixels, so a move by whole pixels changes no value.
"""

SAMPLINGS: tuple[Sampling, ...] = ("bilinear", "bicubic")
