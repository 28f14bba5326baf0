"""Clips whose cuts and held frames are known, made from pictures, for ``detectors.py``.

``Programme`` is a grey clip with its cuts; ``Drawings`` a list of RGB frames with its held gaps.
Everything is drawn from a seed. Pictures come from ``training-set`` (see its ``SOURCES.tsv``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

WIDTH, HEIGHT = 320, 180
"""Size of a programme: the detector sees thumbnails of it."""


@dataclass(frozen=True)
class Programme:
    """A grey clip whose cuts are known."""

    name: str
    frames: npt.NDArray[np.uint8]
    """(N, HEIGHT, WIDTH)."""
    cuts: frozenset[int] = frozenset()
    """k stands for the gap between frames k and k + 1."""


class Studio:
    """Shots from every second picture of the set (``half`` 0 or 1: tuning is on 0, tables on 1)."""

    def __init__(self, training_set: Path, half: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.backgrounds = sorted((training_set / "backgrounds").iterdir())[half::2]
        self.sprites = sorted((training_set / "sprites").iterdir())[half::2]

    def background(self) -> Array:
        """A grey picture, at least twice the size of the frame."""
        path = self.backgrounds[self.random.integers(len(self.backgrounds))]
        picture = np.asarray(Image.open(path).convert("L"), np.float32)
        factor = max(2 * WIDTH / picture.shape[1], 2 * HEIGHT / picture.shape[0])
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=method)

    def sprite(self) -> tuple[Array, Array]:
        """Grey picture and alpha in [0, 1]."""
        path = self.sprites[self.random.integers(len(self.sprites))]
        picture = np.asarray(Image.open(path).convert("RGBA"), np.float32)
        luma = picture[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
        return luma, picture[..., 3] / 255

    def motion(self, kind: str) -> dict[str, Any]:
        """Arguments of ``shot``: speeds in frame widths a frame, zoom as a logarithmic rate."""
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
        """(length, HEIGHT, WIDTH) in 0..255. ``long`` repeats the picture for long pans."""
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
                frame = _look(picture, c, z)
                for luma, alpha, scale, start, step, spin in cast:
                    middle = np.array([luma.shape[1], luma.shape[0]]) / 2
                    matrix = cv2.getRotationMatrix2D(tuple(middle), spin * t * (speed > 0), scale)
                    matrix[:, 2] = matrix[:, 2] + start + step * t - middle
                    a = cv2.warpAffine(alpha, matrix, (WIDTH, HEIGHT))
                    frame = frame * (1 - a) + cv2.warpAffine(luma, matrix, (WIDTH, HEIGHT)) * a
                frame = frame * gain
            frames.append(frame + random.normal(size=frame.shape) * noise if noise else frame)
        return np.clip(np.stack(frames), 0, 255).astype(np.float32)


def _look(picture: Array, centre: Array, zoom: float) -> Array:
    matrix = np.array(
        [[zoom, 0, WIDTH / 2 - zoom * centre[0]], [0, zoom, HEIGHT / 2 - zoom * centre[1]]]
    )
    method = cv2.INTER_LINEAR if zoom > 0.7 else cv2.INTER_AREA
    return cv2.warpAffine(
        picture, matrix, (WIDTH, HEIGHT), flags=method, borderMode=cv2.BORDER_REFLECT_101
    )


def programmes(training_set: Path, half: int, seed: int) -> Iterator[Programme]:
    """One programme of each kind."""
    studio = Studio(training_set, half, seed)
    random = studio.random

    def any_motion() -> dict[str, Any]:
        return studio.motion(str(random.choice(["still", "slow", "medium"])))

    def length() -> int:
        return int(random.integers(10, 22))

    def made(name: str, frames: Array, cuts: tuple[int, ...] = ()) -> Programme:
        return Programme(name, np.clip(np.round(frames), 0, 255).astype(np.uint8), frozenset(cuts))

    def joined(name: str, *shots: Array) -> Programme:
        ends = np.cumsum([len(shot) for shot in shots])[:-1] - 1
        return made(name, np.concatenate(shots), tuple(int(end) for end in ends))

    yield joined("cut", *(studio.shot(length(), **any_motion()) for _ in range(2)))
    picture, x, y = studio.background(), random.uniform(0.25, 0.4), random.uniform(0.3, 0.7)
    yield joined(
        "cut to the other half of the picture",
        studio.shot(length(), picture=picture, at=(x, y), **any_motion()),
        studio.shot(length(), picture=picture, at=(x + 0.4, y), **any_motion()),
    )
    picture, zoom = studio.background(), random.uniform(1.6, 2.2)
    middle = np.array(picture.shape[::-1]) * random.uniform(0.4, 0.6, 2)
    near, far = (np.repeat(_look(picture, middle, 0.6 * z)[None], length(), 0) for z in (zoom, 1))
    yield joined(
        "cut in or out by 1.6 to 2.2", *((near, far) if random.random() < 0.5 else (far, near))
    )
    dark = [random.uniform(0.06, 0.2) for _ in range(2)]
    yield joined(
        "cut, both dark", *(studio.shot(length(), gain=g, noise=0.5, **any_motion()) for g in dark)
    )
    yield joined(
        "cut in fast motion", *(studio.shot(length(), **studio.motion("fast")) for _ in range(2))
    )
    for hold in (2, 3):
        shots = (studio.shot(length(), hold=hold, noise=0, **any_motion()) for _ in range(2))
        yield joined(f"cut, drawn on {hold}s", *shots)
    lengths = random.integers(4, 8, size=4)
    yield joined(
        "cuts, shots of 4 to 7 frames", *(studio.shot(int(n), **any_motion()) for n in lengths)
    )
    blank = np.full((length(), HEIGHT, WIDTH), random.choice([0, 255]), np.float32)
    yield joined("cut to black or white", studio.shot(length(), **any_motion()), blank)

    yield made("pan 1-5% a frame", studio.shot(30, camera=random.uniform(0.01, 0.05), long=True))
    yield made("pan 5-12% a frame", studio.shot(30, camera=random.uniform(0.05, 0.12), long=True))
    speed = np.zeros(32)
    speed[10 : 10 + random.integers(5, 14)] = random.uniform(0.06, 0.15) * WIDTH
    wide = np.hstack([picture, picture[:, ::-1]] * 4)
    whip = [_look(wide, np.array([x, wide.shape[0] / 2]), 1) for x in WIDTH / 2 + np.cumsum(speed)]
    yield made("whip pan from and to a still", np.stack(whip))
    yield made("zoom 1-6% a frame", studio.shot(24, zoom=random.uniform(0.01, 0.06)))
    yield made("shaking camera", studio.shot(24, shake=random.uniform(0.005, 0.03)))
    yield made("fast figures", studio.shot(24, sprites=4, speed=random.uniform(0.05, 0.15)))
    for hold, kind in ((2, "fast"), (3, "fast"), (4, "slow"), (5, "slow")):
        shot = studio.shot(32, hold=hold, noise=0, **studio.motion(kind))
        yield made(f"{kind} motion, drawn on {hold}s", shot)
    yield made("a figure changes its pose", _poses(studio))
    yield made(
        "dark, moving", studio.shot(24, gain=random.uniform(0.06, 0.2), **studio.motion("medium"))
    )
    yield made("noise, deviation 3-12", studio.shot(16, noise=random.uniform(3, 12)))

    shot = studio.shot(24, **any_motion())
    start, frames = int(random.integers(6, 14)), int(random.integers(1, 4))
    light = random.uniform(0.4, 1) * (
        np.array([1, 0.7, 0.4]) if random.random() < 0.5 else np.ones(3)
    )
    for i in range(frames):
        shot[start + i] += (255 - shot[start + i]) * light[i]
    yield made("flash of 1 to 3 frames", shot)
    flicker = random.uniform(0.6, 1.4, (24, 1, 1))
    yield made("flicker, gain 0.6-1.4", studio.shot(24, **any_motion()) * flicker)
    shot = studio.shot(24, **any_motion())
    shot[12:] *= random.uniform(0.3, 0.7) if random.random() < 0.5 else random.uniform(1.3, 2)
    yield made("light switched, gain 0.3-2", shot)
    yield made("explosion", _explosion(studio.shot(24, **any_motion()), random))
    frames = int(random.integers(5, 20))
    out, into = (studio.shot(10 + frames, **any_motion()) for _ in range(2))
    mix = ((np.arange(frames) + 1) / (frames + 1))[:, None, None]
    yield made(
        "dissolve of 5-19 frames",
        np.concatenate([out[:10], out[10:] * (1 - mix) + into[:frames] * mix, into[frames:]]),
    )
    level = random.choice([0, 255])
    fade = [
        out[:10],
        out[10:] * (1 - mix) + level * mix,
        np.full((2, HEIGHT, WIDTH), level, np.float32),
        into[:frames] * mix + level * (1 - mix),
        into[frames:],
    ]
    yield made("fade out and in, 5-19 frames", np.concatenate(fade))


def _poses(studio: Studio) -> Array:
    """A figure on a still background turns, moves and grows, every two to eight frames."""
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


def _explosion(shot: Array, random: np.random.Generator) -> Array:
    """A white disc that grows over twelve frames and goes."""
    x, y = random.uniform(0.2, 0.8, 2) * [WIDTH, HEIGHT]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(columns - x, rows - y)
    for i in range(12):
        disc = np.clip(1.5 - 1.5 * distance / (0.06 * WIDTH * (i + 1)), 0, 1) * min(1, (12 - i) / 6)
        shot[8 + i] += (255 - shot[8 + i]) * disc
    return shot


def splice(clips: dict[Path, tuple[int, ...]], seed: int, parts: int = 60) -> Programme:
    """Parts of 12 to 30 frames of real clips (path to its own cuts), no clip twice in a row."""
    random = np.random.default_rng(seed)
    decoded = {path: decode_grey(path) for path in clips}
    pieces: list[npt.NDArray[np.uint8]] = []
    cuts: list[int] = []
    last = None
    total = 0
    for _ in range(parts):
        path = random.choice([str(p) for p in clips if p != last])
        last = Path(str(path))
        length = int(random.integers(12, 31))
        start = int(random.integers(0, len(decoded[last]) - length))
        cuts += [total + cut - start for cut in clips[last] if start <= cut < start + length - 1]
        pieces.append(decoded[last][start : start + length])
        total += length
        cuts.append(total - 1)
    return Programme("parts of real clips", np.concatenate(pieces), frozenset(cuts[:-1]))


def decode_grey(path: Path) -> npt.NDArray[np.uint8]:
    """All frames, grey, at the size of a programme."""
    with av.open(str(path)) as container:
        frames = [
            frame.reformat(WIDTH, HEIGHT, "gray").to_ndarray()
            for frame in container.decode(video=0)
        ]
    return np.stack(frames)
