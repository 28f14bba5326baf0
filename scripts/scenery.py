"""Pictures and textures of which the clips of ``motion.py`` are made, drawn from seeds.

Pictures are RGB (H, W, 3) and masks (H, W), both float32 in [0, 1]. Free photographs come from
scikit-image, so that a fresh clone has them; other pictures can be given as a folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

__all__ = [
    "Array",
    "board",
    "bricks",
    "cutout",
    "fence",
    "lettering",
    "load",
    "photographs",
    "screentone",
    "strokes",
    "tiles",
]

Array = npt.NDArray[Any]

PHOTOGRAPHS = ("astronaut.png", "coffee.png", "hubble_deep_field.jpg", "retina.jpg", "rocket.jpg")
"""Names of scikit-image's photographs, all free to use."""

FINE = 4
"""Factor by which lettering is drawn larger, on each side."""

WORDS = (
    *("Directed", "Produced", "Written", "Music", "Sound", "Editor", "Camera", "Art", "Design"),
    *("Script", "Assistant", "Unit", "Colour", "Costume", "Light", "Stage", "Second", "First"),
    *("of", "the", "and", "a", "an", "with", "for", "in", "1984", "Studio", "Film"),
)


def load(path: Path) -> Array:
    """Read a picture from a file."""
    return np.asarray(Image.open(path).convert("RGB"), np.float32) / 255


def photographs(folder: Path | None, count: int) -> dict[str, Array]:
    """Return ``count`` pictures by name, scikit-image's or evenly chosen from a folder."""
    if folder is None:
        data = Path(str(files("skimage") / "data"))
        paths = [data / name for name in PHOTOGRAPHS[:count]]
    else:
        found = sorted(path for path in folder.iterdir() if path.is_file())
        paths = [found[i] for i in np.linspace(0, len(found) - 1, count).round().astype(int)]
    return {path.stem: load(path) for path in paths}


