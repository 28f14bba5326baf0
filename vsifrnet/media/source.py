"""A video file as a clip with exact times, through BestSource."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import vapoursynth as vs
from av.rational import AVRational

from vsifrnet.errors import InputError
from vsifrnet.graph.timecodes import likely_last

__all__ = ["Source", "exact", "open_source"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """The first video stream of a file."""

    clip: vs.VideoNode
    """Frames with exact ``_DurationNum``/``_DurationDen``; has an fps also where that varies."""
    track: int
    """Index of the stream in its container."""
    tick: Fraction
    """The stream's unit of time, in seconds."""
    times: Sequence[Fraction]
    """When each frame begins, in seconds, as the container counts."""
    constant: bool
    """Whether the frames come at the clip's fps, but for rounding to the container's ticks."""

    @property
    def start(self) -> Fraction:
        """When the first frame begins, in seconds."""
        return self.times[0]


def open_source(path: Path) -> Source:
    """Index a file; this reads all of it once, and writes nothing beside it.

    Raises:
        InputError: it is no video, or has no frames; the message names the file.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with av.open(str(path)) as container:
            # Cover pictures are video streams, too.
            streams = [
                stream
                for stream in container.streams.video
                if not stream.disposition & av.stream.Disposition.attached_pic
            ]
            if not streams:
                raise InputError(f"{path}: there is no video in it")
            track, tick = streams[0].index, exact(streams[0].time_base)
            rates = [exact(r) for r in (streams[0].average_rate, streams[0].base_rate) if r]
    except av.FFmpegError as error:
        raise InputError(f"{path}: not a video, or a damaged one ({error.strerror})") from None
    with tempfile.TemporaryDirectory() as folder:
        timecodes = Path(folder) / "timecodes.txt"
        try:
            clip = vs.core.bs.VideoSource(
                str(path), track=track, cachemode=0, timecodes=str(timecodes)
            )
        except vs.Error as error:
            raise InputError(f"{path}: {error}") from None
        times = _read_timecodes(timecodes, tick)
    rate = _constant_rate(times, tick, [*rates, Fraction(clip.fps)])
    if rate is not None:
        # Without the rounding: a 24 fps Matroska has frames of 41 and 42 ms.
        clip = clip.std.AssumeFPS(fpsnum=rate.numerator, fpsden=rate.denominator)
    elif len(times) > 1:
        # BestSource gives the last frame no duration where the rate varies.
        last = _last_duration(path, track, tick, times[-1]) or likely_last(times)
        num, den = last.as_integer_ratio()
        clip = clip[:-1] + clip[-1].std.SetFrameProps(_DurationNum=num, _DurationDen=den)
    return Source(clip=clip, track=track, tick=tick, times=times, constant=rate is not None)


def _constant_rate(
    times: Sequence[Fraction], tick: Fraction, rates: Sequence[Fraction]
) -> Fraction | None:
    """The frame rate of which ``times`` are the frames', but for rounding to the tick.

    Tried are ``rates``, then the whole rate and the NTSC one (24000/1001) nearest to the mean.
    """
    if len(times) < 2:
        return rates[0]
    mean = (len(times) - 1) / (times[-1] - times[0])
    whole, ntsc = Fraction(round(mean)), Fraction(round(mean * 1001 / 1000) * 1000, 1001)
    for rate in (*rates, whole, ntsc):
        if rate and all(abs(t - times[0] - n / rate) <= tick for n, t in enumerate(times)):
            return rate
    return None


def _last_duration(path: Path, track: int, tick: Fraction, time: Fraction) -> Fraction | None:
    """Seconds that the last frame, of ``time``, is shown, if the container says so."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams[track]
            container.seek(int(time / tick), stream=stream)  # not to read the whole file again
            packets = container.demux(stream)
            # The last one shown need not be the last one stored.
            shown = ((p.pts, p.duration or 0) for p in packets if p.pts is not None)
            _, duration = max(shown, default=(0, 0))
    except av.FFmpegError:  # damaged somewhere; BestSource reads on
        return None
    return duration * tick if duration > 0 else None


def exact(value: AVRational) -> Fraction:
    """PyAV's kind of fraction as Python's."""
    return Fraction(value.numerator, value.denominator)


def _read_timecodes(path: Path, tick: Fraction) -> list[Fraction]:
    """The frames' times in seconds; the file has milliseconds, rounded to 0.01 of them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    milliseconds = (Fraction(line) for line in lines if not line.startswith("#"))
    return [round(ms / 1000 / tick) * tick for ms in milliseconds]
