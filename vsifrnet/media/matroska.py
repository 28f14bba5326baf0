"""Track headers of a Matroska or WebM file, completed after FFmpeg has written the file.

PyAV has no way to give FFmpeg's muxer a display size, or a codec that Matroska stores under the
name that AVI has for it. Both belong into the header of a track, at the beginning of the file.
Before the file is written the track gets a long title, which reserves room for them; afterwards
the header is written anew, with the true title, in as many bytes as before.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import av
from av.container import OutputContainer
from av.stream import Stream

from vsifrnet.errors import EncodeError

__all__ = ["TrackHeaders", "avi_header", "stores"]

# Element IDs of RFC 9559.
SEGMENT, TRACKS, TRACK_ENTRY = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
CRC32, VOID = b"\xbf", b"\xec"
NAME, VIDEO, CODEC_ID, CODEC_PRIVATE = b"\x53\x6e", b"\xe0", b"\x86", b"\x63\xa2"
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
COLOUR_SPACE = b"\x2e\xb5\x24"

ASPECT_RATIO_UNIT = 3
"""Value of DisplayUnit where width and height are those of the display aspect ratio."""

ROOM = 80
"""Bytes that the elements of a track grow by at most, apart from a codec's own header."""


@dataclass(frozen=True, kw_only=True)
class _Track:
    title: str
    aspect: Fraction | None
    """Of a sample; None leaves it as FFmpeg wrote it."""
    size: tuple[int, int]
    avi_header: bytes | None
    """Header of the codec as in AVI; None leaves the codec as FFmpeg wrote it."""


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
        avi_header: bytes | None = None,
    ) -> None:
        """Complete the header of a video stream of ``size`` (width, height).

        To be called after the stream has its title and before the muxer writes its header. Other
        containers than Matroska and WebM need nothing of it.
        """
        if not self._known or (aspect is None and avi_header is None):
            return
        title = stream.metadata.get("title", "")
        reserved = f"track {len(self._tracks)} " + "." * (
            ROOM + len(title.encode()) + len(avi_header or b"")
        )
        self._tracks[reserved.encode()] = _Track(
            title=title, aspect=aspect, size=size, avi_header=avi_header
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
            elements = list(_elements(old))
            parts = [
                _element(name, self._entry(data) if name == TRACK_ENTRY else data)
                for name, data in elements
                if name not in (CRC32, VOID)
            ]
            checked = any(name == CRC32 for name, _ in elements)
            body = b"".join(parts)
            body += _void(len(old) - len(body) - 6 * checked)
            if checked:
                body = _element(CRC32, zlib.crc32(body).to_bytes(4, "little")) + body
            if self._tracks or len(body) != len(old):
                raise EncodeError(f"{path}: the track headers cannot be completed")
            file.seek(start)
            file.write(body)

    def _entry(self, data: bytes) -> bytes:
        """Return the content of a track entry with what was added for it."""
        elements = dict(_elements(data))
        track = self._tracks.pop(elements.get(NAME, b""), None)
        if track is None:
            return data
        del elements[NAME]
        if track.title:
            elements[NAME] = track.title.encode()
        if track.avi_header is not None:
            elements[CODEC_ID], elements[CODEC_PRIVATE] = b"V_MS/VFW/FOURCC", track.avi_header
        elements[VIDEO] = self._video(dict(_elements(elements[VIDEO])), track)
        return b"".join(_element(name, content) for name, content in elements.items())

    def _video(self, elements: dict[bytes, bytes], track: _Track) -> bytes:
        if track.avi_header is not None:
            elements.pop(COLOUR_SPACE, None)
        if track.aspect is not None:
            for name in (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT):
                elements.pop(name, None)  # the defaults stand for square samples
            width, height = track.size
            if track.aspect != 1 and self._webm:  # WebM knows sizes in pixels only
                elements[DISPLAY_WIDTH] = _number(round(width * track.aspect))
                elements[DISPLAY_HEIGHT] = _number(height)
            elif track.aspect != 1:
                shape = Fraction(width, height) * track.aspect
                elements[DISPLAY_WIDTH] = _number(shape.numerator)
                elements[DISPLAY_HEIGHT] = _number(shape.denominator)
                elements[DISPLAY_UNIT] = _number(ASPECT_RATIO_UNIT)
        return b"".join(_element(name, content) for name, content in elements.items())


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
        name, size, length = _head(header)
        start = file.seek(length - len(header), 1)
        if name == TRACKS:
            return start, file.read(size)
        if name != SEGMENT:  # which is entered
            file.seek(size, 1)
    raise EncodeError("the file that was written has no tracks")


def _elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give ID and content of each of the elements that follow one another in ``data``."""
    at = 0
    while at < len(data):
        name, size, length = _head(data[at : at + 12])
        yield name, data[at + length : at + length + size]
        at += length + size


def _head(data: bytes) -> tuple[bytes, int, int]:
    """Return an element's ID, the size of its content, and the size of these two."""
    name = data[: 9 - data[0].bit_length()]
    first = data[len(name)]
    count = 9 - first.bit_length()  # leading zeros of the first byte say how many there are
    digits = data[len(name) : len(name) + count]
    size = int.from_bytes(digits, "big") - (1 << (7 * count))
    return name, size, len(name) + count


def _element(name: bytes, content: bytes) -> bytes:
    count = next(n for n in range(1, 9) if len(content) < (1 << (7 * n)) - 1)
    return name + (len(content) + (1 << (7 * count))).to_bytes(count, "big") + content


def _void(size: int) -> bytes:
    """Return an element without meaning, of ``size`` bytes."""
    if size < 10:
        raise EncodeError("too little room was reserved in the track headers")
    return VOID + (size - 9 + (1 << 56)).to_bytes(8, "big") + bytes(size - 9)


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
