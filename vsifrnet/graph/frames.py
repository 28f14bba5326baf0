"""Conversion of VapourSynth frames to tensors and back, and of clips to RGB and back.

The network works on planar RGB in [0, 1]. On the CPU, ``core.resize`` (zimg) converts colour in the
graph, and the planes of RGBS or RGBH frames become tensors. On a GPU, YUV samples become tensors as
they are, and :mod:`~vsifrnet.graph.yuv` converts them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import vapoursynth as vs
from numpy.typing import NDArray
from torch import Tensor

from vsifrnet.errors import InputError
from vsifrnet.graph.yuv import Layout, sample_dtype

__all__ = [
    "COLOUR_PROPS",
    "MATRICES",
    "Colour",
    "from_rgb",
    "layout",
    "read",
    "read_alpha",
    "read_samples",
    "rgb_format",
    "to_rgb",
    "write",
    "write_alpha",
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
"""The accepted matrices of YUV, by their names in ``core.resize``."""

DTYPES = {int(vs.RGBS): torch.float32, int(vs.RGBH): torch.float16}
"""The dtypes of the formats that :func:`read` and :func:`write` take."""


def rgb_format(format: vs.VideoFormat, dtype: torch.dtype) -> int:
    """Return the RGB format in which ``format`` travels to a network of ``dtype`` and back.

    Half precision is twice as fine as 10 bits and takes half the bytes to convert and to copy.
    """
    return int(vs.RGBH if dtype == torch.float16 and format.bits_per_sample <= 10 else vs.RGBS)


def read(frame: vs.VideoFrame, *, pinned: bool = False) -> Tensor:
    """Return an RGBS or RGBH frame as a tensor (3, H, W) of the same values and precision.

    CUDA copies from ``pinned`` memory asynchronously.
    """
    return read_samples(frame, pinned=pinned).view(3, frame.height, frame.width)


def write(picture: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
    """Return a picture (3, H, W) as a frame of the format and size of ``like``, without props."""
    frame = vs.core.create_video_frame(like.format, like.width, like.height)
    array = picture.to("cpu", DTYPES[like.format.id]).numpy()
    for p in range(3):
        np.copyto(np.asarray(frame[p]), array[p])
    return frame


def read_samples(frame: vs.VideoFrame, *, pinned: bool = False) -> Tensor:
    """Return all samples of an RGBS, RGBH or integer frame, plane after plane."""
    form = frame.format
    planes = [np.asarray(frame[p]) for p in range(form.num_planes)]
    dtype = DTYPES.get(form.id) or sample_dtype(form.bits_per_sample)
    samples = torch.empty(sum(plane.size for plane in planes), dtype=dtype, pin_memory=pinned)
    for part, plane in _by_plane(samples, planes):
        np.copyto(part, plane)
    return samples


def write_samples(samples: Tensor, like: vs.VideoFrame) -> vs.VideoFrame:
    """Return samples, plane after plane, as a frame of the format and size of ``like``."""
    frame = vs.core.create_video_frame(like.format, like.width, like.height)
    planes = [np.asarray(frame[p]) for p in range(frame.format.num_planes)]
    for part, plane in _by_plane(samples.cpu(), planes):
        np.copyto(plane, part)
    return frame


def read_alpha(frame: vs.VideoFrame) -> NDArray[np.float32] | None:
    """Return the alpha channel that a frame carries as ``_Alpha``: (H, W) in [0, 1], or None.

    Raises:
        InputError: the alpha channel is not one plane of the frame's size.
    """
    alpha: Any = frame.props.get("_Alpha")
    if alpha is None:
        return None
    size = alpha.width, alpha.height
    if size != (frame.width, frame.height) or alpha.format.color_family != vs.GRAY:
        raise InputError(
            f"_Alpha is {alpha.format.name} of {size[0]}x{size[1]}: must be GRAY of "
            f"{frame.width}x{frame.height}"
        )
    return np.asarray(alpha[0]).astype(np.float32) / np.float32(_largest(alpha.format))


def write_alpha(alpha: NDArray[np.floating[Any]], like: vs.VideoFrame) -> vs.VideoFrame:
    """Return an alpha channel (H, W) in [0, 1] as a frame of the format and props of ``like``."""
    frame = like.copy()
    largest = _largest(like.format)
    values = np.clip(alpha, 0.0, 1.0) * largest
    if like.format.sample_type == vs.INTEGER:
        values = np.round(values)
    np.copyto(np.asarray(frame[0]), values, casting="unsafe")
    return frame


def _largest(form: vs.VideoFormat) -> int:
    return 2**form.bits_per_sample - 1 if form.sample_type == vs.INTEGER else 1


def _by_plane(
    samples: Tensor, planes: Sequence[NDArray[Any]]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield each plane's share of the samples, in the plane's shape and type, and the plane."""
    start = 0
    for plane in planes:
        part = samples[start : start + plane.size].numpy()
        yield part.view(plane.dtype).reshape(plane.shape), plane
        start += plane.size


