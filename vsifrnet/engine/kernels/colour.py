"""YUV samples to RGB and back, each in one kernel.

The arithmetic is that of :mod:`vsifrnet.graph.yuv`, which lays out the :class:`Tables`: chroma is
resized by taps on rows and columns, and a matrix mixes the channels.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from vsifrnet.engine.kernels import launch
from vsifrnet.engine.kernels.launch import blocks

__all__ = ["Axis", "Tables", "rgb_to_yuv", "yuv_to_rgb"]

LONG = 256
ROUND = tl.constexpr(12582912.0)  # 1.5 * 2**23: added and subtracted, it rounds half to even


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The resizing of one axis: output k is the sum of its taps by ``weights[k % groups]``."""

    weights: Tensor
    """(groups, taps), float32."""
    positions: Tensor
    """int32: the input of tap j of output k is ``positions[k // groups * step + j]``."""
    step: int


@dataclass(frozen=True, kw_only=True)
class Tables:
    """A conversion in one direction, for frames of one size; all tensors on the device."""

    luma: tuple[int, int]
    """Height and width."""
    chroma: tuple[int, int]
    matrix: Tensor
    """(4, 3), float32: the matrix's columns, then the bias."""
    rows: Axis
    columns: Axis
    bits: int

    @property
    def arguments(self) -> tuple[Tensor | int, ...]:
        """What both kernels take of the tables, in the order of their parameters."""
        filters = self.rows.weights, self.rows.positions, self.columns.weights
        return self.matrix, *filters, self.columns.positions, *self.luma, *self.chroma


@triton.jit
def _samples(source, mask, wide: tl.constexpr):
    value = tl.load(source, mask=mask, other=0)
    # uint16 is held as int16.
    return (value.to(tl.int32) & 0xFFFF).to(tl.float32) if wide else value.to(tl.float32)


@triton.jit
def _mixed(matrix, row: tl.constexpr, a, b, c):
    value = tl.load(matrix + 9 + row) + a * tl.load(matrix + row)
    return value + b * tl.load(matrix + 3 + row) + c * tl.load(matrix + 6 + row)


