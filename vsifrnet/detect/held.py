"""Detection of held frames: frames that equal the frame before, or show the same drawing.

``equal_frames`` and ``held_frames`` build chains of core functions whose frame k describes the gap
between frames k and k + 1; ``is_equal`` and ``is_held`` read its props.

*Equal* means that every sample of every plane is the same. *Held* means that the drawing is the
same, apart from compression and grain:

* A cell of 4x4 pixels is the unit, because noise averages out within it.
* The change of two frames is the largest mean absolute difference of cells in any patch of 32x32
  pixels and in any plane. A mouth of 40x20 pixels fills such a patch; compression leaves much less
  in it.
* Frame k + 1 is held when no patch changes by the threshold or more and none drifts. A patch drifts
  when it changes by the threshold or more over two or three gaps, this one among them, in similar
  steps (none is less than half of another). This tells slow pans, zooms and fades from noise,
  which does not add up, and from the next drawing, which is one large step.

The result depends on frames k-2 to k+3; the clip's first and last frame stand in beyond its ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import vapoursynth as vs
from vsutil import EXPR_VARS, depth, split

from vsifrnet.detect.clips import blank, fold, shift

__all__ = ["DEFAULT_THRESHOLD", "equal_alpha", "equal_frames", "held_frames", "is_equal", "is_held"]

DEFAULT_THRESHOLD = 2.5
"""The default threshold in 8-bit steps; docs/detectors.md says how it was chosen."""

CELL, PATCH = 4, 32
"""Side lengths of a cell and of a patch, in pixels."""
DRIFT = 3
"""Maximum gaps over which drift is measured."""
STEPS = 219.0
"""8-bit steps from black to white in limited range."""

EQUAL = "_IfrnetEqual"
MOVED = "_IfrnetMoved"
FLOAT_FORMATS: dict[int, int] = {vs.GRAY: vs.GRAYS, vs.YUV: vs.YUV444PS, vs.RGB: vs.RGBS}


def equal_frames(clip: vs.VideoNode) -> vs.VideoNode:
    """Return one frame per gap, 1x1 GRAY8, for :func:`is_equal`; as many as ``clip`` has frames.

    ``clip`` may have any constant format. The last frame belongs to no gap and has no meaning.
    """
    core = vs.core
    canvas = blank(clip)
    if clip.format.sample_type == vs.FLOAT and clip.format.bits_per_sample == 16:
        # PlaneStats does not take half precision; single precision holds all of its values.
        clip = depth(core.std.RemoveFrameProps(clip), 32)
    following = shift(clip, 1)
    stats = clip
    names = [f"{EQUAL}{plane}" for plane in range(clip.format.num_planes)]
    for plane, name in enumerate(names):
        stats = core.std.PlaneStats(stats, following, plane=plane, prop=name)
    return core.std.CopyFrameProps(canvas, stats, props=[f"{name}Diff" for name in names])


def equal_alpha(frame: vs.VideoFrame, following: vs.VideoFrame) -> bool:
    """Return whether two frames carry the same ``_Alpha``, or none."""
    planes: list[Any] = [f.props.get("_Alpha") for f in (frame, following)]
    if planes[0] is None or planes[1] is None:
        return planes[0] is planes[1]
    return np.array_equal(np.asarray(planes[0][0]), np.asarray(planes[1][0]))


def is_equal(props: Mapping[str, object]) -> bool:
    """Return whether every sample is the same on both sides of a gap of :func:`equal_frames`.

    The mean absolute difference of a plane is 0 only when every difference is 0, since they are
    summed in 64 bits and none is negative. A frame with NaN equals no other.
    """
    differences = [props[key] for key in props if key.startswith(EQUAL)]
    return bool(differences) and all(difference == 0 for difference in differences)


def held_frames(clip: vs.VideoNode, threshold: float = DEFAULT_THRESHOLD) -> vs.VideoNode:
    """Return one frame per gap, 1x1 GRAYS, for :func:`is_held`; as many as ``clip`` has frames.

    ``clip`` may have any constant format. ``threshold`` is the change, in 8-bit steps, from which
    a patch of 32x32 pixels shows another drawing. The last frame belongs to no gap.
    """
    core = vs.core
    cells = _cells(clip)
    # The ends are repeated so that frames k - (DRIFT - 1) to k + DRIFT always exist.
    cells = core.std.DuplicateFrames(cells, [0] * (DRIFT - 1))
    cells = core.std.DuplicateFrames(cells, [cells.num_frames - 1] * (2 * DRIFT))
    length = clip.num_frames + 2 * (DRIFT - 1)
    patches = -(-clip.width // PATCH), -(-clip.height // PATCH)
    inputs: list[vs.VideoNode] = []

    def add(change: vs.VideoNode, offset: int) -> str:
        """Add an input of the expression: the change from frame k + ``offset``; return its name."""
        start = DRIFT - 1 + offset
        inputs.append(change[start : start + clip.num_frames])
        return EXPR_VARS[len(inputs) - 1]

    limit = threshold / STEPS
    single = _change(cells[:length], cells[1 : 1 + length], patches)
    step = {offset: add(single, offset) for offset in range(1 - DRIFT, DRIFT)}
    verdict = f"{step[0]} {limit} >="
    for gaps in range(2, DRIFT + 1):
        change = _change(cells[:length], cells[gaps : gaps + length], patches)
        for start in range(1 - gaps, 1):
            steps = [step[start + i] for i in range(gaps)]
            least, most = fold(steps, "min"), fold(steps, "max")
            verdict += f" {add(change, start)} {limit} >= {least} {most} 0.5 * >= and or"
    moved = core.std.Expr(inputs, verdict).resize.Bilinear(1, 1)
    return core.std.PlaneStats(moved, prop=MOVED)


def is_held(props: Mapping[str, object]) -> bool:
    """Return whether both sides of a gap of :func:`held_frames` show the same drawing."""
    return props[f"{MOVED}Average"] == 0


def _cells(clip: vs.VideoNode) -> vs.VideoNode:
    """Return all planes at the size of the cells, as floats.

    Props are removed because range, matrix and field flags would make some conversions fail.
    """
    return vs.core.resize.Bilinear(
        vs.core.std.RemoveFrameProps(clip),
        -(-clip.width // CELL),
        -(-clip.height // CELL),
        format=FLOAT_FORMATS[clip.format.color_family],
    )


def _change(first: vs.VideoNode, second: vs.VideoNode, size: tuple[int, int]) -> vs.VideoNode:
    """Return each patch's largest change in any plane; black to white is 1."""
    core = vs.core
    change = core.std.Expr([first, second], "x y - abs").resize.Bilinear(*size)
    planes = split(change)
    return core.std.Expr(planes, fold(EXPR_VARS[: len(planes)], "max"))