COLOUR_PROPS = ("_Matrix", "_Range", "_ChromaLocation")
"""The props that :class:`Colour` reads."""


class Colour(NamedTuple):
    """A frame's matrix, range and chroma location; None where its props do not say."""

    matrix: int | None
    range: int | None
    chromaloc: int | None

    @classmethod
    def of(cls, props: Mapping[str, Any]) -> Colour:
        """Read a frame's props; the matrix 2 (unspecified) becomes None."""
        said = (props.get(name) for name in COLOUR_PROPS)
        matrix, chroma_range, chromaloc = (None if v is None else int(v) for v in said)
        return cls(None if matrix == 2 else matrix, chroma_range, chromaloc)

    def check(self, form: vs.VideoFormat) -> None:
        """Refuse a colour that zimg cannot convert to RGB and back.

        Raises:
            InputError: a prop has another value; the message names both and what is accepted.
        """
        if form.color_family == vs.YUV and self.matrix not in (None, *MATRICES.values()):
            numbers = ", ".join(str(int(number)) for number in MATRICES.values())
            raise InputError(
                f"_Matrix={self.matrix}: must be one of {numbers}, 2, or absent for YUV"
            )
        subsampled = form.subsampling_w + form.subsampling_h > 0
        for name, value, accepted in (
            ("_Range", self.range, (0, 1)),
            ("_ChromaLocation", self.chromaloc if subsampled else None, (0, 1, 2, 3, 4, 5)),
        ):
            if value is not None and value not in accepted:
                raise InputError(f"{name}={value}: must be one of {', '.join(map(str, accepted))}")


def to_rgb(clip: vs.VideoNode, matrix: int, format: int = vs.RGBS) -> vs.VideoNode:
    """Convert ``clip`` to RGB of ``format``; ``matrix`` stands in where a frame has no ``_Matrix``.

    Interlaced frames are converted as progressive ones. An interpolated frame has no fields, and
    frames that are marked as interlaced in such scripts are mostly progressive.
    """
    # Transfer and primaries do not change this conversion, but zimg refuses unknown ones. With
    # _Field, which Bob leaves on whole frames, zimg would place chroma as in a single field.
    clip = clip.std.RemoveFrameProps(["_Field", "_FieldBased", "_Transfer", "_Primaries"])
    if clip.format.color_family == vs.YUV:
        return clip.resize.Bicubic(format=format, matrix_in=matrix)
    # Grey and RGB have no YUV matrix, whatever the prop says; resize would refuse one.
    plain = clip.std.RemoveFrameProps("_Matrix")
    return plain if clip.format.id == format else plain.resize.Bicubic(format=format)


def from_rgb(
    rgb: vs.VideoNode, format: vs.VideoFormat, colour: Colour, matrix: int
) -> vs.VideoNode:
    """Convert RGB back to ``format``, the inverse of :func:`to_rgb` for frames of ``colour``."""
    arguments: dict[str, Any] = {}
    if format.color_family != vs.RGB:
        arguments["matrix"] = matrix if colour.matrix is None else colour.matrix
    if format.color_family == vs.GRAY:
        # All three channels are equal, so that every matrix gives the same result.
        arguments["matrix"] = vs.MATRIX_BT709
    if colour.range is not None:
        arguments["range"] = colour.range
    if colour.chromaloc is not None and format.subsampling_w + format.subsampling_h:
        arguments["chromaloc"] = colour.chromaloc
    return rgb.resize.Bicubic(format=format.id, **arguments)


def layout(like: vs.VideoNode | vs.VideoFrame, colour: Colour, matrix: int) -> Layout:
    """Return the layout of an integer YUV clip's frames of that ``colour``.

    ``matrix`` is as in :func:`to_rgb`. Where props are absent the range is limited and chroma lies
    on the left, as in zimg.

    Raises:
        InputError: a prop has another value; the message names both and what is accepted.
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
