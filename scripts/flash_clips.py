"""Clips with known flashes for ``detectors.py``: shots with known motion and a flash in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cut_clips import CutClip
from shots import Array, Studio

FLASHES: dict[str, Callable[[Array], Array]] = {
    "white": lambda frame: np.full_like(frame, 235),
    "black": lambda frame: np.full_like(frame, 16),
    "negative": lambda frame: 251 - frame,
    "impact frame": lambda frame: np.where(np.hypot(*np.gradient(frame)) > 12, 235, 16),
    "another picture": lambda frame: frame[::-1, ::-1],
}
"""The kinds of flashes; each turns a grey frame (HEIGHT, WIDTH) in 16 to 235 into a flash."""

MOTIONS = ("still", "slow", "medium", "fast")


def flash_clips(training_set: Path, half: int, seed: int) -> Iterator[CutClip]:
    """Yield a clip of each kind of flash and of motion; the flash's two edges are its cuts."""
    studio = Studio(training_set, half, seed)
    for motion in MOTIONS:
        shot = studio.shot(20, **studio.motion(motion))
        for kind, flash in FLASHES.items():
            frames = np.array(shot, np.float32)
            start, length = int(studio.random.integers(6, 12)), int(studio.random.integers(1, 4))
            for n in range(start, start + length):
                frames[n] = flash(frames[n])
            grey = np.clip(np.round(frames), 0, 255).astype(np.uint8)
            edges = frozenset({start - 1, start + length - 1})
            yield CutClip(f"{kind}, {motion} motion", grey, edges)
