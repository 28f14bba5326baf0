"""Layers of fine, self-similar structure: lettering and repeated patterns."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from vsifrnet.training.data import lettering, moves, textures
from vsifrnet.training.data.layers import Layer, Motion
from vsifrnet.training.data.lettering import Fonts
from vsifrnet.training.data.patterns import pattern

__all__ = ["background", "overlay"]

Distance = Callable[[], float]


def background(
    fonts: Fonts,
    size: int,
    rng: np.random.Generator,
    distance: Distance,
    camera: NDArray[np.float64],
) -> Layer:
    """Return a moving page or pattern that fills the picture."""
    density = math.exp(rng.uniform(0, math.log(1.25)))
    side = int(1.7 * size * density)
    texture = lettering.inked(_mask(side, side, fonts, rng), *lettering.colours(rng))
    place = moves.placed(size / 2, size / 2)
    if rng.random() < 0.25:
        place[:, :2] = moves.linear(rng.normal(0, 0.1), 1.0, 0.0)
    end = moves.seen_through(camera, _panned(place, distance(), 0.7, size, rng), place)
    motion = Motion(start=place, end=end)
    return Layer(texture=texture, density=density, motion=motion, endless=True)


def overlay(
    fonts: Fonts,
    size: int,
    rng: np.random.Generator,
    distance: Distance,
    camera: NDArray[np.float64],
) -> Layer:
    """Return a credits roll, a title or a pattern in front of the other layers."""
    width, height = (int(size * rng.uniform(low, 1.8)) for low in (0.6, 0.4))
    mask = _mask(width, height, fonts, rng)
    _, ink = lettering.colours(rng)
    colour, alpha = np.broadcast_to(ink, (height, width, 3)), mask
    if rng.random() < 0.3:  # Some lettering has a dark rim.
        colour = lettering.inked(mask, rng.integers(0, 40, 3).astype(np.uint8), ink)
        alpha = cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(np.uint8)
    still = moves.placed(size / 2, size / 2)
    place = moves.placed(*rng.uniform(0.3, 0.7, 2) * size)
    end = _panned(place, distance(), 0.8, size, rng)
    # Titles stay in place when the camera moves; a fence or a shop's sign moves with the scene.
    seen = moves.seen_through(camera, end, still) if rng.random() < 0.35 else end
    motion = Motion(start=place, end=seen)
    return Layer(texture=textures.premultiplied(colour, alpha), density=1.0, motion=motion)


def _mask(width: int, height: int, fonts: Fonts, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return lettering or a pattern, as coverage (height, width)."""
    if rng.random() < 0.6:
        return lettering.page(width, height, fonts, rng)
    return pattern(width, height, rng)


def _panned(
    place: NDArray[np.float64],
    distance: float,
    straight: float,
    size: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Move ``place`` by ``distance``, along an axis with probability ``straight``."""
    if rng.random() < straight:
        return moves.straight(place, distance, rng)
    return moves.moved(place, distance, size, rng)
