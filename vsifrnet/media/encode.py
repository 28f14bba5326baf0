"""A clip to a video file: FFmpeg's encoders through PyAV, the other streams copied."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

import av
import numpy as np
import vapoursynth as vs

from vsifrnet.errors import EncodeError
from vsifrnet.files import location, replacing
from vsifrnet.graph.frames import write
from vsifrnet.media import hdr10
from vsifrnet.media.copy import Copier, Copies
from vsifrnet.media.messages import ffmpeg_messages
from vsifrnet.media.pictures import Picture

__all__ = ["CODECS", "Encoder", "encode", "encode_pictures", "storable"]

log = logging.getLogger("vsifrnet")

CODECS = {
    "libx264": {"crf": "18", "preset": "medium"},
    "libx265": {"crf": "20", "preset": "medium"},
    "libsvtav1": {"crf": "25", "preset": "6"},
}
"""Encoders and the options that they get where the user gives none."""

FINEST = Fraction(1, 1_000_000)
"""Tick of timestamps where no common one of at most 32 bits is exact."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder and its options."""

    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=dict)
    """As in FFmpeg: crf, preset, x265-params, ..."""

    @property
    def all_options(self) -> dict[str, str]:
        """With the defaults of :data:`CODECS`."""
        options = CODECS.get(self.codec, {}) | dict(self.options)
        if {"qp", "b"} & set(self.options) and "crf" not in self.options:
            options.pop("crf", None)  # or it would win over the rule that was asked for
        if self.codec == "libx265" and "x265-params" not in options:
            # It would write to the terminal itself, between our progress.
            options["x265-params"] = "log-level=error"
        return options


def encode(
    clip: vs.VideoNode,
    path: Path,
    *,
    encoder: Encoder,
    start: Fraction = Fraction(0),
    tick: Fraction | None = None,
    copies: Copies | None = None,
    overwrite: bool = True,
) -> Generator[int]:
    """Encode ``clip`` into ``path``; gives the number of frames so far after each one.

    Args:
        clip: constant format; frames are shown one after the other for their
            ``_DurationNum``/``_DurationDen``, by the clip's fps where they have none.
        path: where to; its suffix is the container. It is complete or not there at all.
        start: when the first frame begins, in seconds, on the clock of ``copies``.
        tick: what all durations are multiples of, in seconds; None is one frame at the clip's fps.
        copies: audio, subtitles, chapters, attachments and tags of a source.
        overwrite: a file that is at ``path`` at the end is replaced.

    Raises:
        EncodeError: options that the encoder refuses, streams that the container cannot hold,
            or a failure on the way.
    """
    with ffmpeg_messages() as messages, replacing(path, overwrite=overwrite) as partial:
        try:
            yield from _encode(clip, partial, encoder, start, tick, copies)
        except av.FFmpegError as error:
            words = [text for _, text in messages()[-10:]]
            raise EncodeError("\n".join([f"{path}: {error}", *words])) from error


def encode_pictures(pictures: Sequence[Picture], path: Path, *, fps: Fraction) -> None:
    """Encode pictures of one size by x264, as BT.709; for players that know little else."""
    _, height, width = pictures[0].rgb.shape
    canvas = vs.core.std.BlankClip(
        width=width, height=height, format=vs.RGBS, length=len(pictures), keep=True
    ).std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator)
    clip = canvas.std.ModifyFrame(canvas, lambda n, f: write(pictures[n].rgb, like=f))
    even = width % 2 == height % 2 == 0
    form = vs.YUV420P8 if even else vs.YUV444P8
    clip = clip.resize.Bicubic(
        format=form, matrix=vs.MATRIX_BT709, range=vs.RANGE_LIMITED, dither_type="error_diffusion"
    )
    colour = {"_Primaries": vs.PRIMARIES_BT709, "_Transfer": vs.TRANSFER_BT709}
    for _ in encode(clip.std.SetFrameProps(**colour), path, encoder=Encoder()):
        pass


def _encode(
    clip: vs.VideoNode,
    path: Path,
    encoder: Encoder,
    start: Fraction,
    tick: Fraction | None,
    copies: Copies | None,
) -> Iterator[int]:
    clip, pix_fmt = storable(clip, encoder.codec)
    with ExitStack() as stack:
        # The index of MP4 goes to the front, for players that read from there.
        options = {"movflags": "+faststart"} if path.suffix.lower() in (".mp4", ".mov") else {}
        try:
            muxer = stack.enter_context(av.open(location(path), "w", options=options))
        except ValueError:
            raise EncodeError(
                f"{path.suffix!r} is the suffix of no container: choose .mkv"
            ) from None
        with clip.get_frame(0) as first:
            video = _add_video(muxer, clip, pix_fmt, first.props, encoder)
        copier = None
        if copies is not None:
            source = stack.enter_context(av.open(location(copies.path)))
            copier = Copier(source, muxer, video, copies, start)
            start -= copier.shift
        tick = _common(start, tick or 1 / Fraction(clip.fps))
        video.codec_context.time_base = tick

        time = start
        for n, frame in enumerate(clip.frames(close=True), start=1):
            duration = _duration(frame.props, clip)
            picture = _picture(frame, pix_fmt)
            picture.pts, picture.time_base = round(time / tick), tick
            picture.duration = round(duration / tick)
            muxer.mux(video.encode(picture))
            time += duration
            if copier is not None:
                copier.advance(time)
            yield n
        muxer.mux(video.encode(None))
        if copier is not None:
            copier.advance(None)


