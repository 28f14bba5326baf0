"""Grey pictures and clips for the tests of the detectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

Array = npt.NDArray[np.float64]


def picture(seed: int, height: int, width: int, shapes: int = 40) -> Array:
    """Return random discs and boxes with sharp edges on a flat ground, in 16..235."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    canvas = np.full((height, width), random.uniform(16, 235))
    for _ in range(shapes):
        at, size = random.uniform(0, 1, 2) * [height, width], random.uniform(0.05, 0.3) * height
        across, down = np.abs(x - at[1]), np.abs(y - at[0])
        inside = (
            np.hypot(across, down) < size
            if random.random() < 0.5
            else np.maximum(across, down) < size
        )
        canvas[inside] = random.uniform(16, 235)
    return canvas


def shifted(canvas: Array, x: float, height: int, width: int) -> Array:
    """Return the part of ``canvas`` that begins x pixels from its left, linearly interpolated."""
    whole, part = int(x), x - int(x)
    left, right = (canvas[:height, whole + i : whole + i + width] for i in (0, 1))
    return left * (1 - part) + right * part


def clip_of(frames: Sequence[Array], format: int = vs.GRAY8) -> vs.VideoNode:
    """Return a clip that has ``frames`` in each plane, rounded for integer formats."""
    height, width = frames[0].shape
    blank = vs.core.std.BlankClip(
        width=width, height=height, format=format, length=len(frames), fpsnum=24, keep=True
    )

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for plane in range(frame.format.num_planes):
            target = np.asarray(frame[plane])
            values = frames[n] if f.format.sample_type == vs.FLOAT else np.round(frames[n])
            target[:] = values[: target.shape[0], : target.shape[1]]
        return frame

    return blank.std.ModifyFrame(blank, fill)
