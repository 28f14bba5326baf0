"""How frames become what an encoder takes: the nearest pixel format, and copies of the samples.

FFmpeg says which of an encoder's formats is nearest to the source's. VapourSynth converts to the
planar form of that format; where the encoder wants the samples in another order, FFmpeg's scaler
reorders them.
"""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

import av
import numpy as np
import vapoursynth as vs
from av.codec.codec import find_best_pix_fmt_of_list
from numpy.typing import NDArray

from vsifrnet.arguments import default_matrix
from vsifrnet.errors import EncodeError
from vsifrnet.graph.frames import Colour

__all__ = ["RANGES", "SUBSAMPLING", "Stored", "check_opaque", "picture", "storable"]

log = logging.getLogger("vsifrnet")

SUBSAMPLING = {
    "420": (1, 1),
    "422": (1, 0),
    "444": (0, 0),
    "440": (0, 1),
    "411": (2, 0),
    "410": (2, 2),
}
"""Subsampling of chroma (horizontal, vertical; base 2 logarithms) by FFmpeg's digits for it."""

TRANSPARENT = (
    *("apng", "ffv1", "ffvhuff", "huffyuv", "libvpx", "libvpx-vp9", "magicyuv", "png"),
    *("prores_ks", "qtrle", "rawvideo", "utvideo"),
)
"""Encoders that store alpha; others may take such a format and leave it out."""

EXPERIMENTAL = {"libvpx-vp9": ("gbrap", "yuva422p", "yuva444p")}
"""Formats that an encoder lists but that are not used, because hardly any player reads them."""

FIXED: dict[str, dict[str, int]] = {
    "mjpeg": {
        "range": vs.RANGE_FULL,
        "matrix": vs.MATRIX_BT470_BG,
        "chromaloc": vs.CHROMA_CENTER,
    },
    "prores": {"range": vs.RANGE_LIMITED},
    "prores_aw": {"range": vs.RANGE_LIMITED},
    "prores_ks": {"range": vs.RANGE_LIMITED},
    "utvideo": {"matrix": vs.MATRIX_BT470_BG},
}
"""What the YUV of an encoder means, whatever the container says; utvideo knows BT.709 as well."""

UTVIDEO = (None, vs.MATRIX_BT709, vs.MATRIX_ST170_M)
"""Matrices that need no conversion for utvideo; ST 170M is that of BT.470BG by another name."""

RANGES: dict[Any, int] = {vs.RANGE_LIMITED: 1, vs.RANGE_FULL: 2}
"""FFmpeg's numbers of ranges by the prop ``_Range``; 0 is unspecified."""

GRADED = (9, 10, 12, 14, 16)
"""Bit depths above 8 for which FFmpeg has planar formats."""


class Stored(NamedTuple):
    """A clip in the format that an encoder stores."""

    clip: vs.VideoNode
    """In the planar form of ``pix_fmt``, apart from ``_Alpha``."""
    pix_fmt: str
    """FFmpeg's name of the encoder's format."""
    planar: str
    """FFmpeg's name of the format that the clip's planes and alpha are copied into."""

    @property
    def alpha(self) -> bool:
        """Whether the format has an alpha channel."""
        return "a" in self.planar.removeprefix("gray")


