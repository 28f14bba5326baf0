"""VapourSynth frames to tensors and back, and the conversions around the network in the graph.

The network works on planar RGB in [0, 1]. For frames that are made only, colour goes through
``core.resize`` (zimg) in the graph, and the planes of RGBS or RGBH frames become tensors; or, where
the network is on a GPU, YUV samples become tensors as they are, and :mod:`~vsifrnet.graph.yuv`
converts them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor

from vsifrnet.graph.yuv import Layout, sample_dtype

__all__ = [
    "COLOUR_PROPS",
    "MATRICES",
    "Colour",
    "from_rgb",
    "layout",
    "read",
    "read_samples",
    "rgb_format",
    "to_rgb",
    "write",
    "write_samples",
]


MATRICES = {
    "709": vs.MATRIX_BT709,
    "fcc": vs.MATRIX_FCC,
    "470bg": vs.MATRIX_BT470_BG,
    "170m": vs.MATRIX_ST170_M,
    "240m": vs.MATRIX_ST240_M,
    "ycgco": vs.MATRIX_YCGCO,
    "2020ncl": vs.MATRIX_BT2020_NCL,
}
"""Matrices of YUV by their names in ``core.resize``."""

DTYPES = {int(vs.RGBS): torch.float32, int(vs.RGBH): torch.float16}
"""Formats that :func:`read` and :func:`write` know."""


def rgb_format(format: vs.VideoFormat, dtype: torch.dtype) -> int:
    """The RGB in which frames of ``format`` go to a network of ``dtype``, and come back.

    Half precision is twice as fine as 10 bits, and half the bytes to convert and to copy.
    """
    return int(vs.RGBH if dtype == torch.float16 and format.bits_per_sample <= 10 else vs.RGBS)


def read(frame: vs.VideoFrame, *, pinned: bool = False) -> Tensor:
    """An RGBS or RGBH frame as a tensor (3, H, W), of the frame's own values and precision.

    ``pinned`` memory is what CUDA copies from without making anybody wait.
    """
    return read_samples(frame, pinned=pinned).view(3, frame.height, frame.width)


def write(picture: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
    """A picture (3, H, W) as a frame of the format and size of ``like``, without props."""
    frame = vs.core.create_video_frame(like.format, like.width, like.height)
    array = picture.to("cpu", DTYPES[like.format.id]).numpy()
    for p in range(3):
        np.copyto(np.asarray(frame[p]), array[p])
    return frame


def read_samples(frame: vs.VideoFrame, *, pinned: bool = False) -> Tensor:
    """All samples of such a frame or one of integers, plane after plane."""
    form = frame.format
    planes = [np.asarray(frame[p]) for p in range(form.num_planes)]
    dtype = DTYPES.get(form.id) or sample_dtype(form.bits_per_sample)
    samples = torch.empty(sum(plane.size for plane in planes), dtype=dtype, pin_memory=pinned)
    for part, plane in _by_plane(samples, planes):
        np.copyto(part, plane)
    return samples


def write_samples(samples: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
    """Such samples as a frame of the format and size of ``like``, without props."""
    frame = vs.core.create_video_frame(like.format, like.width, like.height)
    planes = [np.asarray(frame[p]) for p in range(frame.format.num_planes)]
    for part, plane in _by_plane(samples.cpu(), planes):
        np.copyto(plane, part)
    return frame


def _by_plane(
    samples: Tensor, planes: Sequence[NDArray[Any]]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Each plane's share of the samples, in its shape and type, and the plane."""
    start = 0
    for plane in planes:
        part = samples[start : start + plane.size].numpy()
        yield part.view(plane.dtype).reshape(plane.shape), plane
        start += plane.size


COLOUR_PROPS = ("_Matrix", "_Range", "_ChromaLocation")
"""What :class:`Colour` is read from."""


class Colour(NamedTuple):
    """How a source frame's samples are to be understood; None where its props do not say."""

    matrix: int | None
    range: int | None
    chromaloc: int | None

    @classmethod
    def of(cls, props: vs.FrameProps) -> Colour:
        """Read from frame props; 2 (unspecified) counts as not said."""
        said = (props.get(name) for name in COLOUR_PROPS)
        matrix, chroma_range, chromaloc = (None if v is None else int(v) for v in said)
        return cls(None if matrix == 2 else matrix, chroma_range, chromaloc)

    def check(self, form: vs.VideoFormat) -> None:
        """Refuse what zimg cannot convert to RGB and back.

        Raises:
            ValueError: names the prop, its value and what is accepted.
        """
        if form.color_family == vs.YUV and self.matrix not in (None, *MATRICES.values()):
            numbers = ", ".join(str(int(number)) for number in MATRICES.values())
            raise ValueError(f"_Matrix={self.matrix}: accepted of YUV are {numbers}, 2 or none")
        subsampled = form.subsampling_w + form.subsampling_h > 0
        for name, value, accepted in (
            ("_Range", self.range, (0, 1)),
            ("_ChromaLocation", self.chromaloc if subsampled else None, (0, 1, 2, 3, 4, 5)),
        ):
            if value is not None and value not in accepted:
                raise ValueError(f"{name}={value}: accepted are {', '.join(map(str, accepted))}")


def to_rgb(clip: vs.VideoNode, matrix: int, format: int = vs.RGBS) -> vs.VideoNode:
    """RGB of ``format``; ``matrix`` stands in where a frame has no ``_Matrix``.

    Fields are not told apart: the way back could not, and what is marked as interlaced in a script
    that interpolates is most often not.
    """
    # Neither transfer nor primaries have a say in the conversion, but zimg refuses unknown ones.
    # By _Field, which Bob leaves on whole frames, it would place chroma as a single field's.
    clip = clip.std.RemoveFrameProps(["_Field", "_FieldBased", "_Transfer", "_Primaries"])
    if clip.format.color_family == vs.YUV:
        return clip.resize.Bicubic(format=format, matrix_in=matrix)
    # Neither grey nor RGB has a YUV matrix, whatever the frame says; resize would refuse it.
    plain = clip.std.RemoveFrameProps("_Matrix")
    return plain if clip.format.id == format else plain.resize.Bicubic(format=format)


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


def layout(like: vs.VideoNode | vs.VideoFrame, colour: Colour, matrix: int) -> Layout:
    """How the samples of an integer YUV clip's frames lie and what they mean in that ``colour``.

    ``matrix`` is as in :func:`to_rgb`, and so is what zimg takes where nothing is said: limited
    range, and chroma on the left.

    Raises:
        ValueError: names the prop, its value and what is accepted.
    """
    form = like.format
    colour.check(form)
    return Layout(
        width=like.width,
        height=like.height,
        bits=form.bits_per_sample,
        subsampling_w=form.subsampling_w,
        subsampling_h=form.subsampling_h,
        matrix=matrix if colour.matrix is None else colour.matrix,
        full=bool(colour.range),
        chromaloc=colour.chromaloc or 0,
    )
