"""What lies between a source frame and the next, and so what output frames there show.

Gap k is the time from source frame k to k + 1. Two clips of one pixel carry what is known of it,
as props, in source time: ``facts`` (is the picture held, is there a cut) and from these ``plan``
(which two frames to interpolate between). Both are made once a source frame, whatever the rate,
and depend on that frame's surroundings only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from fractions import Fraction
from typing import Any, NamedTuple

import vapoursynth as vs

from vsifrnet.detect.held import equal_frames, held_frames, is_equal, is_held
from vsifrnet.detect.scenes import cut_scores, is_cut

__all__ = ["DUP_MAX", "Fact", "Gap", "Kind", "decide", "plan", "props_alone", "shift"]

DUP_MAX = 8
"""The longest run of held frames that can be asked to be bridged."""

CACHED = 256
"""Frames of one pixel that each of the two clips keeps."""


class Fact(NamedTuple):
    """What was seen in a gap; both False where there is motion."""

    held: bool
    """Frame k + 1 shows the same picture as frame k."""
    cut: bool
    """Frame k + 1 begins another scene, or does not exist."""


class Kind(IntEnum):
    """What output frames in a gap show."""

    MAKE = 0
    """Frames made between ``first`` and ``next``."""
    STILL = 1
    """The left frame."""
    CUT = 2
    """What the user wants at a cut."""


class Gap(NamedTuple):
    """The decision for output frames at source times in [k, k + 1)."""

    kind: Kind
    first: int
    """Source frame at time 0 of the pair; k, unless the drawing of frame k began earlier."""
    next: int
    """Source frame at time 1 of the pair."""

    @classmethod
    def read(cls, props: Mapping[str, Any]) -> Gap:
        """From a frame of the plan."""
        return cls(Kind(props["kind"]), props["first"], props["next"])

    def time(self, moment: Fraction) -> Fraction:
        """Source time to the pair's time t, in [0, 1)."""
        return (moment - self.first) / (self.next - self.first)


def decide(k: int, facts: Mapping[int, Fact], dup_max: int) -> Gap:
    """The decision for gap ``k``.

    Args:
        facts: of the gaps from k - dup_max to k + dup_max - 1, as far as they exist, and of k.
        dup_max: the longest run of held frames that is one drawing, shown from its first frame on
            until the next drawing: all its gaps are bridged at once. Runs beyond are a picture
            that stands still. 0 bridges nothing.
    """
    if facts[k].cut:
        return Gap(Kind.CUT, k, k + 1)
    first, last = k, k
    while first > max(0, k - dup_max) and facts[first - 1].held:
        first -= 1
    while last < k + dup_max and facts[last].held:
        last += 1
    if last - first < dup_max and not facts[last].cut:
        return Gap(Kind.MAKE, first, last + 1)
    return Gap(Kind.STILL if facts[k].held else Kind.MAKE, k, k + 1)


def plan(
    clip: vs.VideoNode, *, sc_threshold: float | None, dup_threshold: float, dup_max: int
) -> vs.VideoNode:
    """The plan for ``clip``: a clip of one pixel and as many frames, for :meth:`Gap.read`.

    ``sc_threshold`` None looks for no cuts. With ``dup_max`` 0 only frames that are equal to the
    last sample are held; else also those that differ by less than ``dup_threshold``.
    """
    canvas = _canvas(clip)
    seen = [equal_frames(clip)]
    if dup_max:
        seen.append(held_frames(clip, dup_threshold))
    if sc_threshold is not None:
        seen.append(cut_scores(clip))
    detect = _Detect(clip.num_frames, held=bool(dup_max), sc_threshold=sc_threshold)
    facts = _cached(canvas.std.ModifyFrame([canvas, *seen], detect))
    around = range(-dup_max, max(dup_max, 1))
    window = [shift(facts, offset) for offset in around]
    return _cached(canvas.std.ModifyFrame([canvas, *window], _Plan(clip.num_frames, around)))


class _Detect:
    """ModifyFrame: what the detectors say of gap n."""

    def __init__(self, frames: int, *, held: bool, sc_threshold: float | None) -> None:
        self._frames = frames
        self._held = held
        self._sc_threshold = sc_threshold

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        canvas, equal, *others = f
        frame = canvas.copy()
        frame.props.update(self._fact(n, equal, others)._asdict())
        return frame

    def _fact(self, n: int, equal: vs.VideoFrame, others: list[vs.VideoFrame]) -> Fact:
        if n == self._frames - 1:
            return Fact(held=False, cut=True)
        # Cuts first: the source may tag one between equal frames.
        if self._sc_threshold is not None and is_cut(others[-1].props, self._sc_threshold):
            return Fact(held=False, cut=True)
        held = is_equal(equal.props) or (self._held and is_held(others[0].props))
        return Fact(held, cut=False)


class _Plan:
    """ModifyFrame: the decision for gap n."""

    def __init__(self, frames: int, around: range) -> None:
        self._frames = frames
        self._around = around

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        canvas, *window = f
        facts = {
            n + offset: Fact(bool(seen.props["held"]), bool(seen.props["cut"]))
            for offset, seen in zip(self._around, window, strict=True)
            if 0 <= n + offset < self._frames
        }
        frame = canvas.copy()
        gap = decide(n, facts, -self._around[0])
        if n == self._frames - 1:  # nothing to cut to
            gap = gap._replace(kind=Kind.STILL)
        frame.props.update(gap._asdict())
        return frame


def props_alone(clip: vs.VideoNode, names: Sequence[str]) -> vs.VideoNode:
    """A clip of one pixel whose frames carry these props of ``clip``'s."""
    return _cached(_canvas(clip).std.CopyFrameProps(clip, props=list(names)))


def shift(node: vs.VideoNode, frames: int) -> vs.VideoNode:
    """Frame k of the result is frame k + ``frames``; the ends stay for what lies beyond."""
    last = node.num_frames - 1
    if frames > 0:
        frames = min(frames, last)
        rest, repeated = node[frames:], [last - frames] * frames
    elif frames < 0:
        frames = max(frames, -last)
        rest, repeated = node[:frames], [0] * -frames
    else:
        return node
    rest.std.SetVideoCache(mode=0)
    node = rest.std.DuplicateFrames(repeated)
    node.std.SetVideoCache(mode=0)
    return node


def _canvas(clip: vs.VideoNode) -> vs.VideoNode:
    """As many frames of one pixel, to carry props."""
    return clip.std.BlankClip(width=1, height=1, format=vs.GRAY8, length=clip.num_frames, keep=1)


def _cached(node: vs.VideoNode) -> vs.VideoNode:
    node.std.SetVideoCache(mode=1, fixedsize=1, maxsize=CACHED)
    return node
