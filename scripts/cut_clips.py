"""Clips with known cuts for ``detectors.py``, made from pictures or joined from real clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from shots import HEIGHT, WIDTH, Array, Studio, explosion, look, poses


@dataclass(frozen=True)
class CutClip:
    """A grey clip whose cuts are known."""

    name: str
    frames: npt.NDArray[np.uint8]
    """Grey frames (N, HEIGHT, WIDTH)."""
    cuts: frozenset[int] = frozenset()
    """Numbers of the gaps that are cuts; gap k is between frames k and k + 1."""


def cut_clips(training_set: Path, half: int, seed: int) -> Iterator[CutClip]:
    """Yield a clip of each kind, from the pictures of a training set."""
    studio = Studio(training_set, half, seed)
    random = studio.random

    def any_motion() -> dict[str, Any]:
        return studio.motion(str(random.choice(["still", "slow", "medium"])))

    def length() -> int:
        return int(random.integers(10, 22))

    def made(name: str, frames: Array, cuts: tuple[int, ...] = ()) -> CutClip:
        return CutClip(name, np.clip(np.round(frames), 0, 255).astype(np.uint8), frozenset(cuts))

    def joined(name: str, *shots: Array) -> CutClip:
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
    near, far = (np.repeat(look(picture, middle, 0.6 * z)[None], length(), 0) for z in (zoom, 1))
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
    whip = [look(wide, np.array([x, wide.shape[0] / 2]), 1) for x in WIDTH / 2 + np.cumsum(speed)]
    yield made("whip pan from and to a still", np.stack(whip))
    yield made("zoom 1-6% a frame", studio.shot(24, zoom=random.uniform(0.01, 0.06)))
    yield made("shaking camera", studio.shot(24, shake=random.uniform(0.005, 0.03)))
    yield made("fast figures", studio.shot(24, sprites=4, speed=random.uniform(0.05, 0.15)))
    for hold, kind in ((2, "fast"), (3, "fast"), (4, "slow"), (5, "slow")):
        shot = studio.shot(32, hold=hold, noise=0, **studio.motion(kind))
        yield made(f"{kind} motion, drawn on {hold}s", shot)
    yield made("a figure changes its pose", poses(studio))
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
    yield made("explosion", explosion(studio.shot(24, **any_motion()), random))
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


def splice(clips: dict[Path, tuple[int, ...]], seed: int, parts: int = 60) -> CutClip:
    """Join parts of 12 to 30 frames of real clips, never two of the same clip in a row.

    ``clips`` has the cuts within each clip.
    """
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
    return CutClip("parts of real clips", np.concatenate(pieces), frozenset(cuts[:-1]))


def decode_grey(path: Path) -> npt.NDArray[np.uint8]:
    """Return all frames of a video, grey, at the size of a shot."""
    with av.open(str(path)) as container:
        frames = [
            frame.reformat(WIDTH, HEIGHT, "gray").to_ndarray()
            for frame in container.decode(video=0)
        ]
    return np.stack(frames)
