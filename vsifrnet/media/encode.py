"""A clip to a video file: FFmpeg's encoders through PyAV, the other streams copied."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from pathlib import Path

import av
import numpy as np
import vapoursynth as vs

from vsifrnet.files import replacing

__all__ = ["CODECS", "Copies", "EncodeError", "Encoder", "encode"]

log = logging.getLogger("vsifrnet")

CODECS = {
    "libx264": {"crf": "18", "preset": "medium"},
    "libx265": {"crf": "20", "preset": "medium"},
    "libsvtav1": {"crf": "25", "preset": "6"},
}
"""Encoders and the options that they get where the user gives none."""

FINEST = Fraction(1, 1_000_000)
"""Tick of timestamps where no common one of at most 32 bits is exact."""


class EncodeError(Exception):
    """The encoder or the container failed; the message has their last words."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder and its options."""

    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=dict)
    """As in FFmpeg: crf, preset, x265-params, ..."""

    @property
    def all_options(self) -> dict[str, str]:
        """With the defaults of :data:`CODECS`."""
        return CODECS.get(self.codec, {}) | dict(self.options)


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What else of a source goes into the file, as it is."""

    path: Path
    video_track: int
    """The stream that is not copied, because it is what was encoded."""
    audio: bool = True
    subtitles: bool = True
    attachments: bool = True


def encode(
    clip: vs.VideoNode,
    path: Path,
    *,
    encoder: Encoder,
    start: Fraction = Fraction(0),
    copies: Copies | None = None,
) -> Iterator[int]:
    """Encode ``clip`` into ``path``; gives the number of frames so far after each one.

    Args:
        clip: constant format; frames are shown one after the other for their
            ``_DurationNum``/``_DurationDen``, by the clip's fps where they have none.
        path: where to; its suffix is the container. It is complete or not there at all.
        start: when the first frame begins, in seconds, on the clock of ``copies``.
        copies: audio, subtitles, chapters, attachments and tags of a source.

    Raises:
        EncodeError: options that the encoder refuses, streams that the container cannot hold,
            or a failure on the way.
    """
    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture() as logs, replacing(path) as partial:
        try:
            yield from _encode(clip, partial, encoder, start, copies)
        except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
            words = [message.strip() for _, _, message in logs[-10:]]
            raise EncodeError("\n".join([f"{encoder.codec}: {error}", *words])) from error


def _encode(
    clip: vs.VideoNode, path: Path, encoder: Encoder, start: Fraction, copies: Copies | None
) -> Iterator[int]:
    with ExitStack() as stack:
        muxer = stack.enter_context(av.open(str(path), "w", options=_muxer_options(path)))
        source = None
        if copies is not None:
            source = stack.enter_context(av.open(str(copies.path)))
            start -= _shift(source, start)
        first = clip.get_frame(0)
        video = _add_video(muxer, _storable(clip, encoder.codec), first, encoder, start)
        copier = _Copier(source, muxer, copies, start) if copies and source else None

        time = start
        tick = Fraction(video.codec_context.time_base)
        frames = _storable(clip, encoder.codec).frames(close=True)
        for n, frame in enumerate(frames, start=1):
            picture = _picture(frame, video.codec_context)
            picture.pts, picture.time_base = round(time / tick), tick
            muxer.mux(video.encode(picture))
            time += _duration(frame, clip)
            if copier is not None:
                copier.advance(time)
            yield n
        muxer.mux(video.encode(None))
        if copier is not None:
            copier.advance(None)
