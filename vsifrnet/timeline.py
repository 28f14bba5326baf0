"""Which moment of the source an output frame shows. Pure arithmetic on exact fractions.

Source time is counted in source frames: source frame k begins at k and lasts until k + 1. An
output frame at source time s lies ``phase = s - left`` after its left frame, ``left = floor(s)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

__all__ = ["Overlap", "Position", "Timeline"]


class Position(NamedTuple):
    """A moment in source time."""

    left: int
    phase: Fraction
    """In [0, 1)."""

    @property
    def time(self) -> Fraction:
        """In source frames."""
        return self.left + self.phase


class Overlap(NamedTuple):
    """How much of a source frame's duration an output frame covers."""

    frame: int
    share: Fraction
    """In (0, 1]."""


@dataclass(frozen=True)
class Timeline:
    """Output frame n shows source time n / multi, for as long as it takes to n + 1."""

    frames: int
    """Source frames, at least 1."""
    multi: Fraction
    """Output frames per source frame, above 0."""

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
    def reach(self) -> int:
        """The most source frames that one output frame overlaps."""
        return 1 + ceil(1 / self.multi)

    def overlaps(self, n: int) -> list[Overlap]:
        """The source frames that are on screen during output frame ``n``, in order."""
        begin, end = n / self.multi, (n + 1) / self.multi
        return [
            Overlap(k, min(end, Fraction(k + 1)) - max(begin, Fraction(k)))
            for k in range(floor(begin), ceil(end))
        ]

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
