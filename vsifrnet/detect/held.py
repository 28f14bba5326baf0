"""Repeated frames: is frame k+1 equal to frame k, or at least the same drawing?

Like ``scenes``: ``equal_frames`` and ``held_frames`` build chains of core functions whose frame k
describes the gap between frames k and k+1, and ``is_equal`` and ``is_held`` read its props.

*Equal* means every sample of every plane. *Held* means the same drawing up to what compression and
grain change:

* A cell, 4x4 pixels of luma, is the unit: noise within it averages out.
* The change of two frames is the largest mean absolute difference of cells in any patch of 32x32
  pixels and in any plane. A mouth of 40x20 pixels fills such a patch; compression leaves much less
  in it.
* Frames k and k+1 are held when no patch changes by the threshold or more, and none drifts. A patch
  drifts when over two or three gaps, this one among them, it changes by the threshold or more in
  steps that are alike (none is less than half of another). So slow pans, zooms and fades are told
  from noise, which does not add up, and from the next drawing, which is one large step.

Whether a gap is held depends on frames k-2..k+3, the clip's first and last frame standing in beyond
its ends.
"""

from __future__ import annotations

from collections.abc import Mapping

import vapoursynth as vs

__all__ = ["DEFAULT_THRESHOLD", "equal_frames", "held_frames", "is_equal", "is_held"]

DEFAULT_THRESHOLD = 2.5
"""8-bit steps; see docs/detectors.md for how it was found."""

CELL, PATCH = 4, 32
"""Side lengths in pixels."""
DRIFT = 3
"""Most gaps over which a drift is looked for."""
STEPS = 219.0
"""8-bit steps from black to white."""

EQUAL = "_IfrnetEqual"
MOVED = "_IfrnetMoved"
FLOAT_FORMATS = {vs.GRAY: vs.GRAYS, vs.YUV: vs.YUV444PS, vs.RGB: vs.RGBS}


def equal_frames(clip: vs.VideoNode) -> vs.VideoNode:
    """One frame a gap, as many as ``clip`` has frames: 1x1 GRAY8, for ``is_equal``.

    ``clip`` has a constant format, any. The last frame has no gap and means nothing.
    """
    core = vs.core
    blank = core.std.BlankClip(
        clip, width=1, height=1, format=vs.GRAY8, length=clip.num_frames, keep=True
    )
    if clip.format.sample_type == vs.FLOAT and clip.format.bits_per_sample == 16:
        # PlaneStats has no half precision. Single precision holds every value of it.
        single = clip.format.replace(bits_per_sample=32)
        clip = core.resize.Point(core.std.RemoveFrameProps(clip), format=single.id)
    following = core.std.DuplicateFrames(clip, clip.num_frames - 1)[1:]
    stats = clip
    names = [f"{EQUAL}{plane}" for plane in range(clip.format.num_planes)]
    for plane, name in enumerate(names):
        stats = core.std.PlaneStats(stats, following, plane=plane, prop=name)
    return core.std.CopyFrameProps(blank, stats, props=[f"{name}Diff" for name in names])


def is_equal(props: Mapping[str, object]) -> bool:
    """Whether every sample is the same on both sides of the gap, by its frame of ``equal_frames``.

    The mean absolute difference of a plane is 0 only when each difference is: they are summed in
    64 bits, none is negative. A frame with NaN equals no other.
    """
    differences = [props[key] for key in props if key.startswith(EQUAL)]
    return bool(differences) and all(difference == 0 for difference in differences)


def held_frames(clip: vs.VideoNode, threshold: float = DEFAULT_THRESHOLD) -> vs.VideoNode:
    """One frame a gap, as many as ``clip`` has frames: 1x1 GRAYS, for ``is_held``.

    ``clip`` has a constant format, any. ``threshold`` is the change, in 8-bit steps, from which on
    a patch of 32x32 pixels shows another drawing. The last frame has no gap and means nothing.
    """
    core = vs.core
    cells = _cells(clip)
    # Frames k-(DRIFT-1)..k+DRIFT, with the ends repeated.
    cells = core.std.DuplicateFrames(cells, [0] * (DRIFT - 1))
    cells = core.std.DuplicateFrames(cells, [cells.num_frames - 1] * (2 * DRIFT))
    length = clip.num_frames + 2 * (DRIFT - 1)
    patches = -(-clip.width // PATCH), -(-clip.height // PATCH)
    inputs: list[vs.VideoNode] = []

    def add(change: vs.VideoNode, offset: int) -> str:
        """The name in the expression of the changes from frame k + ``offset`` on."""
        start = DRIFT - 1 + offset
        inputs.append(change[start : start + clip.num_frames])
        return "xyzabcdefghijklmnopqrstuvw"[len(inputs) - 1]

    limit = threshold / STEPS
    single = _change(cells[:length], cells[1 : 1 + length], patches)
    step = {offset: add(single, offset) for offset in range(1 - DRIFT, DRIFT)}
    verdict = f"{step[0]} {limit} >="
    for gaps in range(2, DRIFT + 1):
        change = _change(cells[:length], cells[gaps : gaps + length], patches)
        for start in range(1 - gaps, 1):
            steps = " ".join(step[start + i] for i in range(gaps))
            least, most = (steps + f" {operator}" * (gaps - 1) for operator in ("min", "max"))
            verdict += f" {add(change, start)} {limit} >= {least} {most} 0.5 * >= and or"
    moved = core.std.Expr(inputs, verdict).resize.Bilinear(1, 1)
    return core.std.PlaneStats(moved, prop=MOVED)


def is_held(props: Mapping[str, object]) -> bool:
    """Whether both sides of the gap show the same drawing, by its frame of ``held_frames``."""
    return props[f"{MOVED}Average"] == 0


def _cells(clip: vs.VideoNode) -> vs.VideoNode:
    """All planes at the size of the cells, as floats. All props go: range, matrix and field flags
    have no say, and would make some conversions fail."""
    return vs.core.resize.Bilinear(
        vs.core.std.RemoveFrameProps(clip),
        -(-clip.width // CELL),
        -(-clip.height // CELL),
        format=FLOAT_FORMATS[clip.format.color_family],
    )


def _change(first: vs.VideoNode, second: vs.VideoNode, size: tuple[int, int]) -> vs.VideoNode:
    """The change of each patch, of the plane where it is largest; black to white is 1."""
    core = vs.core
    change = core.std.Expr([first, second], "x y - abs").resize.Bilinear(*size)
    planes = [core.std.ShufflePlanes(change, p, vs.GRAY) for p in range(change.format.num_planes)]
    return core.std.Expr(planes, " ".join("xyz"[: len(planes)]) + " max" * (len(planes) - 1))
