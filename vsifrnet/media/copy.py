"""Copies the other streams of a source into a new file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Disposition, Stream

from vsifrnet.errors import EncodeError
from vsifrnet.files import location
from vsifrnet.media.matroska import TrackHeaders
from vsifrnet.media.source import exact
from vsifrnet.media.subtitles import Recoder, target_codec

__all__ = ["Copier", "Copies"]

log = logging.getLogger("vsifrnet")

OPTIONS = {
    "audio": "--no-audio",
    "subtitle": "--no-subtitles",
    "video": "--no-other-video",
}
"""The command line's option that leaves out a kind of stream."""

NOT_COPIED = {"encoder", "major_brand", "minor_version", "compatible_brands"}
"""Tags that describe the source file itself and would be wrong in the new file."""


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Which streams of a source are copied; its chapters and tags always are."""

    path: Path
    video_track: int
    """Index of the stream that is encoded anew and therefore not copied."""
    audio: bool = True
    subtitles: bool = True
    attachments: bool = True
    """Copy attached files and cover pictures."""
    other_video: bool = True
    """Copy the video streams that are not encoded."""
    begin: Fraction | None = None
    """Seconds of the source that nothing is copied before; None is its beginning."""
    end: Fraction | None = None
    """Seconds of the source that nothing is copied from; None is its end."""

    def wants(self, stream: Stream) -> bool:
        """Return whether a stream is copied."""
        if stream.type == "attachment" or stream.disposition & Disposition.attached_pic:
            return self.attachments
        wanted = {"audio": self.audio, "subtitle": self.subtitles, "video": self.other_video}
        return wanted.get(stream.type, False)


class Copier:
    """Copies packets in stretches of time, so that the new file is interleaved."""

    def __init__(
        self,
        source: InputContainer,
        muxer: OutputContainer,
        video: av.VideoStream,
        copies: Copies,
        start: Fraction,
        headers: TrackHeaders,
    ) -> None:
        """Declare the streams in ``muxer``; the encoded stream ``video`` begins at ``start``.

        ``headers`` are those of the file that ``muxer`` writes.

        Raises:
            EncodeError: the container cannot hold a stream; the message names it.
        """
        self._muxer = muxer
        self._headers = headers
        self._recoders: dict[int, Recoder] = {}
        self._path = copies.path
        self._part = copies.begin, copies.end
        self._targets: dict[int, Stream] = {}
        for stream in source.streams:
            if stream.index == copies.video_track:
                _tag(stream, video, muxer)
            elif copies.wants(stream):
                self._declare(stream)
            elif stream.type == "data":
                log.warning("stream %d (data) is not copied", stream.index)
        streams = [stream for stream in source.streams if stream.index in self._targets]
        self.shift = _shift(streams, start) if copies.begin is None else copies.begin
        """Return the seconds by which all streams begin earlier than in the source."""
        muxer.metadata.update(
            {k: v for k, v in source.metadata.items() if k.lower() not in NOT_COPIED}
        )
        chapters = source.chapters()
        for chapter in chapters:
            shift = round(self.shift / exact(chapter["time_base"]))
            chapter["start"] = max(chapter["start"] - shift, 0)
            chapter["end"] -= shift
            if copies.end is not None:
                last = round((copies.end - self.shift) / exact(chapter["time_base"]))
                chapter["end"] = min(chapter["end"], last)
        muxer.set_chapters([c for c in chapters if c["end"] > c["start"]])
        self._packets = self._read(source, streams)
        self._next = next(self._packets, None)

    def advance(self, until: Fraction | None) -> None:
        """Copy the packets that begin before ``until``, in seconds of the new file, or all."""
        while self._next is not None:
            packet, time = self._next
            if until is not None and time >= until:
                return
            self._muxer.mux_one(packet)
            self._next = next(self._packets, None)

    def _cut(self, packet: av.Packet[Any], moment: int) -> bool:
        """Whether a packet belongs to the part that is wanted; subtitles are cut to fit."""
        begin, end = self._part
        unit = exact(packet.time_base)
        if end is not None and moment * unit >= end:
            return False
        if begin is None or moment * unit >= begin:
            return True
        if packet.stream.type != "subtitle" or (moment + (packet.duration or 0)) * unit <= begin:
            return False
        first = ceil(begin / unit)
        packet.duration = (packet.duration or 0) - (first - moment)
        packet.pts = packet.dts = first
        return True

    def _declare(self, stream: Stream) -> None:
        suffix = Path(self._muxer.name).suffix
        matroska = self._muxer.format.name == "matroska"
        if matroska and stream.disposition & Disposition.attached_pic:
            # In Matroska a cover is an attachment of this name.
            kind = {"mjpeg": "jpeg"}.get(stream.codec_context.name, stream.codec_context.name)
            name = f"cover.{'jpg' if kind == 'jpeg' else kind}"
            self._muxer.add_attachment(name, f"image/{kind}", self._first_packet(stream))
            return
        if isinstance(stream, AttachmentStream):
            if not matroska:
                raise EncodeError(
                    f"attachment {stream.name!r} cannot be put into {suffix}: choose .mkv, or "
                    "--no-attachments"
                )
            mimetype = stream.mimetype or "application/octet-stream"
            self._muxer.add_attachment(stream.name or "attachment", mimetype, stream.data)
            return
        codec = stream.codec_context.codec
        names = {codec.name, codec.canonical_name}
        if names & self._muxer.supported_codecs:
            # Of a video stream PyAV would look for an encoder, which packets need not have.
            target = self._muxer.add_stream_from_template(stream, opaque=True)
        elif text := target_codec(codec.canonical_name, self._muxer):
            log.info("subtitle stream %d becomes %s", stream.index, text)
            self._recoders[stream.index] = Recoder(stream, self._muxer, text)
            target = self._recoders[stream.index].target
        else:
            option = OPTIONS.get(stream.type, "--no-attachments")
            other = "" if matroska else "choose .mkv, or "
            raise EncodeError(
                f"{stream.type} stream {stream.index} ({codec.canonical_name}) cannot be put into "
                f"{suffix}: {other}{option}"
            )
        _tag(stream, target, self._muxer)
        if isinstance(stream, av.VideoStream):
            context = stream.codec_context
            assert isinstance(target, av.VideoStream)
            target.codec_context.framerate = stream.average_rate or Fraction(0)
            aspect = exact(stream.sample_aspect_ratio) if stream.sample_aspect_ratio else None
            self._headers.add(target, (context.width, context.height), aspect)
        self._targets[stream.index] = target

    def _first_packet(self, stream: Stream) -> bytes:
        with av.open(location(self._path)) as container:
            packets = container.demux(container.streams[stream.index])
            return bytes(next(packet for packet in packets if packet.size))

    def _read(
        self, source: InputContainer, streams: list[Stream]
    ) -> Iterator[tuple[av.Packet[Any], Fraction]]:
        if not streams:
            return
        for packet in source.demux(*streams):
            if packet.size == 0:  # the mark at the end of a stream
                continue
            moment = packet.dts if packet.dts is not None else packet.pts
            if moment is None:  # a cover
                packet.pts = packet.dts = moment = 0
            elif not self._cut(packet, moment):
                continue
            shift = round(self.shift / exact(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            time = (moment - shift) * exact(packet.time_base)
            recoder = self._recoders.get(packet.stream.index)
            if recoder is None:
                packet.stream = self._targets[packet.stream.index]
                yield packet, time
            elif text := recoder(packet):
                yield text, time


def _tag(stream: Stream, target: Stream, muxer: OutputContainer) -> None:
    """Copy a stream's tags, such as language and title, and its disposition."""
    tags = stream.metadata.items()
    # "DURATION" and Matroska's statistics are in capitals, and the muxer's to write.
    kept = {k: v for k, v in tags if k.lower() not in NOT_COPIED and not k.isupper()}
    if "title" in kept and muxer.format.name in ("mp4", "mov"):
        kept["handler_name"] = kept["title"]  # where these keep it, and players look for it
    target.metadata.update(kept)
    target.disposition = stream.disposition


def _shift(streams: list[Stream], start: Fraction) -> Fraction:
    """Return the start of the earliest stream; a start before 0 (encoder delay) stays there."""
    starts = [start]
    for stream in streams:
        if stream.start_time is not None and stream.time_base is not None:
            starts.append(stream.start_time * exact(stream.time_base))
    return max(Fraction(0), min(starts))
