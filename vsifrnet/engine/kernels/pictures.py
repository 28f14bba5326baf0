"""Two pictures as the network wants them: mean, limits, clamping, padding and layout.

Sums are taken block by block and added up in one order, so that the same pair always has the same
mean, to the bit.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from vsifrnet.engine.kernels import launch
from vsifrnet.engine.kernels.launch import blocks

__all__ = ["Loaded", "load_pair"]

BLOCK = 4096
LONG = 256


class Loaded(NamedTuple):
    """A pair as the network takes it; P is the padded size."""

    pictures: Tensor
    """(2, 3, P, P), float32, the mean subtracted, as they are beyond [0, 1]."""
    seen: Tensor
    """(2, C, P, P), channels_last: in [0, 1], the mean subtracted, zeros beyond three channels."""
    mean: Tensor
    """(1, 1, 1, 1), float32, of both pictures in [0, 1], without the padding."""
    limits: tuple[Tensor, Tensor]
    """Least and largest value of both and of [0, 1], of no dimension, float32."""
    ranges: Tensor
    """(2, 3), float32: the least and the largest value of each channel in both."""


@triton.jit
def _survey(img0, img1, partial, count, area, block: tl.constexpr):
    """Find the sum in [0, 1], the least and the largest value of one block of one plane."""
    number, plane = tl.program_id(0), tl.program_id(1)
    index = number * block + tl.arange(0, block)
    inside = index < area
    if plane < 3:
        value = tl.load(img0 + plane * area + index, mask=inside, other=0.0).to(tl.float32)
    else:
        value = tl.load(img1 + (plane - 3) * area + index, mask=inside, other=0.0).to(tl.float32)
    target = partial + plane * count + number
    tl.store(target, tl.sum(tl.minimum(tl.maximum(value, 0.0), 1.0)))
    tl.store(target + 6 * count, tl.min(tl.where(inside, value, float("inf"))))
    tl.store(target + 12 * count, tl.max(tl.where(inside, value, float("-inf"))))


@triton.jit
def _conclude(partial, result, count, size, block: tl.constexpr):
    """Reduce what :func:`_survey` found to the mean, the limits and the range of each channel."""
    index = tl.arange(0, block)
    total = tl.zeros([block], dtype=tl.float32)
    least, most = 0.0, 1.0
    for channel in tl.static_range(3):
        low = tl.full([block], float("inf"), dtype=tl.float32)
        high = tl.full([block], float("-inf"), dtype=tl.float32)
        for picture in tl.static_range(2):
            row = partial + (3 * picture + channel) * count
            for start in range(0, count, block):
                inside = start + index < count
                place = row + start + index
                total += tl.load(place, mask=inside, other=0.0)
                value = tl.load(place + 6 * count, mask=inside, other=float("inf"))
                low = tl.minimum(low, value)
                value = tl.load(place + 12 * count, mask=inside, other=float("-inf"))
                high = tl.maximum(high, value)
        lowest, highest = tl.min(low), tl.max(high)
        tl.store(result + 3 + channel, lowest)
        tl.store(result + 6 + channel, highest)
        least, most = tl.minimum(least, lowest), tl.maximum(most, highest)
    tl.store(result, tl.sum(total) / size)
    tl.store(result + 1, least)
    tl.store(result + 2, most)


@triton.jit
def _arrange(
    img0, img1, result, pictures, seen, height, width, padded_height, padded_width,
    channels: tl.constexpr, channel_block: tl.constexpr, long: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * long + tl.arange(0, long)
    which = tl.program_id(1)
    area, padded_area = height * width, padded_height * padded_width
    inside = place < padded_area
    # The border is replicated: it neither shifts the mean nor puts an edge into the picture.
    x = tl.minimum(place % padded_width, width - 1)
    y = tl.minimum(place // padded_width, height - 1)
    mean = tl.load(result)
    channel = tl.arange(0, channel_block)[None, :]
    mask = inside[:, None] & (channel < 3)
    source = (y * width + x)[:, None] + channel * area
    if which == 0:
        value = tl.load(img0 + source, mask=mask, other=0.0).to(tl.float32)
    else:
        value = tl.load(img1 + source, mask=mask, other=0.0).to(tl.float32)
    target = pictures + (which * 3 + channel) * padded_area + place[:, None]
    tl.store(target, value - mean, mask=mask)
    value = tl.minimum(tl.maximum(value, 0.0), 1.0) - mean
    target = seen + (which * padded_area + place)[:, None] * channels + channel
    tl.store(target, tl.where(channel < 3, value, 0.0), mask=inside[:, None] & (channel < channels))


def load_pair(
    img0: Tensor, img1: Tensor, *, multiple: int, channels: int, dtype: torch.dtype
) -> Loaded:
    """Return both pictures (3, H, W) for a network of ``dtype`` that takes ``channels``.

    Args:
        img0, img1: RGB, finite, of one floating-point type, on the network's device.
        multiple: the padded sides are multiples of it.
        channels: number of channels that the network takes, at least 3.
        dtype: precision of what the network sees.

    Traffic: reads the pictures twice, writes both results. Eager: the limits, the clamping, the
    mean, the padding, the subtraction and the conversion each read, and most of them write, both.
    """
    img0, img1 = img0.contiguous(), img1.contiguous()
    _, height, width = img0.shape
    padded = (height + -height % multiple, width + -width % multiple)
    count = blocks(height * width, BLOCK)
    partial = torch.empty(18 * count, dtype=torch.float32, device=img0.device)
    result = partial.new_empty(9)
    pictures = partial.new_empty((2, 3, *padded))
    seen = torch.empty(
        (2, channels, *padded),
        dtype=dtype,
        device=img0.device,
        memory_format=torch.channels_last,
    )
    launch.launch(_survey, (count, 6), img0, img1, partial, count, height * width, block=BLOCK)
    launch.launch(_conclude, (1,), partial, result, count, 2.0 * img0.numel(), block=BLOCK)
    launch.launch(
        _arrange,
        (blocks(padded[0] * padded[1], LONG), 2),
        img0,
        img1,
        result,
        pictures,
        seen,
        height,
        width,
        *padded,
        channels=channels,
        channel_block=triton.next_power_of_2(channels),
        long=LONG,
    )
    mean, limits = result[:1].view(1, 1, 1, 1), (result[1], result[2])
    return Loaded(pictures, seen, mean, limits, result[3:].view(2, 3))