def storable(clip: vs.VideoNode, codec: str, *, matrix: int | str | None = None) -> Stored:
    """Convert a clip to the format nearest to its own that an encoder takes.

    Args:
        clip: constant format. Its first frame tells whether it has ``_Alpha``, which is kept if
            the encoder can, and how its colours are to be understood.
        codec: FFmpeg's name of the encoder.
        matrix: as in the filter, for a clip of YUV that becomes RGB.

    Raises:
        EncodeError: there is no such encoder, or it takes no format that a clip can become.
    """
    own = clip.format
    with clip.get_frame(0) as first:
        colour = Colour.of(first.props)
        alpha = "_Alpha" in first.props and codec in TRANSPARENT
    try:
        formats = av.codec.Codec(codec, "w").video_formats or []
    except av.codec.codec.UnknownCodecError:
        raise EncodeError(f"codec={codec!r}: this FFmpeg has no such encoder") from None
    source = _name(own, alpha=alpha)
    # An encoder that names no formats takes them all.
    planar = {f.name: name for f in formats if (name := _planar(f.name)) is not None}
    for name in EXPERIMENTAL.get(codec, ()):
        planar.pop(name, None)
    planar = planar if formats else {source: source}
    best, _ = find_best_pix_fmt_of_list(list(planar), source, alpha)
    if best is None:
        raise EncodeError(f"codec={codec!r}: it takes no format that video can be converted to")
    form = _format(planar[best.name])
    fixed = _fixed(codec, form, colour)
    if form.id != own.id or fixed:
        log.info("%s stores %s, not %s", codec, best.name, own.name)
        if clip.width % (1 << form.subsampling_w) or clip.height % (1 << form.subsampling_h):
            raise EncodeError(
                f"codec={codec!r}: stores {best.name}, which needs even dimensions, and the video "
                f"is {clip.width}x{clip.height}: choose a codec that stores 4:4:4, such as "
                "libx264, libx265 or ffv1"
            )
        if form.color_family != vs.YUV or own.color_family != vs.YUV or "matrix" in fixed:
            fixed["matrix_in"] = default_matrix(clip, matrix)
        if own.color_family != vs.YUV:
            del fixed["matrix_in"]
        if own.color_family != form.color_family == vs.YUV:
            fixed.setdefault("matrix", vs.MATRIX_BT709)
        clip = clip.resize.Bicubic(format=form.id, dither_type="error_diffusion", **fixed)
    return Stored(clip, best.name, planar[best.name])


def picture(frame: vs.VideoFrame, stored: Stored) -> av.VideoFrame:
    """Copy a frame of ``stored.clip`` into one for the encoder."""
    made = av.VideoFrame(frame.width, frame.height, stored.planar)
    # FFmpeg keeps planar RGB as G, B, R.
    order = (1, 2, 0) if frame.format.color_family == vs.RGB else range(frame.format.num_planes)
    planes = [np.asarray(frame[p]) for p in order]
    if stored.alpha:
        planes.append(_alpha(frame))
    for plane, samples in zip(made.planes, planes, strict=True):
        lines = np.frombuffer(plane, samples.dtype).reshape(plane.height, -1)
        np.copyto(lines[:, : samples.shape[1]], samples)
    if stored.pix_fmt != stored.planar:
        made = made.reformat(format=stored.pix_fmt)
    # Some encoders write into their headers what frames say.
    made.colorspace = frame.props.get("_Matrix", 2)
    made.color_primaries = frame.props.get("_Primaries", 2)
    made.color_trc = frame.props.get("_Transfer", 2)
    made.color_range = RANGES.get(frame.props.get("_Range"), 0)
    return made


def check_opaque(frame: vs.VideoFrame, number: int, codec: str) -> None:
    """Refuse a frame with transparent places, for an encoder that stores no alpha.

    Raises:
        EncodeError: names the frame by its ``number``, and the encoder.
    """
    alpha = frame.props.get("_Alpha")
    if alpha is None:
        return
    integer = alpha.format.sample_type == vs.INTEGER
    largest = 2**alpha.format.bits_per_sample - 1 if integer else 1.0
    if np.asarray(alpha[0]).min() < largest:
        raise EncodeError(
            f"frame {number} has transparent places, which {codec} cannot store: choose a codec "
            "that can, such as ffv1, prores_ks or png, or --no-alpha"
        )


