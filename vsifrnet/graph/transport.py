"""How frames get to the network and back.

As RGB, which zimg makes in the graph and is quick at where the network is on the CPU as well; or as
the clip's own YUV samples, which a GPU converts: of 8-bit 4:2:0 a quarter of the bytes travel, and
the CPU is left to the decoder and the encoder.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Protocol

import torch
import vapoursynth as vs
from torch import Tensor

from vsifrnet.engine.backend import Backend
from vsifrnet.engine.workers import Convert, SourceFrame
from vsifrnet.graph import frames
from vsifrnet.graph.frames import DTYPES, Colour
from vsifrnet.graph.yuv import Converter

__all__ = ["RGB", "YUV", "Transport", "choose"]


class Transport(Protocol):
    """Between frames of ``clip`` and pictures on a device."""

    clip: vs.VideoNode
    """The source in the form in which its frames are read."""

    def source(self, number: int, frame: vs.VideoFrame) -> SourceFrame:
        """Frame ``number`` of ``clip``, for the network.

        Its picture cannot be had, a ValueError says why, where its colour is not accepted.
        """

    def from_rgb(self, colour: Colour) -> Convert | None:
        """From a picture on any device to what :meth:`write` takes for a frame of that ``colour``.

        None leaves it a picture.
        """

    def write(self, made: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
        """A frame as ``clip``'s, without props."""

    def finish(self, node: vs.VideoNode, colour: Colour) -> vs.VideoNode:
        """Frames written so, in the source's format; they are to get props of that ``colour``."""


def choose(clip: vs.VideoNode, matrix: int, backend: Backend) -> Transport:
    """The quicker one of those that the clip and the device allow."""
    form = clip.format
    integer_yuv = form.color_family == vs.YUV and form.sample_type == vs.INTEGER
    if integer_yuv and backend.device.type == "cuda":
        return YUV(clip, matrix, backend)
    return RGB(clip, matrix, backend)


class RGB:
    """RGBS or RGBH, from and to zimg."""

    def __init__(self, clip: vs.VideoNode, matrix: int, backend: Backend) -> None:
        """``matrix`` stands in where a frame has no ``_Matrix``."""
        self.clip = frames.to_rgb(clip, matrix, frames.rgb_format(clip.format, backend.dtype))
        self._format = clip.format
        self._matrix = matrix
        self._pinned = backend.device.type == "cuda"

    def source(self, number: int, frame: vs.VideoFrame) -> SourceFrame:
        """See :class:`Transport`."""
        return SourceFrame(number, partial(frames.read, frame, pinned=self._pinned))

    def from_rgb(self, colour: Colour) -> None:
        """See :class:`Transport`."""

    def write(self, made: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
        """See :class:`Transport`."""
        return frames.write(made, like)

    def finish(self, node: vs.VideoNode, colour: Colour) -> vs.VideoNode:
        """See :class:`Transport`."""
        return frames.from_rgb(node, self._format, colour, self._matrix)


class YUV:
    """Integer YUV as it is; converted on the device, as zimg would."""

    def __init__(self, clip: vs.VideoNode, matrix: int, backend: Backend) -> None:
        """See :class:`RGB`."""
        self.clip = clip.std.RemoveFrameProps("_Alpha")  # a node of our own, whose cache is ours
        self._matrix = matrix
        self._pinned = backend.device.type == "cuda"
        self._dtype = DTYPES[frames.rgb_format(clip.format, backend.dtype)]
        self._lock = threading.Lock()
        self._converters: dict[tuple[Colour, torch.device], Converter] = {}
        """For each colour that occurs."""

    def source(self, number: int, frame: vs.VideoFrame) -> SourceFrame:
        """See :class:`Transport`."""
        colour = Colour.of(frame.props)

        def to_rgb(samples: Tensor) -> Tensor:  # by whoever has the stream
            return self._converter(colour, samples.device).to_rgb(samples).to(self._dtype)

        return SourceFrame(number, partial(frames.read_samples, frame, pinned=self._pinned), to_rgb)

    def from_rgb(self, colour: Colour) -> Convert:
        """See :class:`Transport`."""
        return lambda picture: self._converter(colour, picture.device).from_rgb(picture)

    def write(self, made: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
        """See :class:`Transport`."""
        return frames.write_samples(made, like)

    def finish(self, node: vs.VideoNode, colour: Colour) -> vs.VideoNode:
        """See :class:`Transport`."""
        return node

    def _converter(self, colour: Colour, device: torch.device) -> Converter:
        with self._lock:
            if (colour, device) not in self._converters:
                layout = frames.layout(self.clip, colour, self._matrix)
                self._converters[colour, device] = Converter(layout, device)
            return self._converters[colour, device]
