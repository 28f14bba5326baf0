"""The decoders' inputs and the flows between the decoders, in one kernel each.

Sampling positions stay float32 and in registers: no grid is written, no picture is converted to
float32 for ``grid_sample``, and what is sampled is written straight to where it is used.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vsifrnet.engine.kernels import launch
from vsifrnet.engine.kernels.launch import blocks, pixel_stride

__all__ = ["add_flow", "corner", "join_warped", "twice"]

PIXELS = 32
LONG = 256


@triton.jit
def corner(position, length):
    """The pixel left of a position within [0, length - 1] and the share of the next one."""
    position = tl.minimum(tl.maximum(position, 0.0), length - 1.0)
    # Clamped as an integer too: a position that is no number must not lead out of the picture.
    left = tl.minimum(tl.maximum(position.to(tl.int32), 0), tl.maximum(length - 2, 0))
    return left, position - left


@triton.jit
def _join_warped(
    ft, level, flow, out, batch, height, width, ft_stride, level_stride,
    made: tl.constexpr, channels: tl.constexpr, total: tl.constexpr,
    made_block: tl.constexpr, block: tl.constexpr, rest_block: tl.constexpr, pixels: tl.constexpr,
):  # fmt: skip
    area = height * width
    place = tl.program_id(0) * pixels + tl.arange(0, pixels)
    image = tl.program_id(1)
    inside = place < area
    x, y = place % width, place // width
    target = out + (image * area + place)[:, None] * total
    flow += image * 4 * area + place

    channel = tl.arange(0, made_block)[None, :]
    mask = inside[:, None] & (channel < made)
    value = tl.load(ft + (image * area + place)[:, None] * ft_stride + channel, mask=mask)
    tl.store(target + channel, value, mask=mask)

    channel = tl.arange(0, block)[None, :]
    mask = inside[:, None] & (channel < channels)
    right, below = tl.minimum(width - 1, 1), tl.minimum(height - 1, 1) * width
    for picture in tl.static_range(2):
        dx = tl.load(flow + (2 * picture) * area, mask=inside, other=0.0)
        dy = tl.load(flow + (2 * picture + 1) * area, mask=inside, other=0.0)
        left, u = corner(x + dx, width)
        top, v = corner(y + dy, height)
        first = ((picture * batch + image) * area + top * width + left)[:, None] * level_stride
        source = level + first + channel
        u, v = u[:, None], v[:, None]
        value = tl.load(source, mask=mask, other=0.0).to(tl.float32) * ((1 - u) * (1 - v))
        other = tl.load(source + right * level_stride, mask=mask, other=0.0).to(tl.float32)
        value += other * (u * (1 - v))
        other = tl.load(source + below * level_stride, mask=mask, other=0.0).to(tl.float32)
        value += other * ((1 - u) * v)
        source += (below + right) * level_stride
        value += tl.load(source, mask=mask, other=0.0).to(tl.float32) * (u * v)
        tl.store(target + made + picture * channels + channel, value, mask=mask)

    channel = tl.arange(0, rest_block)[None, :]
    mask = inside[:, None] & (channel < 4)
    value = tl.load(flow[:, None] + channel * area, mask=mask, other=0.0)
    start = made + 2 * channels
    tl.store(target + start + channel, value, mask=inside[:, None] & (channel < total - start))


def join_warped(ft: Tensor, level: Tensor, flow: Tensor, channels: int) -> Tensor:
    """See :meth:`vsifrnet.engine.operators.Operators.join_warped`.

    Traffic: reads ft, the features and the flow, writes the result. Eager: the features are
    converted to float32 (read, written, read again), sampled in float32 and converted back
    (written, read, written), and everything is then copied (read, written); the grid as well.
    """
    batch, made, height, width = ft.shape
    out = torch.empty(
        (batch, channels, height, width),
        dtype=ft.dtype,
        device=ft.device,
        memory_format=torch.channels_last,
    )
    each = level.shape[1]
    launch.launch(
        _join_warped,
        (blocks(height * width, PIXELS), batch),
        ft,
        level,
        flow.contiguous(),
        out,
        batch,
        height,
        width,
        pixel_stride(ft),
        pixel_stride(level),
        made=made,
        channels=each,
        total=channels,
        made_block=triton.next_power_of_2(made),
        block=triton.next_power_of_2(each),
        rest_block=triton.next_power_of_2(channels - made - 2 * each),
        pixels=PIXELS,
    )
    return out


@triton.jit
def twice(flow, x, y, height, width, mask):
    """A plane (height, width) at pixel x, y of twice its size, bilinear, areas aligned."""
    column = tl.maximum(x * 0.5 - 0.25, 0.0)
    row = tl.maximum(y * 0.5 - 0.25, 0.0)
    left, top = column.to(tl.int32), row.to(tl.int32)
    u, v = column - left, row - top
    right = tl.minimum(left + 1, width - 1)
    below = tl.minimum(top + 1, height - 1) * width
    top *= width
    upper = tl.load(flow + top + left, mask=mask, other=0.0) * (1 - u)
    upper += tl.load(flow + top + right, mask=mask, other=0.0) * u
    lower = tl.load(flow + below + left, mask=mask, other=0.0) * (1 - u)
    lower += tl.load(flow + below + right, mask=mask, other=0.0) * u
    return upper * (1 - v) + lower * v


@triton.jit
def _add_flow(change, flow, out, count, height, width, change_stride, long: tl.constexpr):
    """``height`` and ``width`` are those of the coarser flow."""
    index = tl.program_id(0) * long + tl.arange(0, long)
    inside = index < count
    area = 4 * height * width
    image, place = index // area, index % area
    x, y = place % (2 * width), place // (2 * width)
    for part in tl.static_range(4):
        coarse = flow + (4 * image + part) * (height * width)
        value = 2.0 * twice(coarse, x, y, height, width, inside)
        value += tl.load(change + index * change_stride + part, mask=inside, other=0.0).to(
            tl.float32
        )
        tl.store(out + (4 * image + part) * area + place, value, mask=inside)


def add_flow(change: Tensor, flow: Tensor) -> Tensor:
    """See :meth:`vsifrnet.engine.operators.Operators.add_flow`.

    Traffic: reads the change and the flow, writes the result. Eager: the change is copied to planes
    (read, written), the flow resized (written), and both are added (read, written).
    """
    batch, _, height, width = flow.shape
    out = flow.new_empty((batch, 4, 2 * height, 2 * width))
    launch.launch(
        _add_flow,
        (blocks(batch * 4 * height * width, LONG),),
        change,
        flow.contiguous(),
        out,
        batch * 4 * height * width,
        height,
        width,
        pixel_stride(change),
        long=LONG,
    )
    return out
