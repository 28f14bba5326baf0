"""YUV samples to RGB and back with tensors, for frames that are already on a GPU.

The same arithmetic as ``core.resize`` (zimg) in single precision: chroma is resized by
``Bicubic``'s default filter, mirrored at the borders, and placed as ``_ChromaLocation`` says; then
comes the matrix. On the way back samples are rounded to the nearest and kept within the format.

A frame is one tensor of all its samples, plane after plane, so that it takes one copy to a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import vapoursynth as vs
from torch import Tensor

__all__ = ["LUMA", "Converter", "Layout"]

LUMA = {
    vs.MATRIX_BT709: (0.2126, 0.0722),
    vs.MATRIX_FCC: (0.30, 0.11),
    vs.MATRIX_BT470_BG: (0.299, 0.114),
    vs.MATRIX_ST170_M: (0.299, 0.114),
    vs.MATRIX_ST240_M: (0.212, 0.087),
    vs.MATRIX_BT2020_NCL: (0.2627, 0.0593),
}
"""Shares of red and blue in luma, by matrix (ITU-T H.273, table 4)."""

LEFT, TOP, BOTTOM = (0, 2, 4), (2, 3), (4, 5)
"""Values of ``_ChromaLocation`` that put chroma on the left, upper or lower luma sample."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a frame's samples lie and what they mean: integer YUV of 8 to 16 bits."""

    width: int
    height: int
    bits: int
    subsampling_w: int
    subsampling_h: int
    matrix: int
    full: bool
    """Full range rather than limited."""
    chromaloc: int

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples; 16 bits count as negative from 32768 on, which few operations know."""
        return torch.uint8 if self.bits == 8 else torch.int16

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each plane."""
        chroma = self.height >> self.subsampling_h, self.width >> self.subsampling_w
        return (self.height, self.width), chroma, chroma


class Converter:
    """Converts frames of one layout on one device."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self._layout = layout
        matrix = _rgb_from_yuv(layout.matrix)
        gain, offset = _levels(layout)
        to_rgb = matrix / gain
        self._to_rgb = _columns(to_rgb, -to_rgb @ offset, device)
        self._to_yuv = _columns(gain[:, None] * torch.linalg.inv(matrix), offset, device)
        self._up, self._down = [], []
        (height, width), (chroma_height, chroma_width), _ = layout.shapes
        place_w = -1.0 if layout.chromaloc in LEFT else 0.0
        place_h = -1.0 if layout.chromaloc in TOP else 1.0 if layout.chromaloc in BOTTOM else 0.0
        for axis, luma, chroma, place in (
            (-1, width, chroma_width, place_w),
            (-2, height, chroma_height, place_h),
        ):
            factor = luma // chroma
            if factor > 1:
                self._up.append(_Resampler(axis, chroma, factor, 1, place).to(device))
                self._down.append(_Resampler(axis, luma, 1, factor, place).to(device))

    def to_rgb(self, samples: Tensor) -> Tensor:
        """RGB (3, H, W), float32, mostly in [0, 1], of a frame's samples."""
        luma, *chroma = self._layout.shapes
        split = math.prod(luma)
        values = samples if samples.dtype == torch.uint8 else samples.int() & 0xFFFF
        y, uv = values[:split].view(luma).float(), values[split:].view(2, *chroma[0]).float()
        for resampler in self._up:
            uv = resampler(uv)
        return _mix((y, uv[0], uv[1]), self._to_rgb)

    def from_rgb(self, picture: Tensor) -> Tensor:
        """The samples of an RGB picture (3, H, W), rounded."""
        yuv = _mix(picture.float().unbind(), self._to_yuv)
        y, uv = yuv[0], yuv[1:]
        for resampler in self._down:
            uv = resampler(uv)
        values = torch.cat([y.flatten(), uv.flatten()])
        values = values.round_().clamp_(0, (1 << self._layout.bits) - 1)
        return values.int().to(self._layout.dtype)


