"""The map from output frames to moments of the source, in exact fractions.

Source time is counted in source frames: source frame k begins at k and lasts until k + 1. An
output frame at source time s lies ``phase = s - left`` after its left frame, ``left = floor(s)``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import ceil, floor, lcm
from typing import NamedTuple, Protocol

__all__ = ["Position", "TimedTimeline", "Timeline", "UniformTimeline"]

MAX_SKIPPED = 16
"""Maximum source frames between two output frames whose props are read, with timecodes."""


class Position(NamedTuple):
    """A moment in source time."""

    left: int
    phase: Fraction
    """Time after the left frame, in source frames, in [0, 1)."""

    @property
    def time(self) -> Fraction:
        """The moment in source frames."""
        return self.left + self.phase


class Timeline(Protocol):
    """The moments that output frames show."""

    @property
    def frames(self) -> int:
        """Number of source frames, at least 1."""

    @property
    def length(self) -> int:
        """Number of output frames that fit into the source's duration."""

    @property
    def grid(self) -> int | None:
        """A number d such that every phase is a multiple of 1 / d; None if there may be none."""

    @property
    def reach(self) -> int:
        """Number of source frames, from the left one on, that an output frame's timing needs."""

    @property
    def steady(self) -> bool:
        """Whether the timeline assumes that all source frames last equally long."""

    def position(self, n: int) -> Position:
        """Return the moment that output frame ``n`` shows."""

    def fps(self, source_fps: Fraction) -> Fraction:
        """Return the output's frame rate; 0 means a variable one."""

    def duration(self, n: int, durations: Sequence[Fraction | None]) -> Fraction | None:
        """Return the duration of output frame ``n``, in the unit of ``durations``.

        ``durations`` are those of the :attr:`reach` source frames from the left one on. The result
        is None where it depends on a duration that is None.
        """

    def begins(self, n: int, left: float, duration: Fraction | None) -> float | None:
        """Return when output frame ``n`` begins, in seconds, or None if that is not known.

        ``left`` is the time at which its left frame begins, ``duration`` that frame's duration.
        """

    def lefts(self) -> tuple[int, Sequence[int]]:
        """Return the left frames of all output frames as ``(cycle, offsets)`` of SelectEvery.

        SelectEvery with them may return one frame more than :attr:`length`.
        """


@dataclass(frozen=True)
class UniformTimeline:
    """A timeline whose output frame n shows source time n / multi, until that of n + 1."""

    frames: int
    """Number of source frames, at least 1."""
    multi: Fraction
    """Output frames per source frame, above 0."""
    rate: Fraction | None = None
    """Output frames per second if the user gave a rate; then all have the same duration."""

    @property
    def length(self) -> int:
        """See :class:`Timeline`."""
        count = self.frames * self.multi
        return floor(count) if self.rate is None else _nearest(count)

    def position(self, n: int) -> Position:
        """See :class:`Timeline`."""
        time = n / self.multi
        left = floor(time)
        return Position(left, time - left)

    @property
    def grid(self) -> int:
        """See :class:`Timeline`."""
        return self.multi.numerator

    @property
    def reach(self) -> int:
        """See :class:`Timeline`."""
        return 1 + ceil(1 / self.multi)

    @property
    def steady(self) -> bool:
        """See :class:`Timeline`."""
        return self.rate is not None

    def fps(self, source_fps: Fraction) -> Fraction:
        """See :class:`Timeline`."""
        return source_fps * self.multi

    def duration(self, n: int, durations: Sequence[Fraction | None]) -> Fraction | None:
        """See :class:`Timeline`; it is the source's duration between output frames n and n + 1."""
        if self.rate is not None:
            return 1 / self.rate
        begin, end = n / self.multi, (n + 1) / self.multi
        left = floor(begin)
        total = Fraction(0)
        for k in range(left, ceil(end)):
            duration = durations[k - left]
            if duration is None:
                return None
            total += duration * (min(end, Fraction(k + 1)) - max(begin, Fraction(k)))
        return total

    def begins(self, n: int, left: float, duration: Fraction | None) -> float | None:
        """See :class:`Timeline`."""
        phase = self.position(n).phase
        if not phase:
            return left
        return None if duration is None else left + float(phase * duration)

    def lefts(self) -> tuple[int, Sequence[int]]:
        """See :class:`Timeline`.

        The offsets repeat every ``multi.denominator`` source frames, so one cycle is enough.
        """
        multi_num, multi_den = self.multi.as_integer_ratio()
        count, cycle = multi_num, multi_den
        if count >= self.length:  # The clip is shorter than one cycle.
            count, cycle = self.length, self.frames
        elif cycle == 1:  # SelectEvery requires a cycle of at least two.
            count, cycle = 2 * count, 2
        return cycle, [n * multi_den // multi_num for n in range(count)]


@dataclass(frozen=True)
class TimedTimeline:
    """A timeline whose output frame n shows the source n / rate seconds after its start."""

    times: Sequence[Fraction]
    """Seconds at which the source frames begin and the last one ends, increasing."""
    rate: Fraction
    """Output frames per second, above 0."""

    grid = None
    steady = False

    @cached_property
    def reach(self) -> int:
        """See :class:`Timeline`; the tags of source frames beyond it are ignored."""
        longest = max((b - a for a, b in pairwise(self._lefts)), default=1)
        return 1 + min(max(longest, 1), MAX_SKIPPED)

    @property
    def frames(self) -> int:
        """See :class:`Timeline`."""
        return len(self.times) - 1

    @property
    def length(self) -> int:
        """See :class:`Timeline`."""
        return _nearest((self.times[-1] - self.times[0]) * self.rate)

    def position(self, n: int) -> Position:
        """See :class:`Timeline`."""
        seconds = self.times[0] + n / self.rate
        # The position after the last output frame may be the very end of the last source frame.
        left = min(bisect_right(self.times, seconds), self.frames) - 1
        begin, end = self.times[left : left + 2]
        return Position(left, (seconds - begin) / (end - begin))

    def fps(self, source_fps: Fraction) -> Fraction:
        """See :class:`Timeline`; it does not depend on the source's rate."""
        return self.rate

    def duration(self, n: int, durations: Sequence[Fraction | None]) -> Fraction:
        """See :class:`Timeline`; it is in seconds."""
        return 1 / self.rate

    def begins(self, n: int, left: float, duration: Fraction | None) -> float:
        """See :class:`Timeline`."""
        return float(self.times[0] + n / self.rate)

    def lefts(self) -> tuple[int, Sequence[int]]:
        """See :class:`Timeline`; the cycle is the whole clip."""
        return self.frames, self._lefts

    @cached_property
    def _lefts(self) -> Sequence[int]:
        # Integers over one common denominator are fast enough for a film's million times.
        common = lcm(*(time.denominator for time in self.times), self.rate.numerator)
        times = [int(time * common) for time in self.times]
        step = int(common / self.rate)
        offsets = []
        left = 0
        for time in range(times[0], times[0] + self.length * step, step):
            while times[left + 1] <= time:
                left += 1
            offsets.append(left)
        return offsets


def _nearest(count: Fraction) -> int:
    """Round to the nearest whole number, and half up."""
    return floor(count + Fraction(1, 2))
