"""How frames get from the graph to the network and back.

On the CPU they travel as RGB, which zimg converts in the graph. On a GPU, integer YUV travels as it
is and is converted there: a frame of 8-bit 4:2:0 is a quarter of the bytes of its RGB, and the CPU
is left to the decoder and the encoder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
import vapoursynth as vs
from torch import Tensor

from vsifrnet.engine.backend import Backend
from vsifrnet.engine.sources import Convert, SourceFrame
from vsifrnet.graph import frames
from vsifrnet.graph.frames import DTYPES, Colour
from vsifrnet.graph.yuv import Converter, Layout

__all__ = ["RGB", "YUV", "Transport", "choose"]


class Transport(Protocol):
    """Carries frames of a clip to a device and pictures back."""

    clip: vs.VideoNode
    """The source in the format in which its frames travel."""

    def source(self, number: int, frame: vs.VideoFrame) -> SourceFrame:
        """Return frame ``number`` of ``clip``, to be read by a worker.

        Reading raises an InputError where the frame's colour is not accepted.
        """

    def from_rgb(self, colour: Colour) -> Convert | None:
        """Return the conversion of a picture, on its device, to what :meth:`write` takes.

        ``colour`` is that of the frame to be written. None stands for no conversion.
        """

    def write(self, made: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
        """Return what was made as a frame of ``clip``'s format, without props."""

    def finish(self, node: vs.VideoNode, colour: Colour) -> vs.VideoNode:
        """Return frames that :meth:`write` wrote in the source's format, as of that ``colour``."""


def choose(clip: vs.VideoNode, matrix: int, backend: Backend) -> Transport:
    """Return the quickest transport that the clip and the device allow."""
    form = clip.format
    integer_yuv = form.color_family == vs.YUV and form.sample_type == vs.INTEGER
    cuda = backend.device.type == "cuda"
    if integer_yuv and cuda:
        return YUV(clip, matrix, backend.dtype, pinned=True, kernels=backend.kernels)
    return RGB(clip, matrix, backend.dtype, pinned=cuda)


class RGB:
    """Frames travel as RGBS or RGBH, which zimg converts in the graph."""

    def __init__(
        self,
        clip: vs.VideoNode,
        matrix: int,
        dtype: torch.dtype = torch.float32,
        *,
        pinned: bool = False,
    ) -> None:
        """Convert ``clip`` for a network of ``dtype``.

        ``matrix`` stands in where a frame has no ``_Matrix``. ``pinned`` memory is for CUDA.
        """
        self.clip = frames.to_rgb(clip, matrix, frames.rgb_format(clip.format, dtype))
        self._format = clip.format
        self._matrix = matrix
        self._pinned = pinned

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
    """Frames travel as integer YUV, unchanged; the device converts them as zimg would."""

    def __init__(
        self,
        clip: vs.VideoNode,
        matrix: int,
        dtype: torch.dtype,
        *,
        pinned: bool = False,
        kernels: bool = False,
    ) -> None:
        """See :class:`RGB`; ``kernels`` converts with Triton."""
        self.clip = clip.std.RemoveFrameProps("_Alpha")  # a node of our own, whose cache is ours
        self._matrix = matrix
        self._pinned = pinned
        self._kernels = kernels
        self._dtype = DTYPES[frames.rgb_format(clip.format, dtype)]
        self._lock = threading.Lock()
        self._converters: dict[tuple[Colour, torch.device], Converter] = {}
        """One for each colour and device that occurs."""

    def source(self, number: int, frame: vs.VideoFrame) -> SourceFrame:
        """See :class:`Transport`."""
        colour = Colour.of(frame.props)

        def to_rgb(samples: Tensor) -> Tensor:  # called with a worker's stream
            return self._converter(colour, samples.device).to_rgb(samples, self._dtype)

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
                make: Callable[[Layout, torch.device], Converter] = Converter
                if self._kernels:
                    from vsifrnet.graph.yuv_kernels import settled_converter as make  # Triton
                self._converters[colour, device] = make(layout, device)
            return self._converters[colour, device]
