"""Checks of the filter's arguments. Each error names the argument and its value."""

from __future__ import annotations

from fractions import Fraction
from typing import TypeGuard

import vapoursynth as vs

from vsifrnet.argument_table import HALVINGS
from vsifrnet.errors import InputError
from vsifrnet.graph.frames import MATRICES
from vsifrnet.graph.timecodes import Timecodes, frame_duration, frame_times
from vsifrnet.graph.timeline import TimedTimeline, Timeline, UniformTimeline

__all__ = [
    "check_bool",
    "check_choice",
    "check_clip",
    "check_halving",
    "check_int",
    "check_unit",
    "check_up_to",
    "default_matrix",
    "timeline",
]

MIN_MULTI, MAX_MULTI = Fraction(1, 100), 1000
"""Range of output frames per source frame."""

MAX_DENOMINATOR = 10**6
"""Maximum denominator of ``multi``: with a larger one, durations would not fit their props."""

MAX_FRAMES = 2**31 - 1
"""Maximum length of a VapourSynth clip."""

MAX_FPS = 10**9
"""Maximum numerator and denominator of a target frame rate."""


def check_clip(clip: vs.VideoNode) -> None:
    """Refuse anything but a clip of constant, supported format with at least two frames."""
    if not isinstance(clip, vs.VideoNode):
        raise InputError(f"clip={clip!r}: must be a VideoNode")
    form = clip.format
    if form is None or form.color_family == vs.UNDEFINED or not (clip.width and clip.height):
        raise InputError("clip: must be of constant format and size, not variable")
    if form.sample_type == vs.INTEGER:
        fits = 8 <= form.bits_per_sample <= 16
    else:
        fits = form.bits_per_sample in (16, 32)
    if not fits or max(form.subsampling_w, form.subsampling_h) > 2:
        raise InputError(
            f"clip of format {form.name}: must be GRAY, YUV or RGB of 8 to 16 bit integer, half or "
            "single float, with chroma subsampled by at most 4"
        )
    if clip.num_frames < 2:
        raise InputError(f"clip of {clip.num_frames} frame: must have at least 2")


def timeline(
    clip: vs.VideoNode,
    multi: int | Fraction,
    fps_num: int | None,
    fps_den: int | None,
    timecodes: Timecodes | None,
) -> Timeline:
    """Return the timeline for the given rate; raise an InputError if the arguments conflict."""
    fits = isinstance(multi, int | Fraction) and not isinstance(multi, bool)
    if not fits or not MIN_MULTI <= multi <= MAX_MULTI:
        raise InputError(
            f"multi={multi!r}: must be an int or a Fraction from {MIN_MULTI} to {MAX_MULTI}"
        )
    if Fraction(multi).denominator > MAX_DENOMINATOR:
        raise InputError(
            f"multi={multi!r}: must have a denominator up to {MAX_DENOMINATOR}, "
            f"such as {Fraction(multi).limit_denominator(1001)!r}"
        )
    target = _target(fps_num, fps_den)
    result: Timeline
    if target is None:
        if timecodes is not None:
            raise InputError("timecodes: needs fps_num, the target frame rate")
        result = UniformTimeline(clip.num_frames, Fraction(multi))
    elif multi != 2:
        raise InputError(f"multi={multi!r} and fps_num={fps_num!r}: give one of the two")
    elif timecodes is not None:
        times = frame_times(timecodes, clip.num_frames, lambda: _last_duration(clip))
        result = TimedTimeline(times, target)
    elif clip.fps:
        result = UniformTimeline(clip.num_frames, target / Fraction(clip.fps), target)
        if not MIN_MULTI <= result.multi <= MAX_MULTI:
            raise InputError(
                f"fps_num={fps_num}, fps_den={fps_den}: must be {MIN_MULTI} to {MAX_MULTI} times "
                f"the clip's frame rate, and is {float(result.multi):g} times"
            )
    else:
        raise InputError(
            f"fps_num={fps_num!r}: the clip has no constant frame rate (its fps is 0); give "
            "timecodes as well, or multi instead, which keeps the frames' durations"
        )
    if not 1 <= result.length <= MAX_FRAMES:
        raise InputError(
            f"multi={multi}, fps_num={fps_num}, fps_den={fps_den}: makes {result.length} frames of "
            f"{clip.num_frames}; must make 1 to {MAX_FRAMES}"
        )
    return result


def _last_duration(clip: vs.VideoNode) -> Fraction | None:
    try:
        with clip.get_frame(clip.num_frames - 1) as last:
            return frame_duration(last.props)
    except vs.Error as error:
        raise InputError(f"timecodes: the clip's last frame cannot be read ({error})") from error


def _target(fps_num: int | None, fps_den: int | None) -> Fraction | None:
    if fps_num is None:
        if fps_den is not None:
            raise InputError(f"fps_den={fps_den!r}: needs fps_num")
        return None
    fps_den = 1 if fps_den is None else fps_den
    check_int("fps_num", fps_num, 1, MAX_FPS)
    check_int("fps_den", fps_den, 1, MAX_FPS)
    return Fraction(fps_num, fps_den)


def check_halving(timeline: Timeline, dup_mode: str, reason: str) -> None:
    """Refuse times that a t-blind model cannot make by halving; ``reason`` ends the error."""
    if dup_mode == "bridge":
        asked = "dup_mode='bridge'"
    elif timeline.grid not in (1, *HALVINGS):
        asked = f"multi={timeline.multi}" if isinstance(timeline, UniformTimeline) else "timecodes"
    else:
        return
    raise InputError(f"{asked}: {reason}")


def check_int(name: str, value: object, low: int, high: int | None = None) -> None:
    """Refuse anything but an int from ``low`` to ``high``."""
    fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits or value < low or (high is not None and value > high):  # type: ignore[operator]
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{name}={value!r}: must be an int {bounds}")


def check_choice(name: str, value: object, accepted: tuple[object, ...]) -> None:
    """Refuse a value that is not one of ``accepted``."""
    # Fraction(1, 2) and an array of one number are equal to an accepted float, but fail later.
    if not (isinstance(value, str) or _is_number(value)) or value not in accepted:
        listed = ", ".join(repr(choice) for choice in accepted)
        raise InputError(f"{name}={value!r}: must be one of {listed}")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_bool(name: str, value: object) -> None:
    """Refuse anything but True and False."""
    if not isinstance(value, bool):
        raise InputError(f"{name}={value!r}: must be True or False")


def check_unit(name: str, value: object) -> None:
    """Refuse anything but a number in (0, 1]."""
    if not _is_number(value) or not 0 < value <= 1:
        raise InputError(f"{name}={value!r}: must be above 0 and at most 1")


def check_up_to(name: str, value: object, most: float) -> None:
    """Refuse anything but a number from 0 to ``most``."""
    if not _is_number(value) or not 0 <= value <= most:
        raise InputError(f"{name}={value!r}: must be a number from 0 to {most}")


def default_matrix(clip: vs.VideoNode, matrix: int | str | None) -> int:
    """Return the matrix of frames without ``_Matrix``, as a number of ITU-T H.273."""
    if matrix is None:
        return int(vs.MATRIX_BT709 if clip.height > 576 else vs.MATRIX_ST170_M)
    if isinstance(matrix, str) and matrix in MATRICES:
        return int(MATRICES[matrix])
    if isinstance(matrix, int) and not isinstance(matrix, bool) and matrix in MATRICES.values():
        return int(matrix)
    names = ", ".join(f"{name!r} ({int(number)})" for name, number in MATRICES.items())
    raise InputError(f"matrix={matrix!r}: must be one of {names}")
