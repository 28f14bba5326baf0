"""Picture files to tensors and back: PNG, JPEG, WebP and AVIF, and animations of them.

Pillow reads and writes everything but 16-bit PNG, of which it keeps 8 bits; FFmpeg's codec
(PyAV) does those. Values are taken as they are stored: an ICC profile is passed on, not applied.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vsifrnet.errors import InputError
from vsifrnet.files import location, replacing

__all__ = [
    "ANIMATIONS",
    "SUFFIXES",
    "Header",
    "Picture",
    "animate",
    "header",
    "natural",
    "read",
    "write",
]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif")
"""Suffixes of the pictures that can be read and written."""

ANIMATIONS = (".gif", ".webp", ".apng")
"""Suffixes of the animations that :func:`animate` writes."""


class Header(NamedTuple):
    """The header of a picture file: its size and kind, without the pixels."""

    width: int
    height: int
    depth: int
    """Bits per sample: 8 or 16."""
    grey: bool
    alpha: bool
    """It has an alpha channel, or a colour that is transparent."""
    turned: bool
    """The file says that the picture is to be shown turned or mirrored."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture in memory."""

    rgb: Tensor
    """Colours as (3, H, W), float32, in [0, 1], not multiplied by alpha."""
    alpha: Tensor | None = None
    """Opacity as (H, W), float32, in [0, 1]; None if the file has no transparency."""
    depth: int = 8
    """Bits per sample in the file: 8 or 16."""
    grey: bool = False
    """Whether the file has one channel, if its format allows that."""
    icc: bytes | None = None


def natural(path: Path) -> list[tuple[str, int]]:
    """Return a sort key for the natural order: frame2 before frame10."""
    parts = re.findall(r"(\D*)(\d*)", path.name.lower())
    return [(text, int(digits or -1)) for text, digits in parts]


def header(path: Path) -> Header:
    """Read the size and the kind of a picture file.

    Raises:
        InputError: it is no picture, or damaged where that can be seen without decoding it.
    """
    with _opened(path) as image:
        width, height = image.size
        orientation = image.getexif().get(0x0112, 1) if _turned(image) else 1
        if orientation >= 5:
            width, height = height, width
        alpha = image.has_transparency_data
        return Header(width, height, *_kind(path, image), alpha, turned=orientation != 1)


def read(path: Path) -> Picture:
    """Decode a picture file and turn it upright.

    Raises:
        InputError: it is no picture, or damaged; the message names the file.
    """
    with _opened(path) as image:
        icc = image.info.get("icc_profile")
        alpha, (depth, grey) = image.has_transparency_data, _kind(path, image)
        if depth == 16:
            array = _decode_png16(path)
        else:
            try:
                upright = ImageOps.exif_transpose(image) if _turned(image) else image
                array = np.asarray(upright.convert("RGBA" if alpha else "RGB"))
            except (OSError, SyntaxError, ValueError) as error:
                raise InputError(f"{path}: a damaged picture ({error})") from None
    values = torch.from_numpy(array.astype(np.float32) / (2**depth - 1)).permute(2, 0, 1)
    return Picture(
        rgb=values[:3].contiguous(),
        alpha=values[3].contiguous() if alpha else None,
        depth=depth,
        grey=grey,
        icc=icc,
    )


