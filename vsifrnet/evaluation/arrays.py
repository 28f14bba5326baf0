"""Clips made from arrays, and arrays made from frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

__all__ = ["clip_from", "planes_of", "rgb_frame"]


def clip_from(frames: Sequence[Sequence[NDArray[Any]]], format: int) -> vs.VideoNode:
    """Return a clip of 24 frames a second whose frames are given as lists of planes (H, W)."""
    height, width = frames[0][0].shape
    blank = vs.core.std.BlankClip(
        width=width, height=height, format=format, length=len(frames), fpsnum=24, keep=True
    )

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for plane, values in enumerate(frames[n]):
            np.copyto(np.asarray(frame[plane]), values)
        return frame

    return blank.std.ModifyFrame(blank, fill)


def planes_of(pictures: Iterable[NDArray[Any]]) -> list[list[NDArray[Any]]]:
    """Split pictures (H, W, 3) into planes, as :func:`clip_from` takes them."""
    return [[picture[..., channel] for channel in range(3)] for picture in pictures]


def rgb_frame(clip: vs.VideoNode, n: int) -> NDArray[Any]:
    """Return frame ``n`` of an RGB clip as (3, H, W)."""
    with clip.get_frame(n) as frame:
        return np.stack([np.asarray(frame[plane]) for plane in range(3)])
