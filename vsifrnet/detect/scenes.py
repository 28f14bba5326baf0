"""Scene cuts: is the gap between frames k and k+1 a cut?

``cut_scores`` builds, once, a chain of core functions whose frame k describes gap k; ``is_cut``
turns that frame's props into the decision. No Python runs per frame up to there.

How a gap is scored, on 48x27 thumbnails of the luma with mean 0 and deviation 1 (so that light and
fades count little, and dark scenes as much as bright ones):

* The *distance* of two thumbnails is how far each pixel lies outside of what the other thumbnail
  shows within two pixels around it. Motion up to 4% of the width a frame thus counts little.
* The *novelty* of gap k is the least of the distances from k to k+1..k+4 and from k-3..k to k+1:
  after a flash of up to three frames the old picture is back, so that its gaps have none.
* The *motion* around it is the mean of the largest distance of neighbours in the three gaps before
  and in the three after. Three, so that drawings held for three frames have their motion seen.
* score = (novelty - motion) / (novelty + motion + ``FLOOR``), at least 0.

A gap's score depends on frames k-3..k+4, the clip's first and last frame standing in beyond its
ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vapoursynth as vs

__all__ = ["DEFAULT_THRESHOLD", "cut_scores", "is_cut"]

DEFAULT_THRESHOLD = 0.35
"""Scores from here on are cuts; see docs/detectors.md for how it was found."""

WIDTH, HEIGHT = 48, 27
REACH = 2
"""Pixels of a thumbnail that the content may move without counting."""
FLASH = 3
"""Longest flash, and half the window of the motion, in frames."""
CONTRAST = 0.027
"""Deviation of a thumbnail (luma 0..1) below which it counts as flat: six 8-bit steps."""
FLOOR = 0.2
"""Novelty at which a gap in a picture that stands still scores 0.5."""

SCORE = "_IfrnetCut"
TAGS = "_SceneChangeNext", "_SceneChangePrev"
"""Of the left and of the right frame."""
CODING = (
    *("_Matrix", "_Transfer", "_Primaries", "_Range", "_ColorRange"),
    *("_ChromaLocation", "_FieldBased"),
)
"""Props that have no say in a thumbnail, and would make some conversions fail."""


def cut_scores(clip: vs.VideoNode) -> vs.VideoNode:
    """One frame a gap, as many as ``clip`` has frames: 1x1 GRAYS, for ``is_cut``.

    ``clip`` has a constant format, any. Frame k carries the score of gap k, ``_SceneChangeNext``
    of the clip's frame k and ``_SceneChangePrev`` of its frame k+1, where they have them. The last
    frame has no gap and means nothing.
    """
    core = vs.core
    thumbnails = _normalised(_thumbnails(clip))
    thumbnails = core.std.DuplicateFrames(thumbnails, [0] * FLASH)
    thumbnails = core.std.DuplicateFrames(thumbnails, [thumbnails.num_frames - 1] * (2 * FLASH + 1))
    low, high = thumbnails, thumbnails
    for _ in range(REACH):
        low, high = core.std.Minimum(low), core.std.Maximum(high)

    # Frame n of these is about the clip's frames n - FLASH and n - FLASH + lag.
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
    """Whether the gap is a cut, by the props of its frame of ``cut_scores``.

    Tags decide where the source has them on either side of the gap; else the score, in [0, 1],
    does: ``threshold`` and above are cuts, so 0 makes every gap one, and above 1 none is.
    """
    tags = [bool(props[tag]) for tag in TAGS if tag in props]
    if tags:
        return any(tags)
    return bool(props[f"{SCORE}Average"] >= threshold)


def _thumbnails(clip: vs.VideoNode) -> vs.VideoNode:
    """Luma, 48x27 GRAYS, with the tags."""
    clip = vs.core.std.RemoveFrameProps(clip, CODING)
    matrix = vs.MATRIX_BT709 if clip.format.color_family == vs.RGB else None
    if clip.format.color_family == vs.YUV:
        clip = vs.core.std.ShufflePlanes(clip, 0, vs.GRAY)
    return vs.core.resize.Bilinear(clip, WIDTH, HEIGHT, format=vs.GRAYS, matrix=matrix)


def _normalised(clip: vs.VideoNode) -> vs.VideoNode:
    """Each frame minus its mean, by its deviation."""
    core = vs.core
    square = core.std.Expr(clip, "x x *")
    mean, power = (_mean(node).resize.Point(WIDTH, HEIGHT) for node in (clip, square))
    return core.std.Expr(
        [clip, mean, power], f"x y - z y y * - 0 max {CONTRAST * CONTRAST} + sqrt /"
    )


def _mean(clip: vs.VideoNode) -> vs.VideoNode:
    return vs.core.resize.Bilinear(clip, 1, 1)  # weighs all pixels alike, by mirrored borders


def _distance(nodes: list[vs.VideoNode]) -> vs.VideoNode:
    """Mean distance, 1x1, of two thumbnails, each given with its local minimum and maximum."""
    # x y z is one thumbnail, its minimum and maximum; a b c the other's.
    outside = "x c - b x - max 0 max a z - y a - max 0 max + 2 /"
    return _mean(vs.core.std.Expr(nodes, outside))
