"""Encodes a clip to a video file with FFmpeg's encoders (PyAV) and copies the other streams."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from math import lcm
from pathlib import Path
from typing import Any

import av
import vapoursynth as vs

from vsifrnet.errors import EncodeError
from vsifrnet.files import location, replacing
from vsifrnet.graph.frames import write
from vsifrnet.graph.timecodes import frame_duration
from vsifrnet.media import hdr10, matroska
from vsifrnet.media.copy import Copier, Copies
from vsifrnet.media.formats import RANGES, Stored, check_opaque, picture, storable
from vsifrnet.media.loss import warn_of_loss
from vsifrnet.media.messages import ffmpeg_messages, svt_errors_only
from vsifrnet.media.pictures import Picture

__all__ = ["CODECS", "Encoder", "encode", "encode_pictures"]

log = logging.getLogger("vsifrnet")

CODECS = {
    "libx264": {"crf": "18", "preset": "medium"},
    "libx265": {"crf": "20", "preset": "medium"},
    "libsvtav1": {"crf": "25", "preset": "6"},
}
"""Default options of known encoders."""

COMMON = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "gif", "apng")
"""Encoders that are named where a container cannot hold what another one makes."""

FIELD_ORDERS = {
    vs.FIELD_PROGRESSIVE: 1,
    vs.FIELD_BOTTOM: 3,
    vs.FIELD_TOP: 2,
}
"""FFmpeg's field orders by the value of ``_FieldBased``."""

FINEST = Fraction(1, 1_000_000)
"""Tick of timestamps where no exact common tick fits 32 bits."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder and its options."""

    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=dict)
    """Options by FFmpeg's names: crf, preset, x265-params, ..."""

    @property
    def all_options(self) -> dict[str, str]:
        """The options, with the defaults of :data:`CODECS` for those that are not given."""
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
    matrix: int | str | None = None,
    frames: Callable[[vs.VideoNode], Iterator[vs.VideoFrame]] | None = None,
) -> Generator[int]:
    """Encode ``clip`` into ``path``; yield the number of encoded frames after each frame.

    Args:
        clip: constant format; frames are shown one after the other for their
            ``_DurationNum``/``_DurationDen``, by the clip's fps where they have none.
        path: where to; its suffix is the container. It is complete or not there at all.
        start: when the first frame begins, in seconds, on the clock of ``copies``.
        tick: what all durations are multiples of, in seconds; None is one frame at the clip's fps.
        copies: audio, subtitles, chapters, attachments and tags of a source.
        overwrite: a file that is at ``path`` at the end is replaced.
        matrix: as in the filter, for an encoder that takes RGB only.
        frames: gives the frames of a clip in order, where not all of them are wanted.

    Raises:
        EncodeError: options that the encoder refuses, streams that the container cannot hold,
            or a failure on the way.
    """
    with (
        svt_errors_only(),
        ffmpeg_messages() as messages,
        replacing(path, overwrite=overwrite) as partial,
    ):
        try:
            yield from _encode(clip, partial, encoder, start, tick, copies, matrix, frames)
        except av.FFmpegError as error:
            words = [text for _, text in messages()[-10:]]
            raise EncodeError("\n".join([f"{path}: {error}", *words])) from error


def encode_pictures(pictures: Sequence[Picture], path: Path, *, fps: Fraction) -> None:
    """Encode pictures of one size with x264 as 8-bit BT.709, which every player reads."""
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
    matrix: int | str | None,
    frames: Callable[[vs.VideoNode], Iterator[vs.VideoFrame]] | None,
) -> Iterator[int]:
    stored = storable(clip, encoder.codec, matrix=matrix)
    clip = stored.clip
    with ExitStack() as stack:
        # The index of MP4 goes to the front, for players that read from there.
        options = {"movflags": "+faststart"} if path.suffix.lower() in (".mp4", ".mov") else {}
        try:
            muxer = stack.enter_context(av.open(location(path), "w", options=options))
        except ValueError:
            raise EncodeError(
                f"{path.suffix!r} is the suffix of no container: choose .mkv"
            ) from None
        props = dict(stack.enter_context(clip.get_frame(0)).props)
        # What Matroska stores as AVI does is encoded beside it, and its packets are copied.
        beside = encoder.codec not in muxer.supported_codecs and matroska.stores(
            muxer, encoder.codec
        )
        if beside:
            video = _add_video(
                muxer, stored._replace(pix_fmt="yuv420p"), props, Encoder(codec="rawvideo")
            )
        else:
            video = _add_video(muxer, stored, props, encoder)
        headers = matroska.TrackHeaders(muxer)
        copier = None
        if copies is not None:
            source = stack.enter_context(av.open(location(copies.path)))
            copier = Copier(source, muxer, video, copies, start, headers)
            start -= copier.shift
        tick = _common(start, tick or 1 / Fraction(clip.fps))
        video.codec_context.time_base = tick
        coder, avi_header = video, None
        if beside:
            memory = BytesIO()
            avi = stack.enter_context(av.open(memory, "w", format="avi"))
            coder = _add_video(avi, stored, props, encoder)
            coder.codec_context.time_base = tick
            avi.start_encoding()
            avi_header = matroska.avi_header(memory.getvalue())
        headers.add(
            video,
            (clip.width, clip.height),
            _aspect(props),
            avi_header=avi_header,
            colour=hdr10.matroska(props),
        )

        time = start
        wanted = clip.frames(close=True) if frames is None else frames(clip)
        for n, frame in enumerate(wanted, start=1):
            duration = _duration(frame.props, clip)
            if not stored.alpha:
                check_opaque(frame, n - 1, encoder.codec)
            shown = picture(frame, stored)
            shown.pts, shown.time_base = round(time / tick), tick
            shown.duration = round(duration / tick)
            _mux(muxer, video, coder.encode(shown))
            time += duration
            if copier is not None:
                copier.advance(time)
            yield n
        _mux(muxer, video, coder.encode(None))
        if copier is not None:
            copier.advance(None)
    headers.write(path)
    warn_of_loss(path, f"{encoder.codec} in {path.suffix}", props)


