"""Shots with known motion, made from the pictures of a training set, for ``cut_clips.py``.

A seed decides every choice. The pictures' sources are in the training set's ``SOURCES.tsv``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

WIDTH, HEIGHT = 320, 180
"""Size of a shot; it may be small because the cut detector works on thumbnails."""


class Studio:
    """Draws shots from every second picture of a training set.

    ``half`` is 0 for tuning and 1 for the published tables.
    """

    def __init__(self, training_set: Path, half: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.backgrounds = sorted((training_set / "backgrounds").iterdir())[half::2]
        self.sprites = sorted((training_set / "sprites").iterdir())[half::2]

    def background(self) -> Array:
        """Return a random grey picture, at least twice the size of a frame."""
        path = self.backgrounds[self.random.integers(len(self.backgrounds))]
        picture = np.asarray(Image.open(path).convert("L"), np.float32)
        factor = max(2 * WIDTH / picture.shape[1], 2 * HEIGHT / picture.shape[0])
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=method)

    def sprite(self) -> tuple[Array, Array]:
        """Return a random cut-out: its grey picture, and alpha in [0, 1]."""
        path = self.sprites[self.random.integers(len(self.sprites))]
        picture = np.asarray(Image.open(path).convert("RGBA"), np.float32)
        luma = picture[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
        return luma, picture[..., 3] / 255

    def motion(self, kind: str) -> dict[str, Any]:
        """Return random arguments of :meth:`shot` for a kind of motion.

        Speeds are in frame widths per frame; zoom is a logarithmic rate.
        """
        u, whole = self.random.uniform, self.random.integers
        if kind == "still":
            return {}
        if kind == "slow":
            return {
                "camera": u(0, 0.01),
                "zoom": u(-0.01, 0.01),
                "sprites": whole(0, 3),
                "speed": u(0, 0.03),
            }
        if kind == "medium":
            return {
                "camera": u(0.01, 0.03),
                "zoom": u(-0.02, 0.02),
                "sprites": whole(0, 4),
                "speed": u(0.01, 0.06),
            }
        return {
            "camera": u(0.03, 0.08),
            "sprites": whole(0, 4),
            "speed": u(0.03, 0.12),
            "long": True,
        }

    def shot(
        self,
        length: int,
        *,
        picture: Array | None = None,
        at: tuple[float, float] | None = None,
        camera: float = 0.0,
        zoom: float = 0.0,
        shake: float = 0.0,
        sprites: int = 0,
        speed: float = 0.0,
        hold: int = 1,
        gain: float = 1.0,
        noise: float = 1.0,
        long: bool = False,
    ) -> Array:
        """Return a shot (length, HEIGHT, WIDTH) in 0..255.

        ``long`` repeats the picture, so that there is room for long pans.
        """
        random = self.random
        picture = self.background() if picture is None else picture
        if long:
            picture = np.hstack([picture, picture[:, ::-1]] * 4)
        height, width = picture.shape
        angle = (
            random.choice([0, np.pi])
            if long or random.random() < 0.6
            else random.uniform(0, 2 * np.pi)
        )
        velocity = np.array([np.cos(angle), np.sin(angle)]) * camera * WIDTH
        centre = np.array(at or (random.uniform(0.3, 0.7), random.uniform(0.35, 0.65))) * [
            width,
            height,
        ]
        if long:
            centre[0] = width * (0.15 if velocity[0] > 0 else 0.85)
        else:
            centre -= velocity * (length - 1) / 2
        size = random.uniform(0.8, 1.1)
        cast = []
        for _ in range(sprites):
            luma, alpha = self.sprite()
            scale = random.uniform(0.4, 1.0) * HEIGHT / max(luma.shape)
            angle = random.uniform(0, 2 * np.pi)
            step = np.array([np.cos(angle), np.sin(angle)]) * speed * WIDTH * random.uniform(0.5, 1)
            start = random.uniform(0.2, 0.8, 2) * [WIDTH, HEIGHT] - step * length * random.uniform(
                0.1, 0.5
            )
            cast.append((luma, alpha, scale, start, step, random.uniform(-3, 3)))

        frames = []
        for t in range(length):
            if t % hold == 0:
                z = size * np.exp(zoom * (t - length / 2))
                c = centre + velocity * t + random.normal(size=2) * shake * WIDTH
                frame = look(picture, c, z)
                for luma, alpha, scale, start, step, spin in cast:
                    middle = np.array([luma.shape[1], luma.shape[0]]) / 2
                    matrix = cv2.getRotationMatrix2D(tuple(middle), spin * t * (speed > 0), scale)
                    matrix[:, 2] = matrix[:, 2] + start + step * t - middle
                    a = cv2.warpAffine(alpha, matrix, (WIDTH, HEIGHT))
                    frame = frame * (1 - a) + cv2.warpAffine(luma, matrix, (WIDTH, HEIGHT)) * a
                frame = frame * gain
            frames.append(frame + random.normal(size=frame.shape) * noise if noise else frame)
        return np.clip(np.stack(frames), 0, 255).astype(np.float32)


def look(picture: Array, centre: Array, zoom: float) -> Array:
    """Return the frame that a camera over ``centre`` sees of a picture."""
    matrix = np.array(
        [[zoom, 0, WIDTH / 2 - zoom * centre[0]], [0, zoom, HEIGHT / 2 - zoom * centre[1]]]
    )
    method = cv2.INTER_LINEAR if zoom > 0.7 else cv2.INTER_AREA
    return cv2.warpAffine(
        picture, matrix, (WIDTH, HEIGHT), flags=method, borderMode=cv2.BORDER_REFLECT_101
    )


def poses(studio: Studio) -> Array:
    """Return a figure on a still background that changes its pose every 2 to 8 frames."""
    random = studio.random
    background, (luma, alpha) = studio.shot(1, noise=0)[0], studio.sprite()
    size, x = random.uniform(0.3, 0.9) * HEIGHT / luma.shape[0], random.uniform(0.3, 0.7) * WIDTH
    foot = np.array([luma.shape[1] / 2, luma.shape[0]])
    frames: list[Array] = []
    while len(frames) < 30:
        scale = size * random.uniform(0.9, 1.1)
        matrix = cv2.getRotationMatrix2D(tuple(foot), random.normal() * 6, scale)
        matrix[:, 2] += np.array([x + random.normal() * 0.06 * WIDTH, HEIGHT]) - foot
        a = cv2.warpAffine(alpha, matrix, (WIDTH, HEIGHT))
        frame = background * (1 - a) + cv2.warpAffine(luma, matrix, (WIDTH, HEIGHT)) * a
        frames += [frame] * int(random.integers(2, 9))
    return np.stack(frames[:30])


def explosion(shot: Array, random: np.random.Generator) -> Array:
    """Add a white disc that grows over twelve frames and fades."""
    x, y = random.uniform(0.2, 0.8, 2) * [WIDTH, HEIGHT]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(columns - x, rows - y)
    for i in range(12):
        disc = np.clip(1.5 - 1.5 * distance / (0.06 * WIDTH * (i + 1)), 0, 1) * min(1, (12 - i) / 6)
        shot[8 + i] += (255 - shot[8 + i]) * disc
    return shot
