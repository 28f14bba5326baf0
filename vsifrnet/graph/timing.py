"""The props of an output frame that describe its time, from the source's own times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import vapoursynth as vs

from vsifrnet.detect.plan import Gap
from vsifrnet.graph.nodes import WarnOnce, shows_right
from vsifrnet.graph.timecodes import frame_duration
from vsifrnet.graph.timeline import Timeline

__all__ = ["TIMING_PROPS", "Timing"]

TIMING_PROPS = (
    *("_DurationNum", "_DurationDen", "_AbsoluteTime"),
    *("_SceneChangePrev", "_SceneChangeNext"),
)
"""Props that describe a frame's time, or the gap before or after it."""

TOLERANCE = 0.25
"""Relative deviation of a frame's duration from the clip's frame rate that is not warned about."""


class Timing:
    """ModifyFrame callback that sets an output frame's duration, time and scene change tags."""

    def __init__(
        self,
        timeline: Timeline,
        clip: vs.VideoNode,
        window: Sequence[int],
        sc_mode: str,
        warn: WarnOnce,
    ) -> None:
        """``window`` is the offsets, from the left frame, of the source frames that are read.

        Only their props are read. ``clip`` is the source; its frame rate stands in for frames
        without a duration.
        """
        self._timeline = timeline
        self._window = window
        self._sc_mode = sc_mode
        self._warn = warn
        self._default = 1 / clip.fps if clip.fps else None
        self._rgb = clip.format.color_family == vs.RGB

    def __call__(self, n: int, f: Sequence[vs.VideoFrame]) -> vs.VideoFrame:
        """Set the props of frame ``n``; ``f`` is that frame, the plan's, and the window's."""
        picked, planned, *sources = f
        around = {k: source.props for k, source in zip(self._window, sources, strict=True)}
        frame = picked.copy()
        if self._rgb:
            frame.props["_Matrix"] = vs.MATRIX_RGB
        self._set_times(n, frame.props, around)
        # A frame that is shown before its own time keeps its own tags.
        if not shows_right(Gap.read(planned.props), self._timeline.position(n), self._sc_mode):
            self._set_scene_changes(n, frame.props, around)
        return frame

    def _set_times(self, n: int, props: vs.FrameProps, around: Mapping[int, vs.FrameProps]) -> None:
        durations = [self._duration(around[k]) for k in range(self._timeline.reach)]
        self._check_rate(n, durations[0])
        duration = self._timeline.duration(n, durations)
        if duration is None:
            # The left frame's duration, which the picked frame carries, would be wrong.
            for name in ("_DurationNum", "_DurationDen"):
                props.pop(name, None)
        else:
            props["_DurationNum"], props["_DurationDen"] = duration.as_integer_ratio()
        if "_AbsoluteTime" in props:
            begin = around[0].get("_AbsoluteTime")
            time = None if begin is None else self._timeline.begins(n, begin, durations[0])
            if time is None:
                del props["_AbsoluteTime"]
            else:
                props["_AbsoluteTime"] = time

    def _check_rate(self, n: int, duration: Fraction | None) -> None:
        """Warn if a source frame's duration contradicts a constant frame rate."""
        if not self._timeline.steady or duration is None or self._default is None:
            return
        number = self._timeline.position(n).left
        # Matroska rounds times to a millisecond, and the last frame's duration is often a guess.
        if abs(duration / self._default - 1) > TOLERANCE and number < self._timeline.frames - 1:
            self._warn(
                "source frame %d lasts %.4g s, where the clip's frame rate says %.4g: with "
                "a variable frame rate, fps_num needs timecodes, or picture and sound drift apart",
                number,
                duration,
                self._default,
            )

    def _set_scene_changes(
        self, n: int, props: vs.FrameProps, around: Mapping[int, vs.FrameProps]
    ) -> None:
        """Set each tag if a source frame between two output frames, also a dropped one, has it."""
        left = self._timeline.position(n).left
        before = self._timeline.position(n - 1).left if n else left - 1
        following = self._timeline.position(n + 1)
        # With "nearest" the frame after a cut may be shown early, so its gap counts as passed.
        # Without a cut this changes nothing, because that gap has no tag set.
        early = self._sc_mode == "nearest" and 2 * following.phase >= 1
        after = following.left + early
        come = range(before + 1 - left, 1)  # source frames since output frame n - 1
        go = range(max(after - left, 1))  # source frames up to output frame n + 1
        for name, passed in (("_SceneChangePrev", come), ("_SceneChangeNext", go)):
            if name in props:
                tags = [around[k].get(name, 0) for k in passed if k in around]
                props[name] = int(any(tags))

    def _duration(self, props: vs.FrameProps) -> Fraction | None:
        """Return a source frame's duration in seconds, or None where it is not known."""
        duration = frame_duration(props)
        return self._default if duration is None else duration
