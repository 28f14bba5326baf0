"""Metadata of safetensors files: the sampling that weights were trained with.

This module does not import torch, so that commands which only list models start at once.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from vsifrnet.engine.sampling import SAMPLINGS, Sampling

__all__ = ["SAMPLING", "read_sampling"]

SAMPLING = "sampling"
"""Key of the sampling that the weights were trained with; files without it are bilinear."""


def read_sampling(path: Path) -> Sampling:
    """Return the sampling of the final blend that a file's weights were trained with.

    All official weights, and files of other formats than safetensors, are ``bilinear``.

    Raises:
        ValueError: the file is damaged, or names an unknown sampling.
        OSError: the file cannot be read.
    """
    if path.suffix.lower() != ".safetensors":
        return "bilinear"
    try:
        with safe_open(path, "numpy") as file:
            name = (file.metadata() or {}).get(SAMPLING, "bilinear")
    except SafetensorError as error:
        raise ValueError(f"is not an intact safetensors file: {error}") from error
    for sampling in SAMPLINGS:
        if name == sampling:
            return sampling
    raise ValueError(
        f"has {SAMPLING} {name!r} in its metadata; it must be one of {', '.join(SAMPLINGS)}"
    )
