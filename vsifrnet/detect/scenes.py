"""Detection of scene changes: cuts and edges of flashes between frames k and k + 1.

``gap_scores`` builds a chain of core functions, in which no Python runs; its frame k describes
gap k. ``is_cut`` and ``is_flash`` turn that frame's props into decisions.

A gap is scored on 48x27 thumbnails of the luma, normalised to mean 0 and deviation 1. Changes of
light and fades thus count little, and dark scenes count as much as bright ones:

* The *distance* of two thumbnails is how far each pixel lies outside the range of the other
  thumbnail within two pixels around it. Motion of up to 4% of the width thus counts little.
* The *novelty* of gap k is the smallest distance from k to k+1..k+4 and from k-3..k to k+1. After
  a flash of up to three frames the old picture is back, so the flash's gaps have no novelty.
* The *motion* around the gap is the mean of two maxima: the largest distance of neighbours in the
  three gaps before it, and in the three gaps after it. Three gaps are enough to see the motion of
  drawings that are held for three frames.
* score = (novelty - motion) / (novelty + motion + ``FLOOR``), at least 0.

A flash (such as a white, black or negative frame) shares no structure with the pictures around it,
and the picture before the flash comes back after it. A gap is the edge of a flash if

* its two frames are at a distance of ``UNLIKE`` or more, and a distance across the flash (from k to
  k+2..k+4 or from k-3..k-1 to k+1) is at most ``RETURN`` of that; or
* one of its frames is flat and the other has a deviation of ``STRUCTURE`` or more.

Changes of light (flicker, fades, lightning over a visible picture) fulfil neither condition,
because thumbnails are normalised and because a fade becomes flat in small steps.

The score depends on frames k-3 to k+4; beyond the clip's ends its first and last frame stand in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vapoursynth as vs
from vsutil import EXPR_VARS, get_y, iterate

from vsifrnet.detect.clips import fold

__all__ = ["DEFAULT_THRESHOLD", "gap_scores", "is_cut", "is_flash"]

DEFAULT_THRESHOLD = 0.35
"""The score from which a gap is a cut; docs/detectors.md says how it was chosen."""

WIDTH, HEIGHT = 48, 27
REACH = 2
"""How far content may move without counting, in pixels of a thumbnail."""
FLASH = 3
"""The longest flash, and half the window of the motion, in frames."""
CONTRAST = 0.027
"""The deviation (luma in [0, 1]) below which a thumbnail is flat: six 8-bit steps."""
FLOOR = 0.2
"""The novelty at which a gap in a picture without motion scores 0.5."""
UNLIKE = 0.2
"""The distance from which two thumbnails share no structure."""
RETURN = 0.4
"""The share of that distance up to which the pictures before and after a flash are the same."""
STRUCTURE = 0.08
"""The deviation (luma in [0, 1]) from which a thumbnail beside a flat one has structure."""

SCORE = "_IfrnetCut"
EDGE = "_IfrnetFlash"
TAGS = "_SceneChangeNext", "_SceneChangePrev"
"""The tags of the left and of the right frame of a gap."""
CODING = (
    *("_Matrix", "_Transfer", "_Primaries", "_Range", "_ColorRange"),
    *("_ChromaLocation", "_FieldBased"),
)
"""Props that do not change a thumbnail and would make some conversions fail."""


def gap_scores(clip: vs.VideoNode) -> vs.VideoNode:
    """Return one frame per gap, 1x1 GRAYS, for :func:`is_cut` and :func:`is_flash`.

    ``clip`` may have any constant format; the result is as long. Frame k carries the scores of
    gap k and, if the clip has these tags, ``_SceneChangeNext`` of frame k and ``_SceneChangePrev``
    of frame k + 1. The last frame belongs to no gap.
    """
    core = vs.core
    thumbnails, deviation = _normalised(_extended(_thumbnails(clip)))
    low = iterate(thumbnails, core.std.Minimum, REACH)
    high = iterate(thumbnails, core.std.Maximum, REACH)

    # Frame n of distance[lag] compares the clip's frames n - FLASH and n - FLASH + lag.
    length = clip.num_frames + 2 * FLASH
    bands = thumbnails, low, high
    distance = {
        lag: _distance([band[start : start + length] for start in (0, lag) for band in bands])
        for lag in range(1, FLASH + 2)
    }

    def at(node: vs.VideoNode, offset: int) -> vs.VideoNode:
        start = FLASH + offset
        return node[start : start + clip.num_frames]

    direct = at(distance[1], 0)
    across = [at(distance[lag], first) for lag in range(2, FLASH + 2) for first in (0, 1 - lag)]
    before = [at(distance[1], -i) for i in range(1, FLASH + 1)]
    after = [at(distance[1], i) for i in range(1, FLASH + 1)]
    ends = 1 + len(across)
    novelty = fold(EXPR_VARS[:ends], "min")
    motion_before = fold(EXPR_VARS[ends : ends + FLASH], "max")
    motion_after = fold(EXPR_VARS[ends + FLASH : ends + 2 * FLASH], "max")
    motion = f"{motion_before} {motion_after} + 2 /"
    score = core.std.Expr(
        [direct, *across, *before, *after],
        f"{novelty} {motion} - {novelty} {motion} + {FLOOR} + / 0 max",
    )
    returned = fold(EXPR_VARS[1:ends], "min")
    unlike = f"{EXPR_VARS[0]} {UNLIKE} >= {returned} {RETURN} {EXPR_VARS[0]} * <="
    deviations = EXPR_VARS[ends : ends + 2]
    least, most = fold(deviations, "min"), fold(deviations, "max")
    edge = core.std.Expr(
        [direct, *across, at(deviation, 0), at(deviation, 1)],
        f"{unlike} and {least} {CONTRAST} < {most} {STRUCTURE} >= and or",
    )
    scores = core.std.PlaneStats(score, prop=SCORE)
    scores = core.std.CopyFrameProps(
        scores, core.std.PlaneStats(edge, prop=EDGE), props=f"{EDGE}Average"
    )
    for side, tag in enumerate(TAGS):
        scores = core.std.CopyFrameProps(scores, at(thumbnails, side), props=tag)
    return scores


def is_cut(props: Mapping[str, Any], threshold: float = DEFAULT_THRESHOLD) -> bool:
    """Return whether a gap is a cut, from the props of its frame of :func:`gap_scores`.

    If the source has a tag on either side of the gap, the tags decide. Otherwise the gap is a cut
    if its score, in [0, 1], is at least ``threshold``.
    """
    tags = [bool(props[tag]) for tag in TAGS if tag in props]
    if tags:
        return any(tags)
    return bool(props[f"{SCORE}Average"] >= threshold)


def is_flash(props: Mapping[str, Any]) -> bool:
    """Return whether a gap is a flash's edge, from the props of its :func:`gap_scores` frame."""
    return bool(props[f"{EDGE}Average"] > 0)