class _Resampler:
    """Resizes chroma along one axis, up or down by a whole factor, as zimg does."""

    def __init__(self, axis: int, length: int, up: int, down: int, place: float) -> None:
        """One of ``up`` and ``down`` is 1, and ``length`` is that of the input.

        ``place`` is where chroma lies among its luma samples: -1 is on the first, 0 in the middle
        and 1 on the last.
        """
        self._axis = axis
        self._down = down
        # Where the ``up`` outputs of a group lie; input samples are at 0.5, 1.5, ..., and groups
        # repeat every ``down`` of these.
        moved = place * ((down - 1) / 2 if up == 1 else (1 / up - 1) / 2)
        centres = [(phase + 0.5) * down / up + moved for phase in range(up)]
        first = min(math.floor(centre - 2 * down + 0.5) for centre in centres)
        last = max(math.ceil(centre + 2 * down - 0.5) for centre in centres)
        rows = []
        for centre in centres:
            row = [_bicubic((k + 0.5 - centre) / down) for k in range(first, last)]
            rows.append([weight / sum(row) for weight in row])
        weights = torch.tensor(rows, dtype=torch.float64).T.float()
        self._weights = weights.reshape(-1, up, *(1,) * (-axis - 1))
        positions = torch.arange(first, length - down + last)
        # Mirrored at the borders, where the outermost samples come twice.
        positions = torch.where(positions < 0, -1 - positions, positions)
        positions = torch.where(positions >= length, 2 * length - 1 - positions, positions)
        self._positions = positions.clamp(0, length - 1)

    def to(self, device: torch.device) -> _Resampler:
        self._weights, self._positions = self._weights.to(device), self._positions.to(device)
        return self

    def __call__(self, x: Tensor) -> Tensor:
        x = x.index_select(self._axis, self._positions)
        windows = x.unfold(self._axis, len(self._weights), self._down)
        # A tap at a time: groups along the axis, the outputs of a group along a new one behind it.
        taps = [window.unsqueeze(self._axis) for window in windows.unbind(-1)]
        result: Tensor = taps[0] * self._weights[0]
        for tap, weight in zip(taps[1:], self._weights[1:], strict=True):
            result.addcmul_(tap, weight)
        return result.flatten(self._axis - 1, self._axis)


def _columns(matrix: Tensor, bias: Tensor, device: torch.device) -> Tensor:
    """The columns (3, 1, 1) of a matrix and the bias, one after the other."""
    return torch.cat([matrix.T, bias[None]]).float().reshape(4, 3, 1, 1).to(device)


def _mix(channels: Sequence[Tensor], columns: Tensor) -> Tensor:
    """(3, H, W) from three channels (H, W)."""
    *matrix, bias = columns.unbind()
    result: Tensor = torch.addcmul(bias, channels[0], matrix[0])
    result.addcmul_(channels[1], matrix[1]).addcmul_(channels[2], matrix[2])
    return result


def _bicubic(x: float) -> float:
    """Catmull and Rom's filter (b = 0, c = 0.5), the default of ``core.resize.Bicubic``."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def _rgb_from_yuv(matrix: int) -> Tensor:
    """(3, 3), float64, for luma in [0, 1] and chroma in [-0.5, 0.5]."""
    if matrix == vs.MATRIX_YCGCO:
        return torch.tensor([[1, -1, 1], [1, 1, 0], [1, -1, -1]], dtype=torch.float64)
    red, blue = LUMA[vs.MatrixCoefficients(matrix)]
    luma = torch.tensor([red, 1 - red - blue, blue], dtype=torch.float64)
    unit = torch.eye(3, dtype=torch.float64)
    u, v = (unit[2] - luma) / (2 - 2 * blue), (unit[0] - luma) / (2 - 2 * red)
    inverse: Tensor = torch.linalg.inv(torch.stack([luma, u, v]))
    return inverse


def _levels(layout: Layout) -> tuple[Tensor, Tensor]:
    """Gain and offset (3,) from luma in [0, 1] and chroma in [-0.5, 0.5] to samples."""
    middle, peak = 1 << (layout.bits - 1), (1 << layout.bits) - 1
    unit = 1 << (layout.bits - 8)
    chroma = 219 if layout.matrix == vs.MATRIX_YCGCO else 224
    gain = [peak] * 3 if layout.full else [219 * unit, chroma * unit, chroma * unit]
    offset = [0 if layout.full else 16 * unit, middle, middle]
    return torch.tensor(gain, dtype=torch.float64), torch.tensor(offset, dtype=torch.float64)
