"""Opens a video file as a clip with exact times, through BestSource."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NamedTuple

import av
import vapoursynth as vs
from av.rational import AVRational

from vsifrnet.errors import InputError
from vsifrnet.files import location
from vsifrnet.graph.timecodes import likely_last
from vsifrnet.media.messages import ffmpeg_messages
from vsifrnet.media.upright import upright
from vsifrnet.media.y4m import Reader, longest

__all__ = ["Source", "exact", "index", "open_source"]

log = logging.getLogger("vsifrnet")

NOMINAL = Fraction(25)
"""Frame rate of a file that has neither times nor a rate."""

DECLARED = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "avi", "flv", "asf")
"""Containers that declare their duration at the beginning."""

MISSING = Fraction(1)
"""Seconds that may be missing at the end of a container before it counts as cut off."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The first video stream of a file."""

    clip: vs.VideoNode
    """The frames, with exact durations in their props; the clip has an fps even if it varies."""
    track: int
    """Index of the stream in its container."""
    tick: Fraction
    """The stream's unit of time, in seconds."""
    times: Sequence[Fraction]
    """Start of each frame in seconds, on the container's clock."""
    constant: bool
    """Whether the frame rate is constant, apart from rounding to the container's ticks."""
    damage: str | None = None
    """What is missing, if the file is cut off or damaged."""
    reader: Reader | None = None
    """What reads the frames where they come from a pipe."""

    @property
    def start(self) -> Fraction:
        """Start of the first frame in seconds."""
        return self.times[0]

    @property
    def missing(self) -> str | None:
        """What could not be read, once all frames have been."""
        if self.reader is not None and self.reader.damage is not None:
            return f"standard input: {self.reader.damage}: {self.reader.length} frames can be read"
        return self.damage

    def limited(self, multi: Fraction) -> vs.VideoNode:
        """The clip; one of unknown length so long only that ``multi`` times as much is a clip."""
        return self.clip if self.reader is None else self.clip[: longest(multi)]

    def frames(
        self, made: vs.VideoNode, *, multi: Fraction, first: int = 0
    ) -> Iterator[vs.VideoFrame]:
        """Give the frames of ``made`` up to the end of the source.

        ``made`` begins with frame ``first`` of a clip that has ``multi`` frames for each of the
        source's.
        """
        if self.reader is not None:
            return self.reader.frames(made, multi=multi, first=first)
        return iter(made.frames(close=True))


def open_stream(stream: IO[bytes]) -> Source:
    """Read y4m from a pipe, while its frames are asked for.

    Raises:
        InputError: it is not y4m, or of a format that cannot be read.
    """
    reader = Reader(stream)
    tick = 1 / Fraction(reader.clip.fps)
    return Source(
        clip=reader.clip, track=0, tick=tick, times=[Fraction(0)], constant=True, reader=reader
    )


