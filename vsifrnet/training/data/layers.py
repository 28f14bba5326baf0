"""Rendering of layers that move and bend, at any time and with their exact flow.

A layer is a texture on its own plane, whose unit is a pixel of the picture and whose origin is the
texture's centre. At time t its map takes a point p of the plane to the screen::

    x = A_t W_t(p) + c_t

``W_t`` bends the plane by two shear waves, one across the other (hair, cloth, limbs). Each adds a
sum of sines of one coordinate to the other, so that the map and its inverse are both exact.
Matrices, offsets and wave amplitudes change linearly with t. If M_t is the map of the topmost layer
at screen point x and p = M_t^-1(x), the flow t -> 0 is M_0(p) - x and t -> 1 is M_1(p) - x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Bend", "Layer", "Motion", "grid", "render"]

Array = NDArray[np.float32]


def grid(height: int, width: int) -> tuple[Array, Array]:
    """Return pixel positions x (1, width) and y (height, 1), which broadcast to a picture."""
    x = np.arange(width, dtype=np.float32)[None, :]
    return x, np.arange(height, dtype=np.float32)[:, None]


@dataclass(frozen=True, kw_only=True)
class Bend:
    """The two shear waves of a plane, as sums of sines along two perpendicular axes."""

    angle: float
    """Angle of the axes, in radians."""
    frequency: tuple[Array, Array]
    """Frequencies of the sines along each axis, in radians per pixel."""
    phase: tuple[Array, Array]
    """Phases of the sines along each axis, in radians."""
    start: tuple[Array, Array]
    """Amplitudes at t = 0, in pixels."""
    end: tuple[Array, Array]
    """Amplitudes at t = 1, in pixels."""

    @cached_property
    def _turn(self) -> NDArray[np.float64]:
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.array([[c, s, 0.0], [-s, c, 0.0]])

    def _wave(self, axis: int, t: float, along: Array) -> Array:
        out = np.zeros_like(along)
        amplitudes = (1.0 - t) * self.start[axis] + t * self.end[axis]
        for amplitude, frequency, phase in zip(
            amplitudes, self.frequency[axis], self.phase[axis], strict=True
        ):
            out += np.float32(amplitude) * np.sin(np.float32(frequency) * along + np.float32(phase))
        return out

    def forward(self, t: float, x: Array, y: Array) -> tuple[Array, Array]:
        """Move points of the plane by the waves at ``t``."""
        u, v = _apply(self._turn, x, y)
        u = u + self._wave(0, t, v)
        v = v + self._wave(1, t, u)
        return _apply(invert(self._turn), u, v)

    def inverse(self, t: float, x: Array, y: Array) -> tuple[Array, Array]:
        """Undo :meth:`forward`."""
        u, v = _apply(self._turn, x, y)
        v = v - self._wave(1, t, u)
        u = u - self._wave(0, t, v)
        return _apply(invert(self._turn), u, v)


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The map of a layer from its plane to the screen, over time."""

    start: NDArray[np.float64]
    """Affine part (2, 3) at t = 0."""
    end: NDArray[np.float64]
    """Affine part (2, 3) at t = 1."""
    bend: Bend | None = None

    @property
    def held(self) -> bool:
        """Whether nothing moves."""
        return self.bend is None and np.array_equal(self.start, self.end)

    def matrix(self, t: float) -> NDArray[np.float64]:
        """Return the affine part (2, 3) at ``t``."""
        return (1.0 - t) * self.start + t * self.end

    def forward(self, t: float, x: Array, y: Array) -> tuple[Array, Array]:
        """Map points of the plane to the screen at ``t``."""
        if self.bend is not None:
            x, y = self.bend.forward(t, x, y)
        return _apply(self.matrix(t), x, y)

    def inverse(self, t: float, x: Array, y: Array) -> tuple[Array, Array]:
        """Map points of the screen at ``t`` to the plane."""
        x, y = _apply(invert(self.matrix(t)), x, y)
        return (x, y) if self.bend is None else self.bend.inverse(t, x, y)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A texture and how it moves."""

    texture: NDArray[np.uint8]
    """Texture (h, w, 4), RGB premultiplied by alpha and alpha; or (h, w, 3), opaque."""
    density: float
    """Texture pixels per pixel of the plane."""
    motion: Motion
    endless: bool = False
    """Whether it is mirrored beyond its borders, as backgrounds are, or transparent there."""
    light: tuple[float, float] = (1.0, 1.0)
    """Brightness at t = 0 and t = 1."""

    def __post_init__(self) -> None:
        if self.texture.shape[2] == 3 and not self.endless:
            raise ValueError("endless=False: must be True for a texture without alpha")

    @property
    def held(self) -> bool:
        """Whether the layer looks the same at any time."""
        return self.motion.held and self.light[0] == self.light[1]

    def draw(self, t: float, px: Array, py: Array) -> tuple[Array, Array]:
        """Return premultiplied colour (H, W, 3) and alpha (H, W) at points, in [0, 1]."""
        height, width, channels = self.texture.shape
        density = np.float32(self.density)
        sampled = cv2.remap(
            self.texture,
            px * density + np.float32((width - 1) / 2),
            py * density + np.float32((height - 1) / 2),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101 if self.endless else cv2.BORDER_CONSTANT,
        )
        light = np.float32((1.0 - t) * self.light[0] + t * self.light[1])
        if channels == 3:
            return sampled * (light / np.float32(255)), np.ones(px.shape, dtype=np.float32)
        # OpenCV does this because NumPy is slow on arrays with a short or strided last axis.
        colour = cv2.cvtColor(sampled, cv2.COLOR_RGBA2RGB) * (light / np.float32(255))
        return colour, cv2.extractChannel(sampled, 3) * np.float32(1 / 255)


def render(
    layers: Sequence[Layer], height: int, width: int, t: float, before: Sequence[float] = ()
) -> tuple[list[Array], Array]:
    """Return pictures (H, W, 3) at the times ``before``, 0, t and 1, and the flow (H, W, 4) at t.

    The first layer is the lowest. The flow, t -> 0 and t -> 1, is the flow of the topmost layer
    whose alpha is at least a half.
    """
    x, y = grid(height, width)
    times = (*before, 0.0, t, 1.0)
    pictures = [np.zeros((height, width, 3), dtype=np.float32) for _ in times]
    flow = np.zeros((4, height, width), dtype=np.float32)
    for layer in layers:
        held = layer.held
        for picture, time in zip(pictures, times, strict=True):
            if picture is pictures[0] or not held:
                px, py = layer.motion.inverse(time, x, y)
                colour, alpha = layer.draw(time, px, py)
                through = cv2.merge((1 - alpha,) * 3)
            picture *= through
            picture += colour
            if picture is pictures[-2]:
                seen = alpha >= 0.5
                for channel, end in ((0, 0.0), (2, 1.0)):
                    qx, qy = (x, y) if held else layer.motion.forward(end, px, py)
                    np.copyto(flow[channel], qx - x, where=seen)
                    np.copyto(flow[channel + 1], qy - y, where=seen)
    return pictures, np.moveaxis(flow, 0, -1)


def _apply(matrix: NDArray[np.float64], x: Array, y: Array) -> tuple[Array, Array]:
    m = matrix.astype(np.float32)
    return (m[0, 0] * x + m[0, 2]) + m[0, 1] * y, m[1, 0] * x + (m[1, 1] * y + m[1, 2])


def invert(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of an affine map (2, 3)."""
    return np.asarray(cv2.invertAffineTransform(matrix), dtype=np.float64)
