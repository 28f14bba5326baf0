"""Which moment of the source an output frame shows. Pure arithmetic on exact fractions.

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
from typing import NamedTuple

__all__ = ["Position", "TimedTimeline", "Timeline"]

MOST_PASSED = 16
"""Source frames between two output frames that are looked at, where times are uneven."""


class Position(NamedTuple):
    """A moment in source time."""

    left: int
    phase: Fraction
    """In [0, 1)."""

    @property
    def time(self) -> Fraction:
        """In source frames."""
        return self.left + self.phase


@dataclass(frozen=True)
class Timeline:
    """Output frame n shows source time n / multi, for as long as the source takes to n + 1."""

    frames: int
    """Source frames, at least 1."""
    multi: Fraction
    """Output frames per source frame, above 0."""
    rate: Fraction | None = None
    """Output frames per second where these were asked for: then the source's last alike."""

    @property
    def length(self) -> int:
        """Output frames: as many whole ones as the source lasts."""
        return floor(self.frames * self.multi)

    def position(self, n: int) -> Position:
        """The moment that output frame ``n`` shows."""
        time = n / self.multi
        left = floor(time)
        return Position(left, time - left)

    @property
    def grid(self) -> int | None:
        """All phases are multiples of 1 / grid; None where they can be any."""
        return self.multi.numerator

    @property
    def reach(self) -> int:
        """How many source frames, from the left one on, an output frame needs."""
        return 1 + ceil(1 / self.multi)

    def fps(self, source_fps: Fraction) -> Fraction:
        """The output's frame rate; 0 (variable) stays 0."""
        return source_fps * self.multi

    def duration(self, n: int, durations: Sequence[Fraction | None]) -> Fraction | None:
        """How long output frame ``n`` is shown: what the source takes from it to the next.

        ``durations`` are those of the :attr:`reach` source frames from the left one on; the
        result has their unit, and is None where one that counts is.
        """
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
        """When output frame ``n`` begins, in seconds, or None where that is not known.

        ``left`` is when its left frame begins, and ``duration`` how long that is shown.
        """
        phase = self.position(n).phase
        if not phase:
            return left
        return None if duration is None else left + float(phase * duration)

    def lefts(self) -> tuple[int, Sequence[int]]:
        """The left frames of all output frames as ``(cycle, offsets)`` of ``std.SelectEvery``.

        The rule repeats every ``multi.denominator`` source frames, so that a clip of any length
        needs one cycle's offsets only; selecting may give a frame more than :attr:`length`.
        """
        multi_num, multi_den = self.multi.as_integer_ratio()
        count, cycle = multi_num, multi_den
        if count >= self.length:  # less than one cycle in the whole clip
            count, cycle = self.length, self.frames
        elif cycle == 1:  # SelectEvery wants two at least
            count, cycle = 2 * count, 2
        return cycle, [n * multi_den // multi_num for n in range(count)]


@dataclass(frozen=True)
class TimedTimeline:
    """Output frame n shows what the source shows n / rate seconds after its first frame."""

    times: Sequence[Fraction]
    """Seconds at which the source frames begin and the last one ends, increasing."""
    rate: Fraction
    """Output frames per second, above 0."""

    grid = None

    @cached_property
    def reach(self) -> int:
        """As :attr:`Timeline.reach`; source frames beyond it were on screen for a moment only."""
        longest = max((b - a for a, b in pairwise(self._lefts)), default=1)
        return 1 + min(max(longest, 1), MOST_PASSED)

    @property
    def frames(self) -> int:
        """Source frames."""
        return len(self.times) - 1

    @property
    def length(self) -> int:
        """Output frames: as many whole ones as the source lasts."""
        return floor((self.times[-1] - self.times[0]) * self.rate)

    def position(self, n: int) -> Position:
        """The moment that output frame ``n`` shows."""
        seconds = self.times[0] + n / self.rate
        # What comes after the last output frame may lie where the last source frame ends.
        left = min(bisect_right(self.times, seconds), self.frames) - 1
        begin, end = self.times[left : left + 2]
        return Position(left, (seconds - begin) / (end - begin))

    def fps(self, source_fps: Fraction) -> Fraction:
        """The output's frame rate, whatever the source's."""
        return self.rate

    def duration(self, n: int, durations: Sequence[Fraction | None]) -> Fraction:
        """How long output frame ``n`` is shown, in seconds."""
        return 1 / self.rate

    def begins(self, n: int, left: float, duration: Fraction | None) -> float:
        """When output frame ``n`` begins, in seconds."""
        return float(self.times[0] + n / self.rate)

    def lefts(self) -> tuple[int, Sequence[int]]:
        """As :meth:`Timeline.lefts`; here nothing repeats."""
        return self.frames, self._lefts

    @cached_property
    def _lefts(self) -> Sequence[int]:
        # Over one denominator, since a film has a million times.
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
