"""Random moves of layers: affine maps, bends, and changes of brightness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vsifrnet.training.data.layers import Bend

__all__ = ["bend", "light", "linear", "moved", "placed", "seen_through", "straight"]


def placed(x: float, y: float) -> NDArray[np.float64]:
    """Return the place (2, 3) of a layer, unturned and with its centre at (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y]])


def linear(angle: float, zoom: float, shear: float) -> NDArray[np.float64]:
    """Return the matrix (2, 2) of a shear, a turn and a zoom."""
    c, s = math.cos(angle), math.sin(angle)
    turn, slant = np.array([[c, -s], [s, c]]), np.array([[1.0, shear], [0.0, 1.0]])
    return np.asarray(zoom * turn @ slant)


def moved(
    place: NDArray[np.float64], distance: float, size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Move ``place`` (2, 3) by about ``distance``: shift, and often turn, zoom and shear it."""
    out = place.copy()
    direction = rng.uniform(0, 2 * math.pi)
    # Points 0.4 picture sides from the centre of a turn move by the given distance.
    reach = 1 / (0.4 * size)
    amounts = rng.dirichlet((2.0, 0.7, 0.6, 0.3)) if rng.random() < 0.7 else np.eye(4)[0]
    shift, turn, zoom, shear = amounts * distance
    signs = rng.choice([-1.0, 1.0], size=3)
    angle, growth, slant = signs * (turn, zoom, shear) * reach
    out[:, :2] = linear(angle, math.exp(growth), slant) @ out[:, :2]
    out[:, 2] += shift * np.array([math.cos(direction), math.sin(direction)])
    return out


def straight(
    place: NDArray[np.float64], distance: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Shift ``place`` (2, 3) along an axis, as credits roll and pages are panned."""
    out = place.copy()
    axis, sign = int(rng.random() < 0.5), float(rng.choice([-1.0, 1.0]))
    out[axis, 2] += sign * distance
    return out


def seen_through(
    camera: NDArray[np.float64], place: NDArray[np.float64], origin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``place`` seen through ``camera``; ``origin`` has the picture's centre as offset."""
    out = np.empty((2, 3))
    out[:, :2] = camera[:, :2] @ place[:, :2]
    out[:, 2] = camera[:, :2] @ (place[:, 2] - origin[:, 2]) + camera[:, 2]
    return out


def bend(distance: float, size: int, rng: np.random.Generator) -> Bend:
    """Return a random bend that moves points by up to about ``distance``."""
    frequency, phase, start, end = [], [], [], []
    weights = rng.dirichlet((1.0, 1.0))
    for axis in range(2):
        count = int(rng.integers(1, 3))
        wavelength = size * np.exp(rng.uniform(math.log(0.25), math.log(2.0), count))
        frequencies = 2 * math.pi / wavelength
        change = distance * weights[axis] * rng.choice([-1.0, 1.0], count) / count
        # Steeper waves would make the layer look torn rather than bent.
        change = np.clip(change, -0.9 / frequencies, 0.9 / frequencies)
        rest = rng.normal(0, 0.15, count) / frequencies
        frequency.append(frequencies.astype(np.float32))
        phase.append(rng.uniform(0, 2 * math.pi, count).astype(np.float32))
        start.append((rest - change / 2).astype(np.float32))
        end.append((rest + change / 2).astype(np.float32))
    return Bend(
        angle=rng.uniform(0, math.pi),
        frequency=(frequency[0], frequency[1]),
        phase=(phase[0], phase[1]),
        start=(start[0], start[1]),
        end=(end[0], end[1]),
    )


def light(rng: np.random.Generator) -> tuple[float, float]:
    """Return random brightnesses at the start and the end."""
    start, change = rng.uniform(0.5, 1.0), rng.uniform(-0.4, 0.4)
    return start, float(np.clip(start + change, 0.1, 1.0))