def lettering(
    width: int, height: int, seed: int, *, size: int = 20, font: Path | None = None
) -> Array:
    """Return centred lines of words, as in credits, as a mask (FINE * height, FINE * width)."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (FINE * width, FINE * height))
    draw = ImageDraw.Draw(image)
    face: Any = (
        ImageFont.truetype(str(font), FINE * size)
        if font
        else ImageFont.load_default(float(FINE * size))
    )
    for top in range(0, FINE * height, round(FINE * size * 1.5)):
        count = int(rng.integers(1, max(2, width // (4 * size))))
        line = " ".join(rng.choice(WORDS, count))
        line = line.upper() if rng.random() < 0.2 else line.title()
        left = (FINE * width - draw.textlength(line, face)) / 2
        if rng.random() < 0.9:
            draw.text((left, top), line, 255, face)
    return np.asarray(image, np.float32) / 255


def strokes(width: int, height: int, seed: int, *, size: int = 20) -> Array:
    """Return lines of invented characters of straight strokes, like kanji, as a fine mask."""
    rng = np.random.default_rng(seed)
    side = FINE * size
    out = np.zeros((FINE * height, FINE * width), np.uint8)
    for top in range(0, FINE * height - side, round(side * 1.5)):
        count = int(rng.integers(3, max(4, width // size - 2)))
        left = (FINE * width - count * side) // 2
        for index in range(count):
            box = np.zeros((side, side), np.uint8)
            for _ in range(int(rng.integers(3, 9))):
                a, b = np.sort(rng.uniform(0.08, 0.88, 2)) * side
                at = rng.uniform(0.08, 0.88) * side
                ends = ((a, at), (b, at)) if rng.random() < 0.5 else ((at, a), (at, b))
                if rng.random() < 0.2:
                    ends = ((a, at), (at, b))
                points = [(round(x), round(y)) for x, y in ends]
                cv2.line(box, points[0], points[1], 255, max(2, side // 12))
            x = left + index * side
            out[top : top + side, x : x + side] = np.maximum(
                out[top : top + side, x : x + side], box
            )
    mask: Array = out.astype(np.float32) / 255
    return mask


def board(width: int, height: int, seed: int) -> Array:
    """Return a picture of a circuit board with fine parallel tracks, pads, chips and lettering."""
    rng = np.random.default_rng(seed)
    k = 2
    image = np.full((k * height, k * width, 3), (20, 70, 40), np.uint8)
    image[:] = np.clip(image + rng.normal(0, 5, image.shape), 0, 255)
    for _ in range(width * height // 2500):
        x, y = rng.integers(0, k * width), rng.integers(0, k * height)
        length, pitch, count = rng.integers(60, 400), int(rng.integers(5, 12)), rng.integers(2, 9)
        colour = tuple(int(c) for c in np.array((50, 130, 80)) + rng.integers(-20, 60))
        turn = rng.random() < 0.5
        for i in range(count):
            a, b = (x, y + i * pitch), (x + length, y + i * pitch)
            if turn:
                a, b = (x + i * pitch, y), (x + i * pitch, y + length)
            cv2.line(image, [int(v) for v in a], [int(v) for v in b], colour, 2)
    for _ in range(width * height // 5000):
        x, y = rng.integers(0, k * width), rng.integers(0, k * height)
        w, h = rng.integers(30, 120, 2)
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), (25, 25, 30), -1)
        for i in range(0, int(w), 8):
            for side in (y - 8, y + h):
                cv2.rectangle(
                    image,
                    (int(x + i), int(side)),
                    (int(x + i + 4), int(side + 8)),
                    (200, 190, 150),
                    -1,
                )
        name = f"{rng.choice(list('ABCRU'))}{rng.integers(1, 400)}"
        cv2.putText(image, name, (int(x + 4), int(y + 20)), 0, 0.5, (220, 220, 220), 1, cv2.LINE_AA)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def fence(width: int, height: int, period: float, *, duty: float = 0.35) -> Array:
    """Return a fence of upright bars and two rails, as a fine mask."""
    y, x = np.mgrid[0 : FINE * height, 0 : FINE * width] / FINE
    bars = (x % period) / period < duty
    rails = (y % (height / 2)) < 10
    mask: Array = (bars | rails).astype(np.float32)
    return mask


def tiles(width: int, height: int, period: float, seed: int) -> Array:
    """Return a wall of square tiles whose colours differ a little."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 2 * height, 0 : 2 * width] / 2
    shade = rng.normal(0, 0.015, (int(height / period) + 2, int(width / period) + 2, 3))
    colour = (
        np.array((0.75, 0.7, 0.6)) + shade[(y // period).astype(int), (x // period).astype(int)]
    )
    grout = (x % period < 2.5) | (y % period < 2.5)
    picture = np.where(grout[..., None], 0.35, colour).astype(np.float32)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def bricks(width: int, height: int, period: float, seed: int) -> Array:
    """Return courses of bricks, every other one shifted by half a brick."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 2 * height, 0 : 2 * width] / 2
    course = y // (period / 2)
    x = x + (course % 2) * period / 2
    shade = rng.normal(0, 0.03, (int(2 * height / period) + 2, int(width / period) + 3, 1))
    colour = np.array((0.6, 0.3, 0.22)) + shade[course.astype(int), (x // period).astype(int)]
    mortar = (x % period < 2) | (y % (period / 2) < 2)
    picture = np.where(mortar[..., None], 0.8, colour).astype(np.float32)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def screentone(width: int, height: int, seed: int, *, pitch: float = 6.0) -> Array:
    """Return dots at 45 degrees whose size follows a soft picture, as in printed comics."""
    rng = np.random.default_rng(seed)
    grey: Array = rng.uniform(0.1, 0.9, (height // 60 + 2, width // 60 + 2)).astype(np.float32)
    grey = cv2.resize(grey, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[0 : 2 * height, 0 : 2 * width] / 2
    turn = 2 * np.pi / pitch / np.sqrt(2)
    wave = (np.cos((x + y) * turn) + np.cos((x - y) * turn)) / 4 + 0.5
    picture = np.repeat((wave < grey)[..., None], 3, 2).astype(np.float32)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def cutout(picture: Array, size: int, seed: int) -> tuple[Array, Array]:
    """Return the colours and the mask of a blob of a picture, both ``size`` on a side."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radius = rng.uniform(0.3, 0.48, 12) * size * 4
    points = np.stack((np.cos(angles) * radius, np.sin(angles) * radius), 1) + 2 * size
    mask: Array = np.zeros((4 * size, 4 * size), np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 255)
    mask = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
    height, width = picture.shape[:2]
    top, left = (int(rng.integers(0, max(1, side - size))) for side in (height, width))
    part = picture[top : top + size, left : left + size]
    if part.shape[:2] != (size, size):
        part = cv2.resize(part, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(part), mask.astype(np.float32) / 255


def spread(values: Sequence[float], count: int) -> list[float]:
    """Return ``count`` of the values, evenly spread."""
    return [values[i] for i in np.linspace(0, len(values) - 1, count).round().astype(int)]
