"""Random textures of layers: cut-outs, shapes, lines, subtitles and parts of pictures."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.sample import Pixels

__all__ = [
    "fitted",
    "gradient",
    "premultiplied",
    "shape",
    "sprite",
    "strokes",
    "subtitle",
    "window",
]


def fitted(texture: NDArray[np.uint8], density: float) -> tuple[NDArray[np.uint8], float]:
    """Reduce a texture to at most 1.3 pixels per screen pixel; return it and its new density."""
    if density <= 1.3:
        return texture, density
    factor = 1.3 / density
    height, width = texture.shape[:2]
    new = (max(2, round(width * factor)), max(2, round(height * factor)))
    return cv2.resize(texture, new, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False), 1.3


def window(assets: Assets, size: int, rng: np.random.Generator) -> tuple[Pixels, float]:
    """Return a random part of a background, about ``1.6 * size`` on screen, and its density."""
    picture = assets.background(int(rng.integers(1 << 30)))
    height, width = picture.shape[:2]
    density = math.exp(rng.uniform(math.log(0.8), math.log(2.6)))
    side = round(1.6 * size * density)
    top = int(rng.integers(0, max(1, height - side + 1)))
    left = int(rng.integers(0, max(1, width - side + 1)))
    return picture[top : top + side, left : left + side], density


def gradient(size: int, rng: np.random.Generator) -> Pixels:
    """Return a gradient between two random colours, as painted skies and walls have."""
    ends = rng.integers(0, 256, (2, 3))
    ramp = np.linspace(0, 1, 2 * size)[:, None, None] * np.ones((1, 2 * size, 1))
    picture = (1 - ramp) * ends[0] + ramp * (ends[1] if rng.random() < 0.6 else ends[0])
    return np.asarray(picture, dtype=np.uint8)


def sprite(assets: Assets, size: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], float]:
    """Return a random cut-out, mirrored in half of the cases, and its density."""
    texture = assets.sprite(int(rng.integers(1 << 30)))
    mirrored, longest = rng.random() < 0.5, size * rng.uniform(0.2, 1.1)
    texture, density = fitted(texture, max(texture.shape[:2]) / longest)
    return (np.ascontiguousarray(texture[:, ::-1]) if mirrored else texture), density


def shape(assets: Assets, size: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], float]:
    """Return a random polygon with flat colour or part of a picture, and its density.

    It often has a dark outline.
    """
    side = int(size * rng.uniform(0.2, 0.9))
    corners = int(rng.integers(3, 12))
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    radii = side / 2 * rng.uniform(0.45, 0.95, corners)
    points = np.stack((np.cos(angles) * radii, np.sin(angles) * radii), axis=-1) + side / 2
    outline = np.rint(points * 16).astype(np.int32)
    mask = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, shift=4)
    if assets.backgrounds and rng.random() < 0.5:
        piece = fitted(*window(assets, side, rng))[0]
        colour = cv2.resize(piece[:side, :side], (side, side)).astype(np.uint8)
    else:
        colour = np.full((side, side, 3), rng.integers(0, 256, 3), dtype=np.uint8)
        # Flat colour gets a shadow with a hard edge, as cel animation has.
        shadow = np.zeros_like(mask)
        centre = tuple(int(v) for v in rng.integers(0, side, 2))
        cv2.circle(shadow, centre, side // 2, 255, -1, cv2.LINE_AA)
        colour = np.where(shadow[..., None] > 127, colour, (colour * 0.75).astype(np.uint8))
    if rng.random() < 0.6:
        dark = tuple(int(v) for v in rng.integers(0, 60, 3))
        colour = np.ascontiguousarray(colour)
        cv2.polylines(colour, [outline], True, dark, int(rng.integers(1, 4)), cv2.LINE_AA, shift=4)
    return premultiplied(colour, mask), 1.0


def strokes(assets: Assets, size: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], float]:
    """Return thin curved lines, as of hair and folds, or specks, as of snow, and their density."""
    side = int(size * rng.uniform(0.3, 1.1))
    mask = np.zeros((side, side), dtype=np.uint8)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(5, 60))):
            centre = tuple(int(v) for v in rng.integers(0, side * 16, 2))
            cv2.circle(mask, centre, int(rng.uniform(8, 30)), 255, -1, cv2.LINE_AA, shift=4)
        shade = int(rng.integers(150, 256))
    else:
        s = np.linspace(0, 1, 24)[:, None]
        for _ in range(int(rng.integers(2, 12))):
            a, b, c = rng.uniform(0, side, (3, 2))
            curve = (1 - s) ** 2 * a + 2 * s * (1 - s) * b + s**2 * c
            cv2.polylines(
                mask,
                [np.rint(curve * 16).astype(np.int32)],
                False,
                255,
                int(rng.integers(1, 4)),
                cv2.LINE_AA,
                shift=4,
            )
        shade = int(rng.choice([rng.integers(0, 60), rng.integers(0, 256)], p=[0.7, 0.3]))
    colour = np.clip(shade + rng.integers(-25, 26, 3), 0, 255)
    return premultiplied(np.full((side, side, 3), colour, dtype=np.uint8), mask), 1.0


def subtitle(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a subtitle of white or yellow letters with a dark rim, near the lower border."""
    letters = "abcdefghiklmnoprstuvwyABDEGHMNRST ,.?!'"
    text = "".join(rng.choice(list(letters), int(rng.integers(5, 18))))
    scale, font = size / 256 * rng.uniform(0.7, 1.6), cv2.FONT_HERSHEY_SIMPLEX
    (width, _), _ = cv2.getTextSize(text, font, scale, 1)
    origin = ((size - width) // 2, int(size * rng.uniform(0.75, 0.95)))
    weight = max(1, round(2 * scale))
    rim, fill = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    cv2.putText(rim, text, origin, font, scale, 255, weight + 2, cv2.LINE_AA)
    cv2.putText(fill, text, origin, font, scale, 255, weight, cv2.LINE_AA)
    ink = np.array([255, 255, 255 if rng.random() < 0.7 else 80], dtype=np.uint8)
    colour = (fill[..., None].astype(np.uint16) * ink // 255).astype(np.uint8)
    return premultiplied(colour, rim)


def premultiplied(colour: Pixels, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a texture (h, w, 4) of colour multiplied by alpha, and alpha."""
    wide = alpha[..., None].astype(np.uint16)
    return np.concatenate(((colour * wide + 127) // 255, wide), axis=-1).astype(np.uint8)
