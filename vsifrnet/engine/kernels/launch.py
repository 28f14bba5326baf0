"""Starts Triton kernels; a script that counts traffic replaces :func:`launch` by its own."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["blocks", "launch", "pixel_stride"]

MOST_ELEMENTS = 2**31 - 1
"""The kernels count elements in 32 bits."""


def launch(kernel: Any, grid: tuple[int, ...], *arguments: object, **constants: object) -> None:
    """Run ``kernel`` on the device and the current stream of its first tensor."""
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    largest = max(tensor.numel() for tensor in tensors)
    if largest > MOST_ELEMENTS:
        raise ValueError(f"a tensor of {largest} elements: kernels take up to {MOST_ELEMENTS}")
    with torch.cuda.device_of(tensors[0]):
        kernel[grid](*arguments, **constants)


def blocks(count: int, block: int) -> int:
    """Return the number of blocks that ``count`` elements take."""
    return -(-count // block)


def pixel_stride(x: Tensor) -> int:
    """Return the elements from one pixel of ``x`` (B, C, H, W) to the next one.

    Raises:
        ValueError: its channels do not lie together, or its pixels are not evenly spaced.
    """
    batch, channels, height, width = x.shape
    # The last axis of more than one entry says how far apart pixels are.
    steps = ((width, x.stride(3), 1), (height, x.stride(2), width), (batch, x.stride(0), height))
    stride, pixels = channels, 1
    for count, step, _ in steps:
        if count > 1:
            stride = step // pixels
            break
        pixels *= count
    expected = stride
    for count, step, _ in steps:
        if count > 1 and step != expected:
            raise ValueError(f"strides {x.stride()} of {tuple(x.shape)}: accepted is channels_last")
        expected *= count
    if channels > 1 and x.stride(1) != 1:
        raise ValueError(f"strides {x.stride()} of {tuple(x.shape)}: accepted is channels_last")
    assert math.prod((batch, height, width)) > 0
    return stride
