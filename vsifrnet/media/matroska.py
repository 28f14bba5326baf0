"""Track headers of a Matroska or WebM file, completed after FFmpeg has written the file.

PyAV has no way to give FFmpeg's muxer a display size, or a codec that Matroska stores under the
name that AVI has for it. Both belong into the header of a track, at the beginning of the file.
Before the file is written the track gets a long title, which reserves room for them; afterwards
the header is written anew, with the true title, in as many bytes as before.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import av
from av.container import OutputContainer
from av.stream import Stream

from vsifrnet.errors import EncodeError
from vsifrnet.media import ebml

__all__ = ["TrackHeaders", "avi_header", "stores"]

# Element IDs of RFC 9559.
SEGMENT, TRACKS, TRACK_ENTRY = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
CRC32, VOID = b"\xbf", b"\xec"
NAME, VIDEO, CODEC_ID, CODEC_PRIVATE = b"\x53\x6e", b"\xe0", b"\x86", b"\x63\xa2"
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
COLOUR, COLOUR_SPACE = b"\x55\xb0", b"\x2e\xb5\x24"

ASPECT_RATIO_UNIT = 3
"""Value of DisplayUnit where width and height are those of the display aspect ratio."""

ROOM = 300
"""Bytes that the elements of a track grow by at most, apart from a codec's own header."""


@dataclass(frozen=True, kw_only=True)
class _Track:
    title: str
    size: tuple[int, int]
    aspect: Fraction | None
    avi_header: bytes | None
    colour: Mapping[bytes, bytes]


class TrackHeaders:
    """Collects what the track headers of one file lack, then writes it into the file."""

    def __init__(self, muxer: OutputContainer) -> None:
        self._webm = muxer.format.name == "webm"
        self._known = muxer.format.name in ("matroska", "webm")
        self._tracks: dict[bytes, _Track] = {}

    def add(
        self,
        stream: Stream,
        size: tuple[int, int],
        aspect: Fraction | None,
        *,
        avi_header: bytes | None = None,
        colour: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """Complete the header of a video stream.

        To be called after the stream has its title and before the muxer writes its header. Other
        containers than Matroska and WebM need nothing of it.

        Args:
            stream: of the file that is written.
            size: width and height of its frames.
            aspect: of a sample; None leaves it as FFmpeg writes it.
            avi_header: the codec's header in AVI; None leaves the codec as FFmpeg writes it.
            colour: more elements of Colour, by their IDs.
        """
        if not self._known:
            return
        title = stream.metadata.get("title", "")
        room = ROOM + len(title.encode()) + len(avi_header or b"")
        reserved = f"track {len(self._tracks)} " + "." * room
        self._tracks[reserved.encode()] = _Track(
            title=title, size=size, aspect=aspect, avi_header=avi_header, colour=colour or {}
        )
        stream.metadata["title"] = reserved

    def write(self, path: Path) -> None:
        """Write the headers into the finished file.

        Raises:
            EncodeError: the file has another structure than the muxer of FFmpeg is known to write.
        """
        if not self._tracks:
            return
        with path.open("r+b") as file:
            start, old = _find_tracks(file)
            kept = [(k, v) for k, v in ebml.elements(old) if k not in (CRC32, VOID)]
            body = _joined((k, self._entry(v) if k == TRACK_ENTRY else v) for k, v in kept)
            checked = old.startswith(CRC32)
            body += ebml.void(len(old) - len(body) - 6 * checked)
            if checked:
                body = ebml.element(CRC32, zlib.crc32(body).to_bytes(4, "little")) + body
            if self._tracks or len(body) != len(old):
                raise EncodeError(f"{path}: the track headers cannot be completed")
            file.seek(start)
            file.write(body)

    def _entry(self, data: bytes) -> bytes:
        """Return the content of a track entry with what was added for it."""
        children = list(ebml.elements(data))
        content = dict(children)
        track = self._tracks.pop(content.get(NAME, b""), None)
        if track is None:
            return data
        changed = {NAME: track.title.encode() or None, VIDEO: self._video(content[VIDEO], track)}
        if track.avi_header is not None:
            changed |= {CODEC_ID: b"V_MS/VFW/FOURCC", CODEC_PRIVATE: track.avi_header}
        return _changed(children, changed)

    def _video(self, data: bytes, track: _Track) -> bytes:
        children = list(ebml.elements(data))
        changed: dict[bytes, bytes | None] = {}
        if track.avi_header is not None:
            changed[COLOUR_SPACE] = None
        if track.colour:
            colour = list(ebml.elements(dict(children).get(COLOUR, b"")))
            changed[COLOUR] = _changed(colour, track.colour)
        if track.aspect is not None:
            changed |= self._display(track.size, track.aspect)
        return _changed(children, changed)

    def _display(self, size: tuple[int, int], aspect: Fraction) -> dict[bytes, bytes | None]:
        width, height = size
        if aspect == 1:  # the default
            return {DISPLAY_WIDTH: None, DISPLAY_HEIGHT: None, DISPLAY_UNIT: None}
        if self._webm:  # which knows sizes in pixels only
            shown = ebml.number(round(width * aspect)), ebml.number(height)
            return {DISPLAY_WIDTH: shown[0], DISPLAY_HEIGHT: shown[1], DISPLAY_UNIT: None}
        shape = Fraction(width, height) * aspect
        return {
            DISPLAY_WIDTH: ebml.number(shape.numerator),
            DISPLAY_HEIGHT: ebml.number(shape.denominator),
            DISPLAY_UNIT: ebml.number(ASPECT_RATIO_UNIT),
        }


def _changed(
    elements: Iterable[tuple[bytes, bytes]], changed: Mapping[bytes, bytes | None]
) -> bytes:
    """Return elements of which some are replaced, added at the end, or left out (None)."""
    kept = [(name, content) for name, content in elements if name not in changed]
    added = [(name, content) for name, content in changed.items() if content is not None]
    return _joined([*kept, *added])


def _joined(elements: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(ebml.element(name, content) for name, content in elements)


def stores(muxer: OutputContainer, codec: str) -> bool:
    """Return whether Matroska takes a codec under the name that AVI has for it."""
    if muxer.format.name != "matroska":
        return False
    with av.open(BytesIO(), "w", format="avi") as avi:
        return codec in avi.supported_codecs


def avi_header(avi: bytes) -> bytes:
    """Return the stream format chunk (BITMAPINFOHEADER) of the first stream of an AVI file."""
    at = avi.index(b"strf")
    size = int.from_bytes(avi[at + 4 : at + 8], "little")
    return avi[at + 8 : at + 8 + size]


def _find_tracks(file: BinaryIO) -> tuple[int, bytes]:
    """Return where the content of the element of all tracks begins, and the content."""
    while header := file.read(12):
        name, size, length = ebml.head(header)
        start = file.seek(length - len(header), 1)
        if name == TRACKS:
            return start, file.read(size)
        if name != SEGMENT:  # which is entered
            file.seek(size, 1)
    raise EncodeError("the file that was written has no tracks")