def storable(clip: vs.VideoNode, codec: str) -> tuple[vs.VideoNode, str]:
    """The clip in the format nearest to its own that an encoder takes, and FFmpeg's name of that.

    Nearest is: of the same colour family, then with as much chroma, then with as many bits.
    """
    own = clip.format
    try:
        formats = av.codec.Codec(codec, "w").video_formats or []
    except av.codec.codec.UnknownCodecError:
        raise EncodeError(f"codec={codec!r}: this FFmpeg has no such encoder") from None
    names = {vs_format: f.name for f in formats if (vs_format := _vs_format(f.name)) is not None}

    def distance(form: vs.VideoFormat) -> tuple[int, ...]:
        chroma = (form.subsampling_w + form.subsampling_h) - (own.subsampling_w + own.subsampling_h)
        bits = form.bits_per_sample - own.bits_per_sample
        family = form.color_family != own.color_family
        return family, max(chroma, 0), max(-bits, 0), -chroma, bits

    best = min((vs.core.get_video_format(i) for i in names), key=distance)
    if best.id != own.id:
        log.info("%s stores %s, not %s", codec, best.name, own.name)
        arguments: dict[str, Any] = {}
        if own.color_family == vs.RGB and best.color_family == vs.YUV:
            arguments["matrix"] = vs.MATRIX_BT709
        clip = clip.resize.Bicubic(format=best.id, dither_type="error_diffusion", **arguments)
    return clip, names[best.id]


def _vs_format(name: str) -> int | None:
    """VapourSynth's format of planar little-endian integer samples, by FFmpeg's name."""
    parsed = re.fullmatch(r"(gray|gbrp|yuv(4[0-4][0-4])p)(?:(\d+)le)?", name)
    if parsed is None:
        return None
    kind, subsampling, bits = parsed.groups()
    family = {"gray": vs.GRAY, "gbrp": vs.RGB}.get(kind, vs.YUV)
    log2 = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0)}
    if family == vs.YUV and subsampling not in log2:
        return None
    return int(
        vs.core.query_video_format(
            family, vs.INTEGER, int(bits or 8), *log2.get(subsampling, (0, 0))
        ).id
    )


def _add_video(
    muxer: av.container.OutputContainer,
    clip: vs.VideoNode,
    pix_fmt: str,
    props: vs.FrameProps,
    encoder: Encoder,
) -> av.VideoStream:
    options = hdr10.add(encoder.codec, encoder.all_options, props)
    fps = clip.fps or Fraction(25)
    video = muxer.add_stream(encoder.codec, rate=Fraction(fps), options=options)
    assert isinstance(video, av.VideoStream)
    context = video.codec_context
    unknown = set(options) - {option.name for option in _known(context)}
    if unknown:
        raise EncodeError(f"{encoder.codec} has no option {sorted(unknown)[0]!r}")
    context.width, context.height, context.pix_fmt = clip.width, clip.height, pix_fmt
    # Props and codecs use the numbers of ITU-T H.273 alike, with 2 for unspecified.
    context.colorspace = props.get("_Matrix", 2)
    context.color_primaries = props.get("_Primaries", 2)
    context.color_trc = props.get("_Transfer", 2)
    if "_Range" in props:
        context.color_range = 1 if props["_Range"] == vs.RANGE_LIMITED else 2
    if "_ChromaLocation" in props:
        context.chroma_sample_location = props["_ChromaLocation"] + 1
    if props.get("_SARNum", 0) and props.get("_SARDen", 0):
        context.sample_aspect_ratio = Fraction(props["_SARNum"], props["_SARDen"])
    if props.get("_FieldBased", 0):
        log.warning("the video is interlaced: deinterlace it before interpolating")
    return video


def _known(context: av.VideoCodecContext) -> Iterator[av.codec.context.CodecOption]:
    found = context.supported_options
    yield from (*found.generic, *(found.private or ()))


def _common(start: Fraction, duration: Fraction) -> Fraction:
    """A unit of time that both are multiples of, or one fine enough not to matter."""
    tick = Fraction(1, lcm(start.denominator, duration.denominator))
    return tick if tick.denominator < 2**31 else FINEST


def _duration(props: vs.FrameProps, clip: vs.VideoNode) -> Fraction:
    """How long a frame is shown, in seconds."""
    num, den = props.get("_DurationNum"), props.get("_DurationDen")
    return Fraction(num, den) if num and den else 1 / Fraction(clip.fps)


def _picture(frame: vs.VideoFrame, pix_fmt: str) -> av.VideoFrame:
    """A copy of a frame for the encoder."""
    picture = av.VideoFrame(frame.width, frame.height, pix_fmt)
    # FFmpeg keeps planar RGB as G, B, R.
    order = (1, 2, 0) if frame.format.color_family == vs.RGB else range(frame.format.num_planes)
    for plane, p in zip(picture.planes, order, strict=True):
        samples = np.asarray(frame[p])
        lines = np.frombuffer(plane, samples.dtype).reshape(plane.height, -1)
        np.copyto(lines[:, : samples.shape[1]], samples)
    return picture