def write(picture: Picture, path: Path, *, quality: int = 95) -> None:
    """Write a picture to a name with one of :data:`SUFFIXES`, completely or not at all.

    Args:
        quality: 1 to 100, of JPEG, WebP and AVIF; 100 is lossless in WebP.

    Formats other than PNG store 8 bits. JPEG cannot store alpha, which is then an error.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: pictures are written as {', '.join(SUFFIXES)}")
    if picture.alpha is not None and suffix in (".jpg", ".jpeg"):
        raise InputError(f"{path}: JPEG cannot store transparency; PNG, WebP and AVIF can")
    with replacing(path) as partial:
        if picture.depth == 16 and suffix == ".png":
            partial.write_bytes(_encode_png16(picture))
            return
        options: dict[str, Any] = {}
        if suffix != ".png":
            options["quality"] = quality
        if suffix == ".webp" and quality == 100:
            options["lossless"] = True
        if suffix in (".jpg", ".jpeg"):
            options["subsampling"] = 0
        _image(picture).save(partial, icc_profile=picture.icc, **options)


def animate(pictures: Sequence[Picture], path: Path, *, fps: Fraction, quality: int = 95) -> None:
    """Write an animation that loops forever to a name with one of :data:`ANIMATIONS`."""
    options: dict[str, Any] = {"format": {".apng": "PNG"}.get(path.suffix.lower())}
    if path.suffix.lower() == ".webp":
        options.update(quality=quality, lossless=quality == 100)
    if path.suffix.lower() == ".gif":
        options["disposal"] = 2 if pictures[0].alpha is not None else 0
    first, *others = (_image(picture) for picture in pictures)
    with replacing(path) as partial:
        first.save(
            partial,
            save_all=True,
            append_images=others,
            duration=float(1000 / fps),
            loop=0,
            icc_profile=pictures[0].icc,
            **options,
        )


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except IsADirectoryError:
        raise InputError(f"{path} is a folder: give the file of a picture") from None
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a picture, or a damaged one ({error})") from None


def _turned(image: Image.Image) -> bool:
    """Return whether the file's format may ask for the picture to be turned."""
    # PNG says it behind the pixels, if ever; looking there means to decode all of it.
    return image.format != "PNG"


def _kind(path: Path, image: Image.Image) -> tuple[int, bool]:
    """Return the bits per sample, and whether the picture is grey."""
    # Pillow's modes do not tell of a PNG; its header does, in the bytes behind the size.
    with path.open("rb") as file:
        start = file.read(26)
    if start.startswith(b"\x89PNG"):
        depth, colour_type = start[24:26]
        return (16 if depth == 16 else 8), colour_type in (0, 4)
    return 8, image.mode in ("1", "L", "LA")


def _image(picture: Picture) -> Image.Image:
    """Convert a picture to a Pillow image of 8 bits."""
    array = _samples(picture, 255).astype(np.uint8)
    return Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array)


def _samples(picture: Picture, largest: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the samples as (H, W, channels), rounded to integers in [0, ``largest``]."""
    rgb = picture.rgb.mean(0, keepdim=True) if picture.grey else picture.rgb
    planes = rgb if picture.alpha is None else torch.cat((rgb, picture.alpha.unsqueeze(0)))
    rounded: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = (
        (planes.to("cpu", torch.float32).clamp(0, 1) * largest).round().permute(1, 2, 0).numpy()
    )
    return rounded


PNG16 = {1: "gray16be", 2: "ya16be", 3: "rgb48be", 4: "rgba64be"}
"""FFmpeg's pixel formats of 16-bit PNG by the number of channels."""


def _decode_png16(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Decode a 16-bit PNG to (H, W, 3 or 4)."""
    try:
        with av.open(location(path), format="png_pipe") as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration) as error:
        raise InputError(f"{path}: a damaged picture ({error})") from None
    channels = next(n for n, name in PNG16.items() if name == frame.format.name)
    array = _plane(frame.planes[0], frame.height, frame.width, channels).astype(np.uint16)
    if channels < 3:  # grey, and perhaps alpha
        array = np.concatenate((array[..., :1].repeat(3, axis=2), array[..., 1:]), axis=2)
    return array


def _encode_png16(picture: Picture) -> bytes:
    array = _samples(picture, 65535)
    height, width, channels = array.shape
    frame = av.VideoFrame(width, height, PNG16[channels])
    _plane(frame.planes[0], height, width, channels)[:] = array
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, PNG16[channels]
    codec.time_base = Fraction(1)
    data = b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
    if picture.icc is None:
        return data
    # The codec writes no profile: its chunk goes behind the header (33 bytes).
    body = b"iCCP" + b"ICC profile\0\0" + zlib.compress(picture.icc)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def _plane(
    plane: av.video.plane.VideoPlane, height: int, width: int, channels: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Return a view of 16-bit big-endian samples as (H, W, channels)."""
    lines = np.frombuffer(plane, dtype=">u2").reshape(height, plane.line_size // 2)
    return lines[:, : width * channels].reshape(height, width, channels)
