"""Conversion of YUV samples to RGB and back with tensors, for frames on a GPU.

The arithmetic is that of ``core.resize`` (zimg) in single precision: chroma is resized by
``Bicubic``'s default filter, mirrored at the borders, and placed as ``_ChromaLocation`` says; then
the matrix is applied. On the way back samples are rounded to the nearest and clamped.

A frame is one tensor of all its samples, plane after plane, so that one copy brings it to a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
import vapoursynth as vs
from torch import Tensor

__all__ = ["Converter", "Layout", "sample_dtype"]

LUMA: dict[int, tuple[float, float]] = {
    vs.MATRIX_BT709: (0.2126, 0.0722),
    vs.MATRIX_FCC: (0.30, 0.11),
    vs.MATRIX_BT470_BG: (0.299, 0.114),
    vs.MATRIX_ST170_M: (0.299, 0.114),
    vs.MATRIX_ST240_M: (0.212, 0.087),
    vs.MATRIX_BT2020_NCL: (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by matrix (ITU-T H.273, table 4)."""

LEFT, TOP, BOTTOM = (0, 2, 4), (2, 3), (4, 5)
"""The values of ``_ChromaLocation`` with chroma at the left, top or bottom luma sample."""


def sample_dtype(bits: int) -> torch.dtype:
    """Return the dtype of integer samples: uint8, or int16 for more than 8 bits.

    In int16, values of 32768 and above are negative; few operations of PyTorch take uint16.
    """
    return torch.uint8 if bits == 8 else torch.int16


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The order and the meaning of a frame's samples: integer YUV of 8 to 16 bits."""

    width: int
    height: int
    bits: int
    subsampling_w: int
    subsampling_h: int
    matrix: int
    full: bool
    """Whether the range is full; otherwise it is limited."""
    chromaloc: int

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The height and width of each plane."""
        chroma = self.height >> self.subsampling_h, self.width >> self.subsampling_w
        return (self.height, self.width), chroma, chroma


class Axis(NamedTuple):
    """The resizing of one axis: each output is a weighted sum of neighbouring inputs."""

    weights: Tensor
    """Weights (up, taps), float64; output k uses row k % up."""
    positions: Tensor
    """Indices of the inputs, mirrored at the borders; those of output k start at k // up * step."""
    step: int
    """Positions from one group of ``up`` outputs to the next."""


class Converter:
    """Converts frames of one layout on one device."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self._layout = layout
        gain, offset = _levels(layout)
        to_yuv = gain[:, None] * _yuv_from_rgb(layout.matrix)
        to_rgb = torch.linalg.inv(to_yuv)
        self._to_rgb = _columns(to_rgb, -to_rgb @ offset, device)
        self._to_yuv = _columns(to_yuv, offset, device)
        height, width = layout.shapes[1]
        sizes = (height, layout.height), (width, layout.width)
        places = _place(layout.chromaloc, TOP, BOTTOM), _place(layout.chromaloc, LEFT, ())
        sides = list(zip(sizes, places, strict=True))
        self._axes_up = [_axis(few, many // few, 1, place) for (few, many), place in sides]
        self._axes_down = [_axis(many, 1, many // few, place) for (few, many), place in sides]
        self._up = self._down = _same
        if layout.subsampling_w or layout.subsampling_h:
            self._up, self._down = (
                _Resizer(axes, device) for axes in (self._axes_up, self._axes_down)
            )

    def to_rgb(self, samples: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Convert a frame's samples to RGB (3, H, W), mostly in [0, 1]."""
        luma, chroma, _ = self._layout.shapes
        split = math.prod(luma)
        values = samples if samples.dtype == torch.uint8 else samples.int() & 0xFFFF
        y, uv = values[:split].view(luma).float(), values[split:].view(2, *chroma).float()
        return _mix((y, *self._up(uv)), self._to_rgb).to(dtype)

    def from_rgb(self, picture: Tensor) -> Tensor:
        """Convert an RGB picture (3, H, W) to a frame's samples, rounded."""
        yuv = _mix(picture.float().unbind(), self._to_yuv)
        values = torch.cat([yuv[0].flatten(), self._down(yuv[1:]).flatten()])
        values = values.round_().clamp_(0, (1 << self._layout.bits) - 1)
        return values.int().to(sample_dtype(self._layout.bits))


