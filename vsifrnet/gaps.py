"""What lies between a source frame and the next: the plan that the filter follows.

The plan is a clip in source time of one pixel whose frame k carries, as props, the decision for
output frames in [k, k + 1). It is made once a source frame, from that frame's surroundings only.
"""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction
from typing import NamedTuple

import vapoursynth as vs

__all__ = ["Gap", "Kind", "plan"]


class Kind(IntEnum):
    """What output frames in a gap show."""

    MAKE = 0
    """Frames made between ``first`` and ``next``."""
    STILL = 1
    """The left frame: the picture does not change, or the clip ends."""
    CUT = 2
    """What the user wants at a cut."""


class Gap(NamedTuple):
    """The decision for output frames at source times in [k, k + 1)."""

    kind: Kind
    first: int
    """Source frame at time 0 of the pair."""
    next: int
    """Source frame at time 1 of the pair."""

    @classmethod
    def read(cls, props: vs.FrameProps) -> Gap:
        """From a frame of the plan."""
        return cls(Kind(props["kind"]), props["first"], props["next"])

    def time(self, moment: Fraction) -> Fraction:
        """Source time to the pair's time t, in [0, 1)."""
        return (moment - self.first) / (self.next - self.first)


def plan(clip: vs.VideoNode, *, sc_threshold: float | None) -> vs.VideoNode:
    """The plan for ``clip``; ``sc_threshold`` is None where cuts are not to be looked for."""
    canvas = clip.std.BlankClip(width=1, height=1, format=vs.GRAY8, length=clip.num_frames, keep=1)
    following = clip[1:] + clip[-1]
    planes = range(clip.format.num_planes)
    equal = [clip.std.PlaneStats(following, plane=p, prop="Equal") for p in planes]
    node = canvas.std.ModifyFrame([canvas, *equal], _Decide(clip.num_frames))
    node.std.SetVideoCache(mode=1, fixedsize=1, maxsize=128)
    return node


class _Decide:
    """ModifyFrame: the plan's frame k."""

    def __init__(self, frames: int) -> None:
        self._frames = frames

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        canvas, *stats = f
        last = n == self._frames - 1
        still = last or all(stat.props["EqualDiff"] == 0 for stat in stats)
        frame = canvas.copy()
        frame.props.update(kind=int(Kind.STILL if still else Kind.MAKE), first=n, next=n + 1)
        return frame
