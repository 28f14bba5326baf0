"""Metadata of safetensors files: what weights say about themselves.

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
    """Return how the last blend samples with the weights of a file.

    Only a safetensors file can say something else than ``bilinear``, which all official files are.

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
