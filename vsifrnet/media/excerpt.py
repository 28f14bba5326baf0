"""A part of a video, by times or frames of the source, as a range of output frames."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from vsifrnet.errors import InputError
from vsifrnet.media.source import Source

__all__ = ["Excerpt", "Moment"]


type Moment = int | Fraction
"""A frame number, or seconds since the first frame."""


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """The output frames that are written."""

    first: int
    last: int
    """The frame behind the last one."""
    begin: Fraction
    """When the first frame begins, in seconds, as the source counts."""
    end: Fraction | None
    """When the last frame ends; None at the end of the source."""

    @classmethod
    def of(
        cls,
        source: Source,
        length: int,
        *,
        multi: Fraction,
        fps: Fraction | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        preview: int | None = None,
    ) -> Excerpt:
        """Choose output frames so that each is the one that the whole output has there.

        Args:
            source: what the output is made of.
            length: number of frames of the whole output.
            multi: output frames per source frame.
            fps: the output's frame rate where that was asked for.
            start: the source frame to begin with; a time is that of the first frame from there on.
            end: the source frame to end before.
            preview: the largest number of output frames.

        Raises:
            InputError: nothing is left.
        """

        def output(at: Moment) -> int:
            frame = _frame(source, at)
            if fps is None:
                return min(ceil(frame * multi), length)
            if frame == source.clip.num_frames:
                return length
            return min(ceil((_time(source, Fraction(frame)) - source.start) * fps), length)

        first = 0 if start is None else output(start)
        last = length if end is None else output(end)
        if first >= last:
            raise InputError(f"--start and --end leave no frame of {_extent(source)}")
        if preview is not None:
            last = min(last, first + preview)

        def time(n: int) -> Fraction:
            if fps is not None:
                return source.start + n / fps
            return _time(source, n / multi)

        return cls(
            first=first, last=last, begin=time(first), end=None if last == length else time(last)
        )


def _frame(source: Source, at: Moment) -> int:
    count: int = source.clip.num_frames
    if isinstance(at, int):
        frame = at
    # Containers round times, so a frame counts from one tick before its time on.
    elif source.constant:
        frame = max(ceil((at - source.tick) * Fraction(source.clip.fps)), 0)
    else:
        frame = bisect_left(source.times, source.start + at - source.tick)
    return min(frame, count)


def _time(source: Source, position: Fraction) -> Fraction:
    """When a moment that is counted in source frames comes."""
    if source.constant:
        return source.start + position / Fraction(source.clip.fps)
    left = int(position)
    begin, end = source.times[left], source.times[min(left + 1, len(source.times) - 1)]
    return begin + (position - left) * (end - begin)


def _extent(source: Source) -> str:
    frames = source.clip.num_frames
    seconds = float(_time(source, Fraction(frames - 1)) - source.start)
    return f"the {frames} frames, of which the last begins at {seconds:.3f} s"
