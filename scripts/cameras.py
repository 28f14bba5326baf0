"""What a camera sees of a picture, and layers painted over each other; all at 640x360."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from scenery import FINE, Array

__all__ = ["HEIGHT", "WIDTH", "covering", "matrix", "middle", "over", "pan", "view", "window"]

WIDTH, HEIGHT = 640, 360


def matrix(centre: tuple[float, float], zoom: float = 1.0, degrees: float = 0.0) -> Array:
    """2x3: from a position in the frame to one in the picture, ``centre`` in the middle."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    return np.concatenate((turn, (np.array(centre) - turn @ middle)[:, None]), 1)


def view(picture: Array, to_picture: Array) -> Array:
    """What a camera sees of a picture; beyond its borders it is mirrored."""
    shift = to_picture[:, 2]
    plain = np.allclose(to_picture[:, :2], np.eye(2)) and np.allclose(shift, shift.round())
    if plain:  # exact, as a digital pan by whole pixels is
        flags, scale = cv2.INTER_NEAREST, 1
    else:
        flags, scale = cv2.INTER_CUBIC, 2
    fine = np.array(to_picture)
    fine[:, :2] /= scale
    fine[:, 2] += to_picture[:, :2] @ np.full(2, 0.5 / scale - 0.5)
    seen = cv2.warpAffine(
        picture,
        fine,
        (WIDTH * scale, HEIGHT * scale),
        flags=flags | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if scale > 1:
        seen = cv2.resize(seen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.clip(seen, 0, 1)


def covering(picture: Array, width: int = 1000, height: int = 560) -> Array:
    """The picture, enlarged if it is smaller than that."""
    factor = max(width / picture.shape[1], height / picture.shape[0])
    if factor <= 1:
        return picture
    large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 1)


def window(mask: Array, x: float, y: float) -> Array:
    """The frame's part of a fine mask whose corner is at (x, y); endless by repetition."""
    rows = (np.arange(FINE * HEIGHT) - round(FINE * y)) % mask.shape[0]
    columns = (np.arange(FINE * WIDTH) - round(FINE * x)) % mask.shape[1]
    part: Array = cv2.resize(mask[rows][:, columns], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return part


def over(ground: Array, mask: Array, colour: Array) -> Array:
    """``colour`` painted over ``ground`` where the mask is."""
    painted: Array = ground + mask[..., None] * (colour - ground)
    return painted


def middle(picture: Array) -> tuple[float, float]:
    """Of a picture; whole, so that whole moves stay on its pixels."""
    return picture.shape[1] // 2 + 0.5, picture.shape[0] // 2 + 0.5


def pan(picture: Array, speed: tuple[float, float]) -> Callable[[float], Array]:
    """``speed`` in pixels a source frame; from left of the middle to right of it."""
    x, y = middle(picture)
    return lambda tau: view(picture, matrix((x + speed[0] * (tau - 2), y + speed[1] * (tau - 2))))
