"""Optical flow files in the Middlebury .flo format: magic, width, height, interleaved x and y."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsifrnet.errors import DataError
from vsifrnet.files import replacing

__all__ = ["read_flo", "write_flo"]

MAGIC = b"PIEH"


def read_flo(path: Path) -> NDArray[np.float32]:
    """Read a flow field (H, W, 2): x and y, in pixels.

    Raises:
        DataError: the file is missing, not a .flo file or cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the flow {path}: {error.strerror}") from error
    if data[:4] != MAGIC or len(data) < 12:
        raise DataError(f"{path} is not a .flo file")
    width, height = (int(v) for v in np.frombuffer(data, "<i4", 2, 4))
    if width < 1 or height < 1 or len(data) != 12 + 8 * width * height:
        raise DataError(f"{path} is damaged: {len(data)} bytes do not fit {width}x{height} pixels")
    return np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2).astype(np.float32)


def write_flo(path: Path, flow: NDArray[np.float32]) -> None:
    """Write ``flow`` (H, W, 2) under a temporary name first."""
    height, width, _ = flow.shape
    size = np.array([width, height], dtype="<i4").tobytes()
    with replacing(path) as partial:
        partial.write_bytes(MAGIC + size + flow.astype("<f4").tobytes())