@triton.jit
def _yuv_to_rgb(
    samples, out, matrix, row_weights, row_positions, column_weights, column_positions,
    height, width, chroma_height, chroma_width,
    row_groups: tl.constexpr, row_taps: tl.constexpr,
    column_groups: tl.constexpr, column_taps: tl.constexpr,
    wide: tl.constexpr, long: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * long + tl.arange(0, long)
    area = height * width
    inside = place < area
    x, y = place % width, place // width
    u = tl.zeros([long], dtype=tl.float32)
    v = tl.zeros([long], dtype=tl.float32)
    chroma_area = chroma_height * chroma_width
    for j in tl.static_range(row_taps):
        line = tl.load(row_positions + y // row_groups + j, mask=inside, other=0) * chroma_width
        row_weight = tl.load(row_weights + (y % row_groups) * row_taps + j)
        for k in tl.static_range(column_taps):
            weight = row_weight * tl.load(column_weights + (x % column_groups) * column_taps + k)
            column = tl.load(column_positions + x // column_groups + k, mask=inside, other=0)
            source = samples + area + line + column
            u += weight * _samples(source, inside, wide)
            v += weight * _samples(source + chroma_area, inside, wide)
    luma = _samples(samples + place, inside, wide)
    for row in tl.static_range(3):
        tl.store(out + row * area + place, _mixed(matrix, row, luma, u, v), mask=inside)


def yuv_to_rgb(samples: Tensor, tables: Tables, dtype: torch.dtype) -> Tensor:
    """Return RGB (3, H, W) in ``dtype`` of a frame's samples, plane after plane.

    Traffic: reads the samples, writes the picture. Eager: 15 operators, most of float32 pictures.
    """
    height, width = tables.luma
    out = torch.empty((3, height, width), dtype=dtype, device=samples.device)
    rows, columns = tables.rows, tables.columns
    launch.launch(
        _yuv_to_rgb,
        (blocks(height * width, LONG),),
        samples,
        out,
        *tables.arguments,
        row_groups=rows.weights.shape[0],
        row_taps=rows.weights.shape[1],
        column_groups=columns.weights.shape[0],
        column_taps=columns.weights.shape[1],
        wide=samples.dtype != torch.uint8,
        long=LONG,
    )
    return out


@triton.jit
def _write(target, value, most, mask):
    value = (value + ROUND) - ROUND
    value = tl.minimum(tl.maximum(value, 0.0), most)
    tl.store(target, value.to(tl.int32).to(target.dtype.element_ty), mask=mask)


@triton.jit
def _rgb_to_yuv(
    picture, out, matrix, row_weights, row_positions, column_weights, column_positions,
    height, width, chroma_height, chroma_width, plane_stride, line_stride, luma_blocks, most,
    row_step: tl.constexpr, row_taps: tl.constexpr,
    column_step: tl.constexpr, column_taps: tl.constexpr,
    long: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0)
    area = height * width
    if number < luma_blocks:
        place = number * long + tl.arange(0, long)
        inside = place < area
        source = picture + (place // width) * line_stride + place % width
        red = tl.load(source, mask=inside, other=0.0).to(tl.float32)
        green = tl.load(source + plane_stride, mask=inside, other=0.0).to(tl.float32)
        blue = tl.load(source + 2 * plane_stride, mask=inside, other=0.0).to(tl.float32)
        _write(out + place, _mixed(matrix, 0, red, green, blue), most, inside)
    else:
        place = (number - luma_blocks) * long + tl.arange(0, long)
        chroma_area = chroma_height * chroma_width
        inside = place < chroma_area
        x, y = place % chroma_width, place // chroma_width
        red = tl.zeros([long], dtype=tl.float32)
        green = tl.zeros([long], dtype=tl.float32)
        blue = tl.zeros([long], dtype=tl.float32)
        # The matrix comes after the resizing: both are linear, and their weights add up to 1.
        for j in tl.static_range(row_taps):
            line = tl.load(row_positions + y * row_step + j, mask=inside, other=0) * line_stride
            row_weight = tl.load(row_weights + j)
            for k in tl.static_range(column_taps):
                weight = row_weight * tl.load(column_weights + k)
                column = tl.load(column_positions + x * column_step + k, mask=inside, other=0)
                source = picture + line + column
                red += weight * tl.load(source, mask=inside, other=0.0).to(tl.float32)
                source += plane_stride
                green += weight * tl.load(source, mask=inside, other=0.0).to(tl.float32)
                source += plane_stride
                blue += weight * tl.load(source, mask=inside, other=0.0).to(tl.float32)
        target = out + area + place
        _write(target, _mixed(matrix, 1, red, green, blue), most, inside)
        _write(target + chroma_area, _mixed(matrix, 2, red, green, blue), most, inside)


def rgb_to_yuv(picture: Tensor, tables: Tables) -> Tensor:
    """Return the rounded samples of a picture (3, H, W), whose rows may be parts of longer ones.

    Traffic: reads the picture, writes the samples. Eager: 12 operators, most of float32 pictures.
    """
    height, width = tables.luma
    chroma = tables.chroma[0] * tables.chroma[1]
    dtype = torch.uint8 if tables.bits == 8 else torch.int16
    if picture.stride(2) != 1:
        picture = picture.contiguous()
    out = torch.empty(height * width + 2 * chroma, dtype=dtype, device=picture.device)
    rows, columns = tables.rows, tables.columns
    luma_blocks = blocks(height * width, LONG)
    launch.launch(
        _rgb_to_yuv,
        (luma_blocks + blocks(chroma, LONG),),
        picture,
        out,
        *tables.arguments,
        picture.stride(0),
        picture.stride(1),
        luma_blocks,
        float((1 << tables.bits) - 1),
        row_step=rows.step,
        row_taps=rows.weights.shape[1],
        column_step=columns.step,
        column_taps=columns.weights.shape[1],
        long=LONG,
    )
    return out