class _Resizer:
    """Resizes both chroma planes, each axis up or down by a whole factor, as zimg does."""

    def __init__(self, axes: Sequence[Axis], device: torch.device) -> None:
        """``axes`` are the axis of the rows and the axis of the columns."""
        rows, columns = (axis.weights for axis in axes)
        self._positions = [axis.positions.to(device) for axis in axes]
        # The kernel gives all outputs of a group, by row and column, for each of the two planes.
        kernel = torch.einsum("ar,bc->abrc", rows, columns).flatten(0, 1)[:, None]
        self._kernel = kernel.repeat(2, 1, 1, 1).float().to(device)
        self._up = len(rows), len(columns)
        self._down = axes[0].step, axes[1].step

    def __call__(self, planes: Tensor) -> Tensor:
        rows, columns = self._positions
        x = planes.index_select(-2, rows).index_select(-1, columns)
        # A convolution of each plane by itself is never rounded to TF32, unlike others on CUDA.
        groups = F.conv2d(x[None], self._kernel, stride=self._down, groups=2)
        height, width = groups.shape[2:]
        up_h, up_w = self._up
        groups = groups.view(2, up_h, up_w, height, width).permute(0, 3, 1, 4, 2)
        return groups.reshape(2, height * up_h, width * up_w)


def _same(planes: Tensor) -> Tensor:
    return planes


def _place(chromaloc: int, first: Sequence[int], last: Sequence[int]) -> float:
    """Return the position of chroma among its luma samples: -1 first, 0 middle, 1 last."""
    return -1.0 if chromaloc in first else 1.0 if chromaloc in last else 0.0


def _axis(length: int, up: int, down: int, place: float) -> Axis:
    """Return the resizing of an axis of ``length`` by ``up`` or ``down``, one of which is 1."""
    # The inputs lie at 0.5, 1.5, ...
    moved = place * ((down - 1) / 2 if up == 1 else (1 / up - 1) / 2)
    centres = [(phase + 0.5) * down / up + moved for phase in range(up)]
    first = min(math.floor(centre - 2 * down + 0.5) for centre in centres)
    last = max(math.ceil(centre + 2 * down - 0.5) for centre in centres)
    rows = []
    for centre in centres:
        row = [_bicubic((k + 0.5 - centre) / down) for k in range(first, last)]
        rows.append([weight / sum(row) for weight in row])
    while not any(row[0] for row in rows):
        rows, first = [row[1:] for row in rows], first + 1
    while not any(row[-1] for row in rows):
        rows, last = [row[:-1] for row in rows], last - 1
    positions = torch.arange(first, length - down + last)
    positions = torch.where(positions < 0, -1 - positions, positions)
    positions = torch.where(positions >= length, 2 * length - 1 - positions, positions)
    return Axis(torch.tensor(rows, dtype=torch.float64), positions.clamp(0, length - 1), down)


def _columns(matrix: Tensor, bias: Tensor, device: torch.device) -> Tensor:
    """Return the columns (3, 1, 1) of a matrix, followed by the bias."""
    return torch.cat([matrix.T, bias[None]]).float().reshape(4, 3, 1, 1).to(device)


def _mix(channels: Sequence[Tensor], columns: Tensor) -> Tensor:
    """Return the three channels (H, W) mixed by a matrix, plus the bias: (3, H, W)."""
    *matrix, bias = columns.unbind()
    result: Tensor = torch.addcmul(bias, channels[0], matrix[0])
    result.addcmul_(channels[1], matrix[1]).addcmul_(channels[2], matrix[2])
    return result


def _bicubic(x: float) -> float:
    """Return the Catmull-Rom filter (b = 0, c = 0.5) at ``x``, ``resize.Bicubic``'s default."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def _yuv_from_rgb(matrix: int) -> Tensor:
    """Return the matrix (3, 3) from RGB to YUV, luma in [0, 1] and chroma in [-0.5, 0.5]."""
    if matrix == vs.MATRIX_YCGCO:
        return torch.tensor([[1, 2, 1], [-1, 2, -1], [2, 0, -2]], dtype=torch.float64) / 4
    red, blue = LUMA[matrix]
    luma = torch.tensor([red, 1 - red - blue, blue], dtype=torch.float64)
    unit = torch.eye(3, dtype=torch.float64)
    u, v = (unit[2] - luma) / (2 - 2 * blue), (unit[0] - luma) / (2 - 2 * red)
    return torch.stack([luma, u, v])


def _levels(layout: Layout) -> tuple[Tensor, Tensor]:
    """Return gain and offset (3,) from luma in [0, 1] and chroma in [-0.5, 0.5] to samples."""
    middle, peak = 1 << (layout.bits - 1), (1 << layout.bits) - 1
    unit = 1 << (layout.bits - 8)
    chroma = 219 if layout.matrix == vs.MATRIX_YCGCO else 224
    gain = [peak] * 3 if layout.full else [219 * unit, chroma * unit, chroma * unit]
    offset = [0 if layout.full else 16 * unit, middle, middle]
    return torch.tensor(gain, dtype=torch.float64), torch.tensor(offset, dtype=torch.float64)
