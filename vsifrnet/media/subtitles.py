"""Converts text subtitles to the codec that another container takes."""

from __future__ import annotations

from typing import Any

import av
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream

__all__ = ["Recoder", "target_codec"]

TEXT = ("subrip", "mov_text", "webvtt")
"""Codecs of plain text with simple styles; conversion between them keeps the text."""


def target_codec(codec: str, muxer: OutputContainer) -> str | None:
    """Return the text codec that a container takes in place of ``codec``; None if there is none."""
    if codec not in TEXT:
        return None
    return next((name for name in TEXT if name in muxer.supported_codecs), None)


class Recoder:
    """Decodes packets of one stream of text subtitles and encodes them for another."""

    def __init__(self, source: Stream, muxer: OutputContainer, codec: str) -> None:
        """Declare the new stream in ``muxer``; :attr:`target` is that stream."""
        assert isinstance(source.codec_context, SubtitleCodecContext)
        self._decoder = source.codec_context
        self._decoder.open(strict=False)
        target = muxer.add_stream(codec)
        assert isinstance(target, SubtitleStream)
        # Decoders turn all text into ASS lines, of this header's styles.
        target.codec_context.subtitle_header = self._decoder.subtitle_header
        self.target = target

    def __call__(self, packet: av.Packet[Any]) -> av.Packet[Any] | None:
        """Return the packet's text for the new stream, at the same time; None if it has none."""
        text = self._decoder.decode2(packet)
        if text is None or not len(text):
            return None
        recoded = self.target.codec_context.encode_subtitle(text)
        recoded.pts, recoded.dts, recoded.duration = packet.pts, packet.dts, packet.duration
        recoded.time_base, recoded.stream = packet.time_base, self.target
        return recoded
