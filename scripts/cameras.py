"""Cameras that move over a picture, and compositing of layers, all at 640x360."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from scenery import FINE, Array

__all__ = ["HEIGHT", "WIDTH", "covering", "matrix", "middle", "over", "pan", "view", "window"]

WIDTH, HEIGHT = 640, 360


def matrix(centre: tuple[float, float], zoom: float = 1.0, degrees: float = 0.0) -> Array:
    """Return the map (2, 3) from the frame to a picture; ``centre`` is seen in the middle."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    return np.concatenate((turn, (np.array(centre) - turn @ middle)[:, None]), 1)


def view(picture: Array, to_picture: Array) -> Array:
    """Return what a camera sees of a picture, which is mirrored beyond its borders."""
    shift = to_picture[:, 2]
    plain = np.allclose(to_picture[:, :2], np.eye(2)) and np.allclose(shift, shift.round())
    if plain:  # A pan by whole pixels is exact.
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
    """Enlarge a picture that is smaller than ``width`` x ``height``."""
    factor = max(width / picture.shape[1], height / picture.shape[0])
    if factor <= 1:
        return picture
    large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 1)


def window(mask: Array, x: float, y: float) -> Array:
    """Return the frame at (x, y) of a fine mask, which is repeated without end."""
    rows = (np.arange(FINE * HEIGHT) - round(FINE * y)) % mask.shape[0]
    columns = (np.arange(FINE * WIDTH) - round(FINE * x)) % mask.shape[1]
    part: Array = cv2.resize(mask[rows][:, columns], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return part


def over(ground: Array, mask: Array, colour: Array) -> Array:
    """Paint ``colour`` over ``ground`` with the coverage ``mask``."""
    painted: Array = ground + mask[..., None] * (colour - ground)
    return painted


def middle(picture: Array) -> tuple[float, float]:
    """Return the middle of a picture, placed so that moves by whole pixels are exact."""
    return picture.shape[1] // 2 + 0.5, picture.shape[0] // 2 + 0.5


def pan(picture: Array, speed: tuple[float, float]) -> Callable[[float], Array]:
    """Return a camera that pans from left of the middle to its right.

    ``speed`` is in pixels per source frame.
    """
    x, y = middle(picture)
    return lambda tau: view(picture, matrix((x + speed[0] * (tau - 2), y + speed[1] * (tau - 2))))
