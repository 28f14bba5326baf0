"""Scene changes: is there a cut between frames k and k + 1?

``cut_scores`` builds a chain of core functions whose frame k describes gap k, in which no Python
runs; ``is_cut`` turns that frame's props into the decision.

A gap is scored on 48x27 thumbnails of the luma with mean 0 and deviation 1, so that light and fades
count little and dark scenes as much as bright ones:

* The *distance* of two thumbnails is how far each pixel lies outside the range of the other
  thumbnail within two pixels around it. Motion of up to 4% of the width thus counts little.
* The *novelty* of gap k is the smallest distance from k to k+1..k+4 and from k-3..k to k+1. After
  a flash of up to three frames the old picture is back, so that its gaps have no novelty.
* The *motion* around it is the mean of the largest distance of neighbours in the three gaps before
  and in the three after: with three, the motion of drawings held for three frames is seen.
* score = (novelty - motion) / (novelty + motion + ``FLOOR``), at least 0.

The score depends on frames k-3 to k+4; the clip's first and last frame stand in beyond its ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vapoursynth as vs

__all__ = ["DEFAULT_THRESHOLD", "cut_scores", "is_cut"]

DEFAULT_THRESHOLD = 0.35
"""The score from which a gap is a cut; docs/detectors.md says how it was chosen."""

WIDTH, HEIGHT = 48, 27
REACH = 2
"""How far content may move without counting, in pixels of a thumbnail."""
FLASH = 3
"""The longest flash, and half the window of the motion, in frames."""
CONTRAST = 0.027
"""The deviation (luma in [0, 1]) below which a thumbnail counts as flat: six 8-bit steps."""
FLOOR = 0.2
"""The novelty at which a gap in a picture without motion scores 0.5."""

SCORE = "_IfrnetCut"
TAGS = "_SceneChangeNext", "_SceneChangePrev"
"""The tags of the left and of the right frame of a gap."""
CODING = (
    *("_Matrix", "_Transfer", "_Primaries", "_Range", "_ColorRange"),
    *("_ChromaLocation", "_FieldBased"),
)
"""Props that do not change a thumbnail and would make some conversions fail."""


def cut_scores(clip: vs.VideoNode) -> vs.VideoNode:
    """Return one frame per gap, 1x1 GRAYS, for :func:`is_cut`; as many as ``clip`` has frames.

    ``clip`` may have any constant format. Frame k carries the score of gap k, ``_SceneChangeNext``
    of the clip's frame k and ``_SceneChangePrev`` of its frame k + 1, where they have these. The
    last frame belongs to no gap.
    """
    core = vs.core
    thumbnails = _normalised(_thumbnails(clip))
    thumbnails = core.std.DuplicateFrames(thumbnails, [0] * FLASH)
    thumbnails = core.std.DuplicateFrames(thumbnails, [thumbnails.num_frames - 1] * (2 * FLASH + 1))
    low, high = thumbnails, thumbnails
    for _ in range(REACH):
        low, high = core.std.Minimum(low), core.std.Maximum(high)

    # Frame n of distance[lag] compares the clip's frames n - FLASH and n - FLASH + lag.
    length = clip.num_frames + 2 * FLASH
    bands = thumbnails, low, high
    distance = {
        lag: _distance([band[start : start + length] for start in (0, lag) for band in bands])
        for lag in range(1, FLASH + 2)
    }

    def gaps(lag: int, offset: int) -> vs.VideoNode:
        start = FLASH + offset
        return distance[lag][start : start + clip.num_frames]

    ends = [gaps(1, 0)]
    for lag in range(2, FLASH + 2):
        ends += [gaps(lag, 0), gaps(lag, 1 - lag)]
    before = [gaps(1, -i) for i in range(1, FLASH + 1)]
    after = [gaps(1, i) for i in range(1, FLASH + 1)]
    names = iter("xyzabcdefghijklmnopqrstuvw")

    def fold(nodes: list[vs.VideoNode], operator: str) -> str:
        return " ".join(next(names) for _ in nodes) + f" {operator}" * (len(nodes) - 1)

    novelty, left, right = fold(ends, "min"), fold(before, "max"), fold(after, "max")
    motion = f"{left} {right} + 2 /"
    score = core.std.Expr(
        ends + before + after,
        f"{novelty} {motion} - {novelty} {motion} + {FLOOR} + / 0 max",
    )
    score = core.std.PlaneStats(score, prop=SCORE)
    for side, tag in enumerate(TAGS):
        tagged = thumbnails[FLASH + side : FLASH + side + clip.num_frames]
        score = core.std.CopyFrameProps(score, tagged, props=tag)
    return score


def is_cut(props: Mapping[str, Any], threshold: float = DEFAULT_THRESHOLD) -> bool:
    """Return whether a gap is a cut, by the props of its frame of :func:`cut_scores`.

    Where the source has tags on either side of the gap, the tags decide. Otherwise the score, in
    [0, 1], decides: from ``threshold`` on the gap is a cut.
    """
    tags = [bool(props[tag]) for tag in TAGS if tag in props]
    if tags:
        return any(tags)
    return bool(props[f"{SCORE}Average"] >= threshold)


def _thumbnails(clip: vs.VideoNode) -> vs.VideoNode:
    """Return the luma as 48x27 GRAYS, with the tags."""
    clip = vs.core.std.RemoveFrameProps(clip, CODING)
    matrix = vs.MATRIX_BT709 if clip.format.color_family == vs.RGB else None
    if clip.format.color_family == vs.YUV:
        clip = vs.core.std.ShufflePlanes(clip, 0, vs.GRAY)
    return vs.core.resize.Bilinear(clip, WIDTH, HEIGHT, format=vs.GRAYS, matrix=matrix)


def _normalised(clip: vs.VideoNode) -> vs.VideoNode:
    """Return each frame minus its mean, divided by its deviation."""
    core = vs.core
    square = core.std.Expr(clip, "x x *")
    mean, power = (_mean(node).resize.Point(WIDTH, HEIGHT) for node in (clip, square))
    return core.std.Expr(
        [clip, mean, power], f"x y - z y y * - 0 max {CONTRAST * CONTRAST} + sqrt /"
    )


def _mean(clip: vs.VideoNode) -> vs.VideoNode:
    return vs.core.resize.Bilinear(clip, 1, 1)  # mirrored borders give all pixels the same weight


def _distance(nodes: list[vs.VideoNode]) -> vs.VideoNode:
    """Return the mean distance, 1x1, of two thumbnails with their local minima and maxima."""
    # x, y, z are one thumbnail, its minimum and its maximum; a, b, c are the other's.
    outside = "x c - b x - max 0 max a z - y a - max 0 max + 2 /"
    return _mean(vs.core.std.Expr(nodes, outside))
