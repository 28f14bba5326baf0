"""Transport of frames from the graph to the network and back.

On the CPU frames travel as RGB, which zimg converts in the graph. For a GPU, integer YUV is
uploaded unchanged and converted there: a frame of 8-bit 4:2:0 has a quarter of the bytes of its
RGB, and the CPU stays free for the decoder and the encoder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray
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
        """Return frame ``number`` of ``clip`` as a source that a worker reads.

        Reading raises an InputError if the frame's colour is not accepted.
        """

    def from_rgb(self, colour: Colour) -> Convert | None:
        """Return the conversion of a picture, on its device, to what :meth:`write` takes.

        ``colour`` is the colour of the frame to be written. None means no conversion.
        """

    def write(self, made: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
        """Return a made picture as a frame of ``clip``'s format, without props.

        The frame gets an ``_Alpha`` if ``like``, a frame of ``clip``, has one.
        """

    def finish(self, node: vs.VideoNode, colour: Colour) -> vs.VideoNode:
        """Convert a clip of frames by :meth:`write` to the source's format and ``colour``."""


def choose(clip: vs.VideoNode, matrix: int, backend: Backend) -> Transport:
    """Return the fastest transport that the clip and the device allow."""
    form = clip.format
    integer_yuv = form.color_family == vs.YUV and form.sample_type == vs.INTEGER
    cuda = backend.device.type == "cuda"
    if integer_yuv and cuda:
        return YUV(clip, matrix, backend.dtype, pinned=True, kernels=backend.kernels)
    return RGB(clip, matrix, backend.dtype, pinned=cuda)


class RGB:
    """Transport of frames as RGBS or RGBH, which zimg converts in the graph."""

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
        return SourceFrame(number, partial(self._read, frame))

    def _read(self, frame: vs.VideoFrame) -> Tensor:
        picture = frames.read(frame, pinned=self._pinned)
        alpha = frames.read_alpha(frame)
        return picture if alpha is None else _joined(picture, torch.from_numpy(alpha))

    def from_rgb(self, colour: Colour) -> None:
        """See :class:`Transport`."""

    def write(self, made: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
        """See :class:`Transport`."""
        return _with_alpha(frames.write(made[:3], like), made[3:].float().numpy(), like)

    def finish(self, node: vs.VideoNode, colour: Colour) -> vs.VideoNode:
        """See :class:`Transport`."""
        return frames.from_rgb(node, self._format, colour, self._matrix)


class YUV:
    """Transport of frames as unchanged integer YUV, which the device converts as zimg would."""

    def __init__(
        self,
        clip: vs.VideoNode,
        matrix: int,
        dtype: torch.dtype,
        *,
        pinned: bool = False,
        kernels: bool = False,
    ) -> None:
        """See :class:`RGB`; with ``kernels`` Triton converts colour."""
        # The filter sets the cache of this node, so it must not be the user's own.
        self.clip = clip.std.RemoveFrameProps("_PictType")
        self._matrix = matrix
        self._pinned = pinned
        self._kernels = kernels
        self._dtype = DTYPES[frames.rgb_format(clip.format, dtype)]
        self._lock = threading.Lock()
        self._converters: dict[tuple[Colour, torch.device], Converter] = {}
        """The converter of each colour and device that has occurred."""

    def source(self, number: int, frame: vs.VideoFrame) -> SourceFrame:
        """See :class:`Transport`."""
        colour = Colour.of(frame.props)
        alpha = frames.read_alpha(frame)

        def to_rgb(samples: Tensor) -> Tensor:  # A worker calls this on its CUDA stream.
            picture = self._converter(colour, samples.device).to_rgb(samples, self._dtype)
            return picture if alpha is None else _joined(picture, torch.from_numpy(alpha))

        return SourceFrame(number, partial(frames.read_samples, frame, pinned=self._pinned), to_rgb)

    def from_rgb(self, colour: Colour) -> Convert:
        """See :class:`Transport`."""

        def from_rgb(picture: Tensor) -> Tensor:
            converter = self._converter(colour, picture.device)
            if picture.shape[0] == 3:
                return converter.from_rgb(picture)
            samples = converter.from_rgb(picture[:3])
            # Alpha travels in the same tensor, as integers from 0 to the largest of its dtype.
            alpha = picture[3:].flatten() * torch.iinfo(samples.dtype).max
            return torch.cat((samples, alpha.round().to(samples.dtype)))

        return from_rgb

    def write(self, made: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
        """See :class:`Transport`."""
        count = sum(np.asarray(like[p]).size for p in range(like.format.num_planes))
        alpha = made[count:].float().numpy() / torch.iinfo(made.dtype).max
        alpha = alpha.reshape(-1, like.height, like.width)
        return _with_alpha(frames.write_samples(made[:count], like), alpha, like)

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


def _joined(picture: Tensor, alpha: Tensor) -> Tensor:
    """Join a picture (3, H, W) and alpha (H, W) to one (4, H, W), on the picture's device."""
    return torch.cat((picture, alpha[None].to(picture)))


def _with_alpha(frame: vs.VideoFrame, alpha: NDArray[Any], like: vs.VideoFrame) -> vs.VideoFrame:
    """Return ``frame`` with its alpha (0 or 1 planes, H, W), if ``like`` has one."""
    form: Any = like.props.get("_Alpha")
    if len(alpha) and form is not None:
        frame.props["_Alpha"] = frames.write_alpha(alpha[0], form)
    return frame
