"""The pictures from which synthetic motion is made: backgrounds and cut-outs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from vsifrnet.errors import DataError

__all__ = ["Assets", "Part", "in_part", "list_pictures", "read_picture"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}

Part = Literal["train", "held-out", "all"]
"""A part of a set of pictures; the held-out ones (one in twelve) are for validation only."""


def in_part(path: Path, part: Part) -> bool:
    """Return whether a file belongs to ``part``, which its name alone decides."""
    held_out = int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % 12 == 0
    return part == "all" or held_out == (part == "held-out")


def list_pictures(folder: Path, part: Part = "all") -> list[Path]:
    """Return the pictures of ``part`` in ``folder`` and below, sorted by path.

    Raises:
        DataError: there is no such picture.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    chosen = [path for path in paths if in_part(path, part)]
    if not paths:
        raise DataError(f"no pictures in {folder}: expected {', '.join(sorted(SUFFIXES))}")
    if not chosen and part == "held-out":
        raise DataError(
            f"none of the {len(paths)} pictures in {folder} is held out for validation (one in "
            "twelve is, by its name): add pictures, or train with --validate-every 0"
        )
    if not chosen:
        raise DataError(
            f"all of the {len(paths)} pictures in {folder} are held out for validation (one in "
            "twelve is, by its name): add pictures"
        )
    return chosen


def read_picture(path: Path, mode: Literal["RGB", "RGBA"] = "RGB") -> NDArray[np.uint8]:
    """Read a picture as (H, W, 3) or, with alpha, (H, W, 4).

    Raises:
        DataError: the file is missing, not a whole picture, or larger than Pillow reads.
    """
    try:
        with Image.open(path) as image:
            if image.mode != "I" and not image.mode.startswith("I;16"):
                return np.asarray(image.convert(mode))
            # Pillow would clip 16-bit grey; keep the upper 8 bits, as Pillow does for colour.
            grey = np.clip(np.asarray(image), 0, 65535) >> 8
            return np.asarray(Image.fromarray(grey.astype(np.uint8)).convert(mode))
    except (
        OSError,
        UnidentifiedImageError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:
        raise DataError(f"cannot read the picture {path}: {error}") from error


KEPT_BYTES = 2 * 2**30
"""Maximum bytes of pictures that each process caches."""


class Assets:
    """Backgrounds and premultiplied cut-outs by number; the first ``KEPT_BYTES`` are cached.

    Args:
        folder: the folder that has ``backgrounds`` (any pictures), ``sprites`` (pictures with
            alpha), or both.
        part: the part of the pictures to use.

    Raises:
        DataError: the folder has neither.
    """

    def __init__(self, folder: Path, part: Part = "train") -> None:
        found = {name: folder / name for name in ("backgrounds", "sprites")}
        if not any(path.is_dir() for path in found.values()):
            raise DataError(f"{folder} has neither a folder 'backgrounds' nor a folder 'sprites'")
        self.backgrounds, self.sprites = (
            list_pictures(path, part) if path.is_dir() else [] for path in found.values()
        )
        self._kept: dict[Path, NDArray[np.uint8]] = {}
        self._kept_bytes = 0

    def background(self, number: int) -> NDArray[np.uint8]:
        """Return background ``number``, (h, w, 3)."""
        return self._read(self.backgrounds[number % len(self.backgrounds)], "RGB")

    def sprite(self, number: int) -> NDArray[np.uint8]:
        """Return cut-out ``number``, (h, w, 4), its RGB premultiplied by alpha."""
        return self._read(self.sprites[number % len(self.sprites)], "RGBA")

    def _read(self, path: Path, mode: Literal["RGB", "RGBA"]) -> NDArray[np.uint8]:
        if path in self._kept:
            return self._kept[path]
        picture = read_picture(path, mode)
        if mode == "RGBA":
            alpha = picture[..., 3:].astype(np.uint16)
            colour = (picture[..., :3] * alpha + 127) // 255
            picture = np.concatenate((colour, alpha), axis=-1).astype(np.uint8)
        # Pictures are chosen at random, so replacing a cached one would gain nothing.
        if self._kept_bytes + picture.nbytes <= KEPT_BYTES:
            self._kept[path] = picture
            self._kept_bytes += picture.nbytes
        return picture