def _alpha(frame: vs.VideoFrame) -> NDArray[Any]:
    """Return the alpha samples of a frame in its own depth; without ``_Alpha`` they are opaque."""
    bits = frame.format.bits_per_sample
    dtype = np.uint8 if bits == 8 else np.uint16
    largest = 2**bits - 1
    alpha = frame.props.get("_Alpha")
    if alpha is None:
        return np.full((frame.height, frame.width), largest, dtype)
    samples = np.asarray(alpha[0])
    if alpha.format.sample_type == vs.INTEGER:
        if alpha.format.bits_per_sample == bits:
            return samples.copy()
        samples = samples / (2**alpha.format.bits_per_sample - 1)
    scaled: NDArray[Any] = np.round(np.clip(samples, 0, 1).astype(np.float64) * largest)
    return scaled.astype(dtype)


def _fixed(codec: str, form: vs.VideoFormat, colour: Colour) -> dict[str, Any]:
    """Return what frames of ``colour`` must become for an encoder, as arguments of resize."""
    if form.color_family != vs.YUV:
        return {}
    fixed = dict(FIXED.get(codec, {}))
    if fixed.get("matrix") == colour.matrix or (codec == "utvideo" and colour.matrix in UTVIDEO):
        fixed.pop("matrix", None)
    if fixed.get("range") == (colour.range or vs.RANGE_LIMITED):  # where nothing is said
        del fixed["range"]
    if not form.subsampling_w and not form.subsampling_h:
        fixed.pop("chromaloc", None)
    return fixed


def _name(form: vs.VideoFormat, *, alpha: bool) -> str:
    """Return FFmpeg's name of the planar integer format nearest to a clip's."""
    wanted = 16 if form.sample_type == vs.FLOAT else form.bits_per_sample
    bits = 8 if wanted == 8 else next(depth for depth in GRADED if depth >= wanted)
    family, letter = form.color_family, "a" * alpha
    digits = next(
        (k for k, v in SUBSAMPLING.items() if v == (form.subsampling_w, form.subsampling_h)), "444"
    )
    if family == vs.YUV and not alpha:
        return _named(f"yuv{digits}p", bits)
    if family == vs.YUV:
        digits = digits if digits in ("420", "422") else "444"
        return _named(f"yuva{digits}p", 16 if bits == 14 else bits)
    if family == vs.GRAY and not alpha:
        return _named("gray", bits)
    return _named(f"gbr{letter}p", 10 if alpha and bits == 9 else bits)


def _named(kind: str, bits: int) -> str:
    return kind if bits == 8 else f"{kind}{bits}le"


def _planar(name: str) -> str | None:
    """Return the planar form of a pixel format of FFmpeg's, or None where a clip has none."""
    if re.match(r"yuvj|pal|bayer|xyz|mono|ya|.*f(16|32)", name):
        return None
    form = av.VideoFormat(name, 64, 64)
    parts = form.components
    alpha = any(part.is_alpha for part in parts)
    if not parts or (len(parts) - alpha == 1 and alpha):
        return None  # it is of a device's memory, or grey with alpha
    bits = max(8, *(part.bits for part in parts))
    if form.is_rgb:
        planar = _named(f"gbr{'a' * alpha}p", bits)
    elif len(parts) == 1:
        planar = _named("gray", bits)
    else:
        size = form.chroma_width(64), form.chroma_height(64)
        digits = next((k for k, (w, h) in SUBSAMPLING.items() if size == (64 >> w, 64 >> h)), None)
        planar = _named(f"yuv{'a' * alpha}{digits}p", bits)
    return planar if _parsed(planar) else None


def _format(name: str) -> vs.VideoFormat:
    """Return VapourSynth's format of the planar integer samples that FFmpeg calls ``name``."""
    parsed = _parsed(name)
    assert parsed is not None
    kind, subsampling, bits = parsed.groups()
    family = {"gra": vs.GRAY, "gbr": vs.RGB}.get(kind[:3], vs.YUV)
    log2 = SUBSAMPLING.get(subsampling, (0, 0))
    return vs.core.query_video_format(family, vs.INTEGER, int(bits or 8), *log2)


def _parsed(name: str) -> re.Match[str] | None:
    return re.fullmatch(rf"(gray|gbra?p|yuva?({'|'.join(SUBSAMPLING)})p)(?:(\d+)le)?", name)
