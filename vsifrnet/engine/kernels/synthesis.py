"""The made picture in one kernel: the last flow, both warps, the blend, residual and mean."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vsifrnet.engine.kernels import launch
from vsifrnet.engine.kernels.launch import blocks, pixel_stride
from vsifrnet.engine.kernels.warping import corner, twice

__all__ = ["synthesize"]

LONG = 256


@triton.jit
def _cubic(distance, near: tl.constexpr):
    """The weight of Keys' cubic convolution, a = -0.75, as grid_sample's: up to 1, or 1 to 2."""
    x = distance
    if near:
        return (1.25 * x - 2.25) * x * x + 1.0
    return ((-0.75 * x + 3.75) * x - 6.0) * x + 3.0


@triton.jit
def _weight(share, tap: tl.constexpr):
    """The weight of tap 0 to 3, which lie at -1, 0, 1 and 2 from the pixel before the position."""
    if tap == 0:
        return _cubic(share + 1.0, False)
    if tap == 1:
        return _cubic(share, True)
    if tap == 2:
        return _cubic(1.0 - share, True)
    return _cubic(2.0 - share, False)


@triton.jit
def _before(position, length):
    """The pixel before a position and the share of the next one; the taps are clamped, not it."""
    # Farther out all taps are the border's pixel anyway; and a position that is no number is
    # clamped as an integer, because it must not lead out of the picture.
    position = tl.minimum(tl.maximum(position, -4.0), length + 3.0)
    first = tl.floor(position)
    return tl.minimum(tl.maximum(first.to(tl.int32), -4), length + 3), position - first


@triton.jit
def _synthesize(
    last, flow, pictures, mean, low, high, ranges, out, batch, height, width, last_stride, count,
    bicubic: tl.constexpr, long: tl.constexpr,
):  # fmt: skip
    """``height`` and ``width`` are the picture's, twice those of the flow."""
    index = tl.program_id(0) * long + tl.arange(0, long)
    inside = index < count
    area = height * width
    image, place = index // area, index % area
    x, y = place % width, place // width
    last += index * last_stride
    coarse = flow + image * area  # four planes of a quarter of the area
    half_height, half_width = height // 2, width // 2

    red = tl.zeros([long], dtype=tl.float32)
    green = tl.zeros([long], dtype=tl.float32)
    blue = tl.zeros([long], dtype=tl.float32)
    share = tl.sigmoid(tl.load(last + 4, mask=inside, other=0.0).to(tl.float32))
    for picture in tl.static_range(2):
        plane = coarse + 2 * picture * half_height * half_width
        dx = 2.0 * twice(plane, x, y, half_height, half_width, inside)
        dx += tl.load(last + 2 * picture, mask=inside, other=0.0).to(tl.float32)
        plane += half_height * half_width
        dy = 2.0 * twice(plane, x, y, half_height, half_width, inside)
        dy += tl.load(last + 2 * picture + 1, mask=inside, other=0.0).to(tl.float32)
        source = pictures + (picture * batch + image) * 3 * area
        if bicubic:
            left, u = _before(x + dx, width)
            top, v = _before(y + dy, height)
            for i in tl.static_range(4):
                row = tl.minimum(tl.maximum(top + (i - 1), 0), height - 1) * width
                part = share * _weight(v, i)
                for j in tl.static_range(4):
                    column = tl.minimum(tl.maximum(left + (j - 1), 0), width - 1)
                    weight = part * _weight(u, j)
                    at = source + row + column
                    red += weight * tl.load(at, mask=inside, other=0.0)
                    green += weight * tl.load(at + area, mask=inside, other=0.0)
                    blue += weight * tl.load(at + 2 * area, mask=inside, other=0.0)
        else:
            left, u = corner(x + dx, width)
            top, v = corner(y + dy, height)
            right, below = tl.minimum(width - 1, 1), tl.minimum(height - 1, 1) * width
            for i in tl.static_range(2):
                part = share * (v if i else 1 - v)
                for j in tl.static_range(2):
                    weight = part * (u if j else 1 - u)
                    at = source + top * width + left + i * below + j * right
                    red += weight * tl.load(at, mask=inside, other=0.0)
                    green += weight * tl.load(at + area, mask=inside, other=0.0)
                    blue += weight * tl.load(at + 2 * area, mask=inside, other=0.0)
        share = 1.0 - share
    average = tl.load(mean + image, mask=inside, other=0.0)
    red, green, blue = red + average, green + average, blue + average
    if bicubic:
        # It overshoots at hard edges: each channel stays within its range in both pictures.
        bound = ranges + image * 6
        red = tl.maximum(red, tl.load(bound, mask=inside, other=0.0))
        red = tl.minimum(red, tl.load(bound + 3, mask=inside, other=0.0))
        green = tl.maximum(green, tl.load(bound + 1, mask=inside, other=0.0))
        green = tl.minimum(green, tl.load(bound + 4, mask=inside, other=0.0))
        blue = tl.maximum(blue, tl.load(bound + 2, mask=inside, other=0.0))
        blue = tl.minimum(blue, tl.load(bound + 5, mask=inside, other=0.0))
    red += tl.load(last + 5, mask=inside, other=0.0).to(tl.float32)
    green += tl.load(last + 6, mask=inside, other=0.0).to(tl.float32)
    blue += tl.load(last + 7, mask=inside, other=0.0).to(tl.float32)
    least, most = tl.load(low), tl.load(high)
    target = out + image * 3 * area + place
    tl.store(target, tl.minimum(tl.maximum(red, least), most), mask=inside)
    tl.store(target + area, tl.minimum(tl.maximum(green, least), most), mask=inside)
    tl.store(target + 2 * area, tl.minimum(tl.maximum(blue, least), most), mask=inside)


def synthesize(
    last: Tensor,
    flow: Tensor,
    pictures: Tensor,
    mean: Tensor,
    limits: tuple[Tensor, Tensor],
    ranges: Tensor | None = None,
) -> Tensor:
    """Return the made picture (B, 3, H, W), float32, from the last decoder's output.

    Args:
        last: (B, 8, H, W): the change of both flows, the mask before its sigmoid, the residual.
        flow: (B, 4, H / 2, W / 2), float32.
        pictures: (2 B, 3, H, W), float32, without their mean.
        mean: (B, 1, 1, 1), float32.
        limits: the least and the largest value of the result.
        ranges: (B, 2, 3), float32: each channel's least and largest value in the pair. With it
            the pictures are sampled bicubically and the blend is kept within, otherwise
            bilinearly.

    Traffic: reads ``last``, the flow and the pictures, writes the result. Eager: the flow is
    written at full size and read again, a grid as well, ``last`` is copied to planes, both pictures
    are sampled to tensors of their own, and six operators each read and write a picture.
    """
    batch, _, height, width = last.shape
    out = torch.empty((batch, 3, height, width), dtype=torch.float32, device=last.device)
    launch.launch(
        _synthesize,
        (blocks(batch * height * width, LONG),),
        last,
        flow.contiguous(),
        pictures.contiguous(),
        mean,
        *limits,
        mean if ranges is None else ranges.contiguous(),
        out,
        batch,
        height,
        width,
        pixel_stride(last),
        batch * height * width,
        bicubic=ranges is not None,
        long=LONG,
    )
    return out