def _extended(clip: vs.VideoNode) -> vs.VideoNode:
    """Repeat the clip's first and last frame, so that every gap has the frames it needs."""
    clip = clip.std.DuplicateFrames([0] * FLASH)
    return clip.std.DuplicateFrames([clip.num_frames - 1] * (2 * FLASH + 1))


def _thumbnails(clip: vs.VideoNode) -> vs.VideoNode:
    """Return the luma as 48x27 GRAYS, with the tags."""
    clip = vs.core.std.RemoveFrameProps(clip, CODING)
    if clip.format.color_family == vs.RGB:
        return clip.resize.Bilinear(WIDTH, HEIGHT, format=vs.GRAYS, matrix=vs.MATRIX_BT709)
    return get_y(clip).resize.Bilinear(WIDTH, HEIGHT, format=vs.GRAYS)


def _normalised(clip: vs.VideoNode) -> tuple[vs.VideoNode, vs.VideoNode]:
    """Return each frame minus its mean, divided by its deviation; and the deviation, 1x1."""
    core = vs.core
    mean, power = _mean(clip), _mean(core.std.Expr(clip, "x x *"))
    deviation = core.std.Expr([mean, power], "y x x * - 0 max sqrt")
    large_mean, large_deviation = (node.resize.Point(WIDTH, HEIGHT) for node in (mean, deviation))
    normalised = core.std.Expr(
        [clip, large_mean, large_deviation], f"x y - z z * {CONTRAST * CONTRAST} + sqrt /"
    )
    return normalised, deviation


def _mean(clip: vs.VideoNode) -> vs.VideoNode:
    # The borders are mirrored, so all pixels have the same weight.
    return vs.core.resize.Bilinear(clip, 1, 1)


def _distance(nodes: list[vs.VideoNode]) -> vs.VideoNode:
    """Return the mean distance, 1x1, of two thumbnails with their local minima and maxima."""
    # x, y, z are one thumbnail, its minimum and its maximum; a, b, c are the other's.
    outside = "x c - b x - max 0 max a z - y a - max 0 max + 2 /"
    return _mean(vs.core.std.Expr(nodes, outside))
