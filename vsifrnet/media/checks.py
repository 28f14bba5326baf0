"""Options of an output that are refused before a long input is read."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import av
from av.format import ContainerFormat

from vsifrnet.errors import InputError

__all__ = ["check_crf", "check_suffix"]

CRF = {
    "libx264": 51,
    "libx265": 51,
    "libsvtav1": 63,
    "libaom-av1": 63,
    "libvpx": 63,
    "libvpx-vp9": 63,
}
"""The largest crf by encoder; FFmpeg passes on larger ones, which these take for something else."""


def check_crf(codec: str, crf: float | None) -> None:
    """Refuse a crf that an encoder does not have.

    Raises:
        InputError: it is below 0 or above the largest one.
    """
    largest = CRF.get(codec)
    if crf is not None and largest is not None and not 0 <= crf <= largest:
        raise InputError(f"--crf {crf:g}: must be from 0 to {largest} with {codec}")


def check_suffix(path: Path) -> None:
    """Refuse a name whose suffix does not say which container the file is to be.

    Raises:
        InputError: there is no suffix, or no container has it.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if not suffix:
        raise InputError(f"{path} has no suffix that says its container: add one, such as .mkv")
    if suffix in ContainerFormat("image2", "w").extensions and suffix not in _suffixes():
        raise InputError(
            f"{path} has the suffix of a picture: choose a video's, such as .mkv "
            "('vsifrnet frames' makes pictures)"
        )
    if suffix not in _suffixes():
        raise InputError(f"{path}: {path.suffix!r} is the suffix of no container: choose .mkv")


@cache
def _suffixes() -> set[str]:
    """Suffixes of the containers that FFmpeg writes, but for single pictures."""
    found: set[str] = set()
    for name in av.formats_available:
        try:
            form = ContainerFormat(name, "w")
        except ValueError:  # It can only be read.
            continue
        if name != "image2":
            found |= form.extensions
    return found