def open_source(path: Path) -> Source:
    """Index a file: read all of it once, and write nothing beside it.

    Raises:
        InputError: it is no video, or has no frames; the message names the file.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a video file")
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if not path.is_file():
        raise InputError(f"{path} is a device or pipe: give a file, which can be read twice")
    try:
        with av.open(location(path)) as container:
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
            size = {streams[0].width, streams[0].height}
            # A second picture of the stream, which FFmpeg's own decoders of it do not read.
            hidden = streams[0].metadata.get("alpha_mode") == "1"
    except av.FFmpegError as error:
        raise InputError(f"{path}: not a video, or a damaged one ({error.strerror})") from None
    clip, times = _index(path, track, tick, rates)
    if size != {clip.width, clip.height}:
        log.warning(
            "%s is read as %dx%d, as 4:2:0 and 4:2:2 are of even dimensions in VapourSynth: the "
            "last column or row is left out",
            path,
            clip.width,
            clip.height,
        )
    if hidden:
        log.warning("%s has transparency that cannot be read: the output is opaque", path)
    rate = _constant_rate(times, tick, [*rates, Fraction(clip.fps)])
    end = _read_end(path, track, tick, times[-1])
    if rate is not None:
        # Without the rounding: a 24 fps Matroska has frames of 41 and 42 ms.
        clip = clip.std.AssumeFPS(fpsnum=rate.numerator, fpsden=rate.denominator)
    elif len(times) > 1:
        # BestSource gives the last frame no duration where the rate varies.
        num, den = (end.duration or likely_last(times)).as_integer_ratio()
        clip = clip[:-1] + clip[-1].std.SetFrameProps(_DurationNum=num, _DurationDen=den)
    damage = None
    if end.damage is not None:
        damage = f"{path} is cut off or damaged ({end.damage}): {len(times)} frames can be read"
        log.warning("%s", damage)
    return Source(
        clip=clip, track=track, tick=tick, times=times, constant=rate is not None, damage=damage
    )


def index(path: Path, **options: Any) -> vs.VideoNode:
    """Open a file by ``bs.VideoSource``, with its other arguments, upright.

    Nothing is written beside the file.

    Raises:
        vs.Error: it cannot be read.
    """
    # VapourSynth takes names as bytes too, which need not be text.
    name = os.fsencode(location(path))
    shown = log.isEnabledFor(logging.INFO)
    clip = vs.core.bs.VideoSource(
        name, cachemode=0, showprogress=shown, apply_rotation=0, **options
    )
    return upright(clip)


def _index(
    path: Path, track: int, tick: Fraction, rates: Sequence[Fraction]
) -> tuple[vs.VideoNode, list[Fraction]]:
    """Return the clip and the start of each frame."""
    with tempfile.TemporaryDirectory() as folder:
        timecodes = Path(folder) / "timecodes.txt"
        with suppress(vs.Error):  # It says so where frames have no times.
            clip = index(path, track=track, timecodes=os.fsencode(timecodes))
            return clip, _read_timecodes(timecodes, tick)
    try:
        clip = index(path, track=track)
    except vs.Error as error:
        raise InputError(f"{path}: {error}") from None
    rate = next(rate for rate in (Fraction(clip.fps), *rates, NOMINAL) if rate)
    log.warning(
        "%s has frames without a time: all are shown one after the other at %.5g fps",
        path,
        float(rate),
    )
    begin = _first_time(path, track, rate)
    return clip, [begin + n / rate for n in range(clip.num_frames)]


def _first_time(path: Path, track: int, rate: Fraction) -> Fraction:
    """Return the start of the first frame, from the first frame that has a time, or 0."""
    with suppress(av.FFmpegError), av.open(location(path)) as container:
        packets = (p for p in container.demux(container.streams[track]) if p.size)
        for n, packet in enumerate(packets):
            if packet.pts is not None:
                return packet.pts * exact(packet.time_base) - n / rate
    return Fraction(0)


def _constant_rate(
    times: Sequence[Fraction], tick: Fraction, rates: Sequence[Fraction]
) -> Fraction | None:
    """Return the constant frame rate that ``times`` follow, apart from rounding to the tick.

    Tried are ``rates``, then the whole rate and the NTSC one (24000/1001) nearest to the mean.
    """
    if len(times) < 2:
        return next((rate for rate in rates if rate), NOMINAL)
    mean = (len(times) - 1) / (times[-1] - times[0])
    whole, ntsc = Fraction(round(mean)), Fraction(round(mean * 1001 / 1000) * 1000, 1001)
    for rate in (*rates, whole, ntsc):
        if rate and all(abs(t - times[0] - n / rate) <= tick for n, t in enumerate(times)):
            return rate
    return None


class _End(NamedTuple):
    """What the end of the container tells."""

    duration: Fraction | None
    """Duration of the last frame in seconds, if the container has it."""
    damage: str | None
    """What is missing, if the file is cut off or damaged."""


def _read_end(path: Path, track: int, tick: Fraction, time: Fraction) -> _End:
    """Read a container from its last frame, at ``time``, to the end."""
    shown: list[tuple[int, int]] = []
    end = time
    corrupt = False
    with ffmpeg_messages() as messages:
        try:
            with av.open(location(path)) as container:
                name = container.format.name
                declared = Fraction(container.duration or 0, 1_000_000) + Fraction(
                    container.start_time or 0, 1_000_000
                )
                # From there, not to read the whole file again; streams without times cannot seek.
                with suppress(av.FFmpegError):
                    container.seek(int(time / tick), stream=container.streams[track])
                for packet in container.demux():
                    corrupt |= packet.is_corrupt
                    if packet.pts is None:
                        continue
                    duration = packet.duration or 0
                    end = max(end, (packet.pts + duration) * exact(packet.time_base))
                    if packet.stream_index == track:
                        shown.append((packet.pts, duration))
        except av.FFmpegError as error:  # Damaged somewhere; BestSource reads on.
            return _End(None, str(error.strerror))
    # The last one shown need not be the last one stored.
    _, duration = max(shown, default=(0, 0))
    damage = next((text for source, text in messages() if source == name), None)
    if damage is None and corrupt:
        damage = "its last packet is incomplete"
    if damage is None and name in DECLARED and declared - end > MISSING:
        damage = f"it ends {float(declared - end):.1f} s early"
    return _End(duration * tick if duration > 0 else None, damage)


def exact(value: AVRational) -> Fraction:
    """Convert a fraction of PyAV's type to Python's."""
    return Fraction(value.numerator, value.denominator)


def _read_timecodes(path: Path, tick: Fraction) -> list[Fraction]:
    """Read the frames' times in seconds; the file has milliseconds with two decimal places."""
    lines = path.read_text(encoding="utf-8").splitlines()
    milliseconds = (Fraction(line) for line in lines if not line.startswith("#"))
    return [round(ms / 1000 / tick) * tick for ms in milliseconds]
