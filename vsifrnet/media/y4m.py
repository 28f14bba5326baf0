"""Uncompressed video on pipes (YUV4MPEG2): read as a clip of unknown length, written by frames."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator, Iterator, Mapping
from fractions import Fraction
from math import ceil, floor
from threading import Lock
from typing import IO, Any

import numpy as np
import vapoursynth as vs

from vsifrnet.errors import EncodeError, InputError
from vsifrnet.media.formats import check_opaque

__all__ = ["Reader", "longest", "write", "write_standard"]

KEPT = 48
"""Frames that can still be asked for after later ones have been read."""

MOST = 10_000_000
"""Frames of the clip; it ends earlier than that where the input does."""

FORMATS: dict[str, tuple[vs.ColorFamily, int, int]] = {
    "420": (vs.YUV, 1, 1),
    "422": (vs.YUV, 1, 0),
    "444": (vs.YUV, 0, 0),
    "411": (vs.YUV, 2, 0),
    "440": (vs.YUV, 0, 1),
    "mono": (vs.GRAY, 0, 0),
}
"""Colour family and subsampling by the names of colour spaces."""

CHROMA: dict[str, int] = {
    "mpeg2": vs.CHROMA_LEFT,
    "jpeg": vs.CHROMA_CENTER,
    "paldv": vs.CHROMA_TOP_LEFT,
}
"""Chroma locations by the endings of the names of 8-bit 4:2:0."""

RANGES: dict[str, int] = {"FULL": vs.RANGE_FULL, "LIMITED": vs.RANGE_LIMITED}

FIELDS: dict[str, int] = {"p": vs.FIELD_PROGRESSIVE, "t": vs.FIELD_TOP, "b": vs.FIELD_BOTTOM}


class Reader:
    """A clip whose frames are read from a pipe as they are asked for, roughly in order.

    How long it is shows at its end only: the clip is very long, and after the last frame of the
    input repeats it. :meth:`frames` gives the frames of what is made of it, up to the end.

    Args:
        stream: the input, at its beginning.

    Raises:
        InputError: the input is not YUV4MPEG2, or of a format that cannot be read.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = Lock()
        self._kept: dict[int, list[bytes]] = {}
        self._read = 0
        self.length: int | None = None
        """Number of frames of the input, once its end has been read."""
        self.damage: str | None = None
        """What is missing, where the input ended within a frame."""
        words = _line(stream).split(" ")
        if words[0] != "YUV4MPEG2":
            raise InputError("standard input: must be y4m (YUV4MPEG2)")
        fields = {word[:1]: word[1:] for word in words[1:] if word[:1] != "X"}
        try:
            width, height = int(fields["W"]), int(fields["H"])
            fps = Fraction(*map(int, fields["F"].split(":")))
        except (KeyError, ValueError, ZeroDivisionError):
            raise InputError(f"standard input: a damaged y4m header {' '.join(words)!r}") from None
        form, props = _form(fields.get("C", "420jpeg"))
        if (
            width <= 0
            or height <= 0
            or fps <= 0
            or width % (1 << form.subsampling_w)
            or (height % (1 << form.subsampling_h))
        ):
            raise InputError(
                f"standard input: {width}x{height} at {fps} fps cannot be read as {form.name}"
            )
        props["_FieldBased"] = FIELDS.get(fields.get("I", "p"), vs.FIELD_PROGRESSIVE)
        if aspect := re.fullmatch(r"([1-9]\d*):([1-9]\d*)", fields.get("A", "")):
            props["_SARNum"], props["_SARDen"] = map(int, aspect.groups())
        for word in words[1:]:
            if word.startswith("XCOLORRANGE=") and word[12:] in RANGES:
                props["_Range"] = RANGES[word[12:]]
        self._sizes = [
            (height >> (form.subsampling_h if p else 0), width >> (form.subsampling_w if p else 0))
            for p in range(form.num_planes)
        ]
        self._type = np.dtype("u1" if form.bytes_per_sample == 1 else "<u2")
        blank = vs.core.std.BlankClip(
            width=width,
            height=height,
            format=form.id,
            length=MOST,
            fpsnum=fps.numerator,
            fpsden=fps.denominator,
            keep=True,
        ).std.SetFrameProps(**props)
        self.clip = blank.std.ModifyFrame(blank, self._fill)

    def frames(
        self, made: vs.VideoNode, *, multi: Fraction, first: int = 0
    ) -> Iterator[vs.VideoFrame]:
        """Give the frames of ``made`` up to the end of the input.

        ``made`` begins with frame ``first`` of a clip that has ``multi`` frames for each of the
        input's.
        """
        for n, frame in enumerate(made.frames(close=True), start=first):
            if self.length is not None and n >= floor(self.length * multi):
                return
            yield frame
        if self.length is None and first + made.num_frames >= floor(self.clip.num_frames * multi):
            raise InputError(f"standard input has more than {self.clip.num_frames} frames")

    def _fill(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        with self._lock:
            while self.length is None and n >= self._read:
                self._next()
            if self.length == 0:
                raise vs.Error("standard input: there is no frame in it")
            number = n if self.length is None else min(n, self.length - 1)
            if number not in self._kept:
                raise vs.Error(f"standard input: frame {number} cannot be read a second time")
            planes = self._kept[number]
        frame = f.copy()
        for p, (data, size) in enumerate(zip(planes, self._sizes, strict=True)):
            np.copyto(np.asarray(frame[p]), np.frombuffer(data, self._type).reshape(size))
        return frame

    def _next(self) -> None:
        """Read one frame, or the end."""
        header = _line(self._stream)
        if not header.startswith("FRAME"):
            if header:
                self.damage = "what follows is no frame"
            self.length = self._read
            return
        planes = []
        for height, width in self._sizes:
            size = height * width * self._type.itemsize
            data = self._stream.read(size)
            if len(data) < size:
                self.damage = "the last frame is incomplete"
                self.length = self._read
                return
            planes.append(data)
        self._kept[self._read] = planes
        self._kept.pop(self._read - KEPT, None)
        self._read += 1


def longest(multi: Fraction) -> int:
    """Return how many frames a clip may have, so that ``multi`` times as many can be counted."""
    return min(MOST, floor((2**31 - 1) / ceil(multi)))


def write_standard(clip: vs.VideoNode, frames: Iterator[vs.VideoFrame]) -> Generator[int]:
    """Do what :func:`write` does, to standard output.

    Raises:
        EncodeError: it is a terminal, or its reader has closed it.
    """
    if sys.stdout.isatty():
        raise EncodeError("standard output is a terminal: pipe it into what reads y4m")
    try:
        yield from write(clip, frames, sys.stdout.buffer)
    except BrokenPipeError:
        # Python would fail anew when it flushes what is left at its end.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise EncodeError("standard output was closed by what reads it") from None


def write(clip: vs.VideoNode, frames: Iterator[vs.VideoFrame], stream: IO[bytes]) -> Generator[int]:
    """Write frames as y4m; gives the number of frames so far after each one.

    Args:
        clip: has the format and rate; YUV or GRAY of integers, with a constant frame rate.
        frames: its frames in order.
        stream: where to.

    Raises:
        EncodeError: y4m cannot hold the format, or a frame has transparent places.
    """
    for n, frame in enumerate(frames, start=1):
        if n == 1:
            stream.write(_header(clip, dict(frame.props)))
        check_opaque(frame, n - 1, "y4m")
        stream.write(b"FRAME\n")
        for chunk in frame.readchunks():
            stream.write(chunk)
        yield n
    stream.flush()


def _line(stream: IO[bytes]) -> str:
    return stream.readline(4096).decode("ascii", errors="replace").rstrip("\n")


def _form(name: str) -> tuple[vs.VideoFormat, dict[str, int]]:
    """Return a colour space's format, and the props that its name tells of."""
    match = re.fullmatch(r"(420|422|444|411|440|mono)(?:(mpeg2|jpeg|paldv)|p?(\d+))?", name)
    if match is None:
        raise InputError(f"standard input: y4m of colour space {name!r} cannot be read")
    kind, place, bits = match.groups()
    family, across, down = FORMATS[kind]
    props = {}
    if place is not None:
        props["_ChromaLocation"] = int(CHROMA[place])
    elif kind == "420" and bits is None:
        props["_ChromaLocation"] = int(vs.CHROMA_CENTER)
    try:
        form = vs.core.query_video_format(family, vs.INTEGER, int(bits or 8), across, down)
    except vs.Error:
        raise InputError(f"standard input: y4m of {bits} bits cannot be read") from None
    return form, props


def _header(clip: vs.VideoNode, props: Mapping[str, Any]) -> bytes:
    form, bits = clip.format, clip.format.bits_per_sample
    names = {key: name for name, key in FORMATS.items()}
    space = names.get((form.color_family, form.subsampling_w, form.subsampling_h))
    if form.sample_type != vs.INTEGER or space is None:
        raise EncodeError(
            f"y4m cannot hold {form.name}: must be YUV or GRAY of integers, such as YUV420P8"
        )
    if bits > 8:
        space += str(bits) if form.color_family == vs.GRAY else f"p{bits}"
    elif space == "420":
        places = {place: ending for ending, place in CHROMA.items()}
        space += places.get(props.get("_ChromaLocation", -1), "")
    fps = Fraction(clip.fps)
    num, den = props.get("_SARNum", 0), props.get("_SARDen", 0)
    fields = {value: letter for letter, value in FIELDS.items()}
    words = [
        *("YUV4MPEG2", f"C{space}", f"W{clip.width}", f"H{clip.height}"),
        f"F{fps.numerator}:{fps.denominator}",
        "I" + fields.get(props.get("_FieldBased", 0), "p"),
        f"A{num}:{den}" if num > 0 and den > 0 else "A0:0",
    ]
    told = props.get("_Range")
    words += [f"XCOLORRANGE={name}" for name, value in RANGES.items() if value == told]
    return (" ".join(words) + "\n").encode()
