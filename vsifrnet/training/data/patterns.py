"""Textures of repeated patterns: bars, fences, grids, bricks, dots, checks and windows."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "pattern"]

KINDS = ("bars", "fence", "grid", "bricks", "dots", "checks", "windows")


def pattern(
    width: int, height: int, rng: np.random.Generator, kind: str | None = None
) -> NDArray[np.uint8]:
    """Return a random pattern, of ``kind`` or any of ``KINDS``, as coverage (height, width).

    Its horizontal period is 4 to 48 pixels, its vertical one half to twice of that.
    """
    kind = str(rng.choice(KINDS)) if kind is None else kind
    across = math.exp(rng.uniform(math.log(4), math.log(48)))
    down = across * math.exp(rng.uniform(-0.7, 0.7))
    share = rng.uniform(0.15, 0.7)
    fine = 2  # The pattern is drawn this much larger, so that edges can lie between pixels.
    x = np.arange(fine * width, dtype=np.float32)[None, :] / fine
    y = np.arange(fine * height, dtype=np.float32)[:, None] / fine
    a, b = x / across % 1, y / down % 1
    if kind == "bars":
        mask = (a < share) | (b < 0)
    elif kind == "fence":
        mask = (a < share) | (y % (5 * across) < across / 3)
    elif kind == "grid":
        mask = (a < share / 2) | (b < share / 2)
    elif kind == "bricks":
        shifted = (x / across + (y // down % 2) / 2) % 1
        mask = (shifted < 0.12) | (b < 0.14)
    elif kind == "dots":
        mask = (a - 0.5) ** 2 + (b - 0.5) ** 2 < (share / 2) ** 2
    elif kind == "checks":
        mask = (a < 0.5) ^ (b < 0.5)
    else:
        mask = (a < share) & (b < share)
    large = mask.astype(np.uint8) * 255
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
