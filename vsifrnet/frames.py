"""VapourSynth frames to tensors and back, and the conversions around the network in the graph.

The network works on planar RGB float32 in [0, 1]. Colour goes through ``core.resize`` (zimg) in
the graph, for frames that are made only; here the planes of such RGBS frames become tensors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

__all__ = ["Colour", "from_rgb", "read", "to_rgb", "write"]


def read(frame: vs.VideoFrame, *, pinned: bool = False) -> Tensor:
    """An RGBS frame as a tensor (3, H, W), float32, values clamped to [0, 1].

    ``pinned`` memory is what CUDA copies from without making anybody wait.
    """
    shape = 3, frame.height, frame.width
    planes = torch.empty(shape, dtype=torch.float32, pin_memory=pinned)
    array = planes.numpy()
    for p in range(3):
        np.clip(np.asarray(frame[p]), 0.0, 1.0, out=array[p])
    return planes


def write(picture: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
    """A picture (3, H, W) as a frame of the format and size of ``like``, without props."""
    frame = vs.core.create_video_frame(like.format, like.width, like.height)
    array = picture.to("cpu", torch.float32).numpy()
    for p in range(3):
        np.copyto(np.asarray(frame[p]), array[p])
    return frame


class Colour(NamedTuple):
    """How a source frame's samples are to be understood; None where its props do not say."""

    matrix: int | None
    range: int | None
    chromaloc: int | None

    @classmethod
    def of(cls, props: vs.FrameProps) -> Colour:
        """Read from frame props; 2 (unspecified) counts as not said."""
        matrix = props.get("_Matrix", 2)
        chroma_range, chromaloc = props.get("_Range"), props.get("_ChromaLocation")
        return cls(
            matrix=None if matrix == 2 else int(matrix),
            range=None if chroma_range is None else int(chroma_range),
            chromaloc=None if chromaloc is None else int(chromaloc),
        )


def to_rgb(clip: vs.VideoNode, matrix: int) -> vs.VideoNode:
    """RGBS; ``matrix`` stands in where a frame has no ``_Matrix``.

    Fields are not told apart: the way back could not, and what is marked as interlaced in a script
    that interpolates is most often not.
    """
    clip = clip.std.RemoveFrameProps("_FieldBased")
    if clip.format.color_family == vs.YUV:
        return clip.resize.Bicubic(format=vs.RGBS, matrix_in=matrix)
    # Neither grey nor RGB has a YUV matrix, whatever the frame says; resize would refuse it.
    plain = clip.std.RemoveFrameProps("_Matrix")
    return plain if clip.format.id == vs.RGBS else plain.resize.Bicubic(format=vs.RGBS)


def from_rgb(
    rgb: vs.VideoNode, format: vs.VideoFormat, colour: Colour, matrix: int
) -> vs.VideoNode:
    """The way back from :func:`to_rgb` for frames of that ``colour``."""
    arguments: dict[str, int] = {}
    if format.color_family != vs.RGB:
        arguments["matrix"] = matrix if colour.matrix is None else colour.matrix
    if format.color_family == vs.GRAY:
        arguments["matrix"] = vs.MATRIX_BT709  # all three channels are alike: any would do
    if colour.range is not None:
        arguments["range"] = colour.range
    if colour.chromaloc is not None and format.subsampling_w + format.subsampling_h:
        arguments["chromaloc"] = colour.chromaloc
    return rgb.resize.Bicubic(format=format.id, **arguments)