def _mux(
    muxer: av.container.OutputContainer, stream: av.VideoStream, packets: Iterable[av.Packet[Any]]
) -> None:
    for packet in packets:
        packet.stream = stream
        muxer.mux_one(packet)


def _add_video(
    muxer: av.container.OutputContainer,
    stored: Stored,
    props: Mapping[str, Any],
    encoder: Encoder,
) -> av.VideoStream:
    options = hdr10.add(encoder.codec, encoder.all_options, props)
    clip, fps = stored.clip, stored.clip.fps or Fraction(25)
    try:
        video = muxer.add_stream(encoder.codec, rate=Fraction(fps), options=options)
    except ValueError:
        raise EncodeError(_not_held(muxer, encoder.codec)) from None
    assert isinstance(video, av.VideoStream)
    context = video.codec_context
    unknown = set(options) - {option.name for option in _known(context)}
    if unknown:
        raise EncodeError(f"{encoder.codec} has no option {sorted(unknown)[0]!r}")
    context.width, context.height, context.pix_fmt = clip.width, clip.height, stored.pix_fmt
    # Props and codecs use the numbers of ITU-T H.273 alike, with 2 for unspecified.
    context.colorspace = props.get("_Matrix", 2)
    context.color_primaries = props.get("_Primaries", 2)
    context.color_trc = props.get("_Transfer", 2)
    context.color_range = RANGES.get(props.get("_Range"), 0)
    if "_ChromaLocation" in props:
        context.chroma_sample_location = props["_ChromaLocation"] + 1
    if aspect := _aspect(props):
        context.sample_aspect_ratio = aspect
    if "_FieldBased" in props:
        context.field_order = FIELD_ORDERS[props["_FieldBased"]]
    return video


def _not_held(muxer: av.container.OutputContainer, codec: str) -> str:
    """Say that a container cannot hold what an encoder makes, and what can be chosen instead."""
    held = muxer.supported_codecs
    fit = [name for name in COMMON if av.codec.Codec(name, "w").canonical_name in held]
    suffix = Path(muxer.name).suffix
    other = ".mov" if suffix == ".mkv" else ".mkv"
    codecs = f", or --codec {' or '.join(fit)}" if fit else ""
    return f"codec={codec!r} cannot be put into {suffix}: choose {other}{codecs}"


def _aspect(props: Mapping[str, Any]) -> Fraction | None:
    """Return the aspect ratio of a sample, or None where it is not known."""
    num, den = props.get("_SARNum", 0), props.get("_SARDen", 0)
    return Fraction(num, den) if num > 0 and den > 0 else None


def _known(context: av.VideoCodecContext) -> Iterator[av.codec.context.CodecOption]:
    found = context.supported_options
    yield from (*found.generic, *(found.private or ()))


def _common(start: Fraction, duration: Fraction) -> Fraction:
    """Return a tick that divides both, or one so fine that rounding does not matter."""
    tick = Fraction(1, lcm(start.denominator, duration.denominator))
    return tick if tick.denominator < 2**31 else FINEST


def _duration(props: vs.FrameProps, clip: vs.VideoNode) -> Fraction:
    """Return how long a frame is shown, in seconds."""
    duration = frame_duration(props)
    return 1 / Fraction(clip.fps) if duration is None else duration
