"""The plan: what the output shows between each source frame and the next one.

Gap k is the time from source frame k to k + 1. Two clips of one pixel carry the decisions about
gaps as props, in source time: ``facts`` tells whether the frame is held and whether there is a
cut, and ``plan``, which is made from the facts, between which two frames to interpolate. Both are
made once per source frame, whatever the output rate, and depend on that frame's neighbours only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from fractions import Fraction
from typing import Any, NamedTuple

import vapoursynth as vs

from vsifrnet.detect.clips import blank, cached, shift, uncached
from vsifrnet.detect.held import equal_alpha, equal_frames, held_frames, is_equal, is_held
from vsifrnet.detect.scenes import gap_scores, is_cut, is_flash

__all__ = ["DUP_MAX", "Fact", "Gap", "Kind", "decide", "pairs", "plan"]

DUP_MAX = 8
"""Maximum of the argument ``dup_max``."""


class Fact(NamedTuple):
    """What the detectors found in a gap; both values are False if there is motion."""

    held: bool
    """Frame k + 1 shows the same picture as frame k."""
    cut: bool
    """Frame k + 1 begins another scene, begins or ends a flash, or does not exist."""


class Kind(IntEnum):
    """What the output frames in a gap show."""

    MAKE = 0
    """The output shows frames that are interpolated between ``first`` and ``next``."""
    STILL = 1
    """The output shows the left frame."""
    CUT = 2
    """The output shows what ``sc_mode`` selects."""


class Gap(NamedTuple):
    """The decision for output frames at source times in [k, k + 1)."""

    kind: Kind
    first: int
    """Source frame at time 0 of the pair: k, or the first frame of a bridged drawing."""
    next: int
    """Source frame at time 1 of the pair."""

    @classmethod
    def read(cls, props: Mapping[str, Any]) -> Gap:
        """Read the props of a frame of the plan."""
        return cls(Kind(props["kind"]), props["first"], props["next"])

    def time(self, moment: Fraction) -> Fraction:
        """Convert source time to the pair's time t, in [0, 1)."""
        return (moment - self.first) / (self.next - self.first)


def decide(k: int, facts: Mapping[int, Fact], dup_max: int) -> Gap:
    """Return the decision for gap ``k``.

    Args:
        facts: the facts of gap k and of the existing gaps from k - dup_max to k + dup_max - 1.
        dup_max: the longest run of held frames that is one drawing. All gaps of such a run are
            bridged at once, from its first frame to the next drawing. A longer run is a still
            picture. 0 bridges nothing.
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
    """Return the plan for ``clip``: a clip of one pixel, as long, for :meth:`Gap.read`.

    If ``sc_threshold`` is None, neither cuts nor flashes are detected. If ``dup_max`` is 0, a
    frame is held only if every sample is equal; otherwise also if the detector
    :func:`~vsifrnet.detect.held.held_frames` with ``dup_threshold`` finds the same drawing.
    """
    canvas = blank(clip)
    alpha = uncached(canvas.std.CopyFrameProps(clip, props=["_Alpha"]))
    seen = [equal_frames(clip), alpha, shift(alpha, 1)]
    if dup_max:
        seen.append(held_frames(clip, dup_threshold))
    if sc_threshold is not None:
        seen.append(gap_scores(clip))
    detect = _Detect(clip.num_frames, held=bool(dup_max), sc_threshold=sc_threshold)
    facts = cached(canvas.std.ModifyFrame([canvas, *seen], detect))
    around = range(-dup_max, max(dup_max, 1))
    window = [shift(facts, offset) for offset in around]
    return cached(canvas.std.ModifyFrame([canvas, *window], _Plan(clip.num_frames, around)))


def pairs(
    clip: vs.VideoNode, planned: vs.VideoNode, dup_max: int
) -> tuple[vs.VideoNode, vs.VideoNode]:
    """Return two clips whose frames k are the first and the second frame of gap k's pair.

    ``planned`` is the clip that :func:`plan` returned, for the same ``dup_max``.
    """
    if not dup_max:
        return clip, shift(clip, 1)
    firsts = [shift(clip, -k) for k in range(dup_max)]
    nexts = [shift(clip, k) for k in range(1, dup_max + 1)]
    return (
        uncached(clip.std.FrameEval(_First(firsts), prop_src=planned, clip_src=firsts)),
        uncached(clip.std.FrameEval(_Next(nexts), prop_src=planned, clip_src=nexts)),
    )


class _First:
    """FrameEval callback that selects the first frame of each gap's pair."""

    def __init__(self, shifted: Sequence[vs.VideoNode]) -> None:
        self._shifted = shifted  # shifted[i] is the clip shifted by -i frames.

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoNode:
        return self._shifted[n - Gap.read(f.props).first]


class _Next:
    """FrameEval callback that selects the second frame of each gap's pair."""

    def __init__(self, shifted: Sequence[vs.VideoNode]) -> None:
        self._shifted = shifted  # shifted[i] is the clip shifted by i + 1 frames.

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoNode:
        return self._shifted[Gap.read(f.props).next - n - 1]


class _Detect:
    """ModifyFrame callback that writes the fact about gap n into the props of frame n."""

    def __init__(self, frames: int, *, held: bool, sc_threshold: float | None) -> None:
        self._frames = frames
        self._held = held
        self._sc_threshold = sc_threshold

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        canvas, equal, alpha, next_alpha, *others = f
        fact = self._fact(n, equal, others)
        if fact.held and not equal_alpha(alpha, next_alpha):
            fact = fact._replace(held=False)
        frame = canvas.copy()
        frame.props.update(fact._asdict())
        return frame

    def _fact(self, n: int, equal: vs.VideoFrame, others: list[vs.VideoFrame]) -> Fact:
        if n == self._frames - 1:
            return Fact(held=False, cut=True)
        # Cuts come first because the source may tag one between equal frames.
        if self._sc_threshold is not None:
            scores = others[-1].props
            if is_cut(scores, self._sc_threshold) or is_flash(scores):
                return Fact(held=False, cut=True)
        held = is_equal(equal.props) or (self._held and is_held(others[0].props))
        return Fact(held, cut=False)


class _Plan:
    """ModifyFrame callback that writes the decision for gap n into the props of frame n."""

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
        if n == self._frames - 1:  # No frame follows the last one.
            gap = gap._replace(kind=Kind.STILL)
        frame.props.update(gap._asdict())
        return frame
