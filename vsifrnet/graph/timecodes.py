"""The times of a clip's frames, from a timecode file (v1 or v2) or a sequence, as exact fractions.

The formats are mkvmerge's ("timestamp files"): v2 has one time in milliseconds per frame, v1 has
frame rates of ranges of frames. Decimal numbers are read exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median_high
from typing import Any

from vsifrnet.errors import InputError
from vsifrnet.files import encodable

__all__ = ["Timecodes", "frame_duration", "frame_times", "likely_last"]

type Timecodes = str | Path | Sequence[int | float | Fraction]
"""The path of a timecode file, or the frames' times in seconds."""


def frame_times(
    timecodes: Timecodes, frames: int, last_duration: Callable[[], Fraction | None]
) -> list[Fraction]:
    """Return when each frame begins and when the last one ends: ``frames`` + 1 times in seconds.

    Args:
        timecodes: the times of ``frames`` frames, with or without the end of the last one.
        last_duration: returns the last frame's duration in seconds; it is called if the end of
            the last frame is not given. If it returns None, :func:`likely_last` is used.

    Raises:
        InputError: the file cannot be read, times are too few or too many, or do not increase.
    """
    if isinstance(timecodes, str | Path):
        name = f"timecodes={str(timecodes)!r}"
        times = _read(encodable(Path(timecodes)), frames, name)
    else:
        name = "timecodes"
        times = _numbers(timecodes, name)
    if len(times) == frames:
        times.append(times[-1] + (last_duration() or likely_last(times)))
    if len(times) != frames + 1:
        raise InputError(
            f"{name}: {len(times)} times for a clip of {frames} frames; must be one per frame"
        )
    for k, (time, after) in enumerate(pairwise(times)):
        if after <= time:
            raise InputError(
                f"{name}: frame {k + 1} at {float(after)} s does not come after frame {k} at "
                f"{float(time)} s; times must be increasing"
            )
    return times


def frame_duration(props: Mapping[str, Any]) -> Fraction | None:
    """Return how long a frame lasts by its props, in seconds, or None where they do not say."""
    num, den = props.get("_DurationNum"), props.get("_DurationDen")
    return Fraction(num, den) if num and den else None


def likely_last(times: Sequence[Fraction]) -> Fraction:
    """Guess the last frame's duration from the times of two or more frames.

    It is the duration of the frame before, but at most the median: the frame before may have been
    a long gap, and a video that outlasts its audio is worse than one that ends a little early.
    """
    gaps = [after - time for time, after in pairwise(times)]
    return min(gaps[-1], median_high(gaps))


def _numbers(values: Iterable[int | float | Fraction], name: str) -> list[Fraction]:
    try:
        if isinstance(values, bytes):
            raise TypeError
        values = list(values)  # a generator can be read only once
        if any(isinstance(value, bool) for value in values):
            raise TypeError
        return [Fraction(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: must be a path or finite times in seconds") from error


def _read(path: Path, frames: int, name: str) -> list[Fraction]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read ({error})") from error
    header = re.match(r"#\s*time(?:code|stamp) format v(\d+)\s*$", lines[0] if lines else "", re.I)
    version = header[1] if header else None
    if version not in ("1", "2"):
        raise InputError(
            f"{name}: must begin with '# timecode format v1' or '# timecode format v2'"
        )
    content = [
        (number, line.strip())
        for number, line in enumerate(lines[1:], start=2)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    parse = _v1 if version == "1" else _v2
    return parse(content, frames, name)


def _v2(content: list[tuple[int, str]], frames: int, name: str) -> list[Fraction]:
    return [_decimal(text, number, name) / 1000 for number, text in content]


def _v1(content: list[tuple[int, str]], frames: int, name: str) -> list[Fraction]:
    if not content or not content[0][1].lower().startswith("assume"):
        raise InputError(f"{name}: line 2 must be 'Assume <frames per second>'")
    number, text = content[0]
    rates = [_rate(text[len("assume") :], number, name)] * frames
    for number, text in content[1:]:
        fields = text.split(",")
        if len(fields) != 3 or not (
            fields[0].strip().isdecimal() and fields[1].strip().isdecimal()
        ):
            raise InputError(f"{name}: line {number} must be 'first frame,last frame,fps'")
        first, last = int(fields[0]), int(fields[1])
        if not first <= last < frames:
            raise InputError(
                f"{name}: line {number}: frames {first} to {last} must be within the clip's "
                f"{frames} frames"
            )
        rates[first : last + 1] = [_rate(fields[2], number, name)] * (last - first + 1)
    times = [Fraction(0)]
    for rate in rates:
        times.append(times[-1] + 1 / rate)
    return times


def _rate(text: str, number: int, name: str) -> Fraction:
    rate = _decimal(text, number, name)
    if rate <= 0:
        raise InputError(f"{name}: line {number}: frame rate {text.strip()} must be above 0")
    return rate


def _decimal(text: str, number: int, name: str) -> Fraction:
    if not re.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*", text):
        raise InputError(f"{name}: line {number}: {text.strip()!r} must be a decimal number")
    return Fraction(text.strip().rstrip("."))
