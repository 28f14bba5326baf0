"""A picture of training samples, to inspect them before training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vsifrnet.errors import InputError
from vsifrnet.files import replacing
from vsifrnet.training.data.sample import DataSet, Field, Pixels

__all__ = ["flow_colours", "write_sheet"]


def flow_colours(flow: NDArray[np.float32], longest: float | None = None) -> Pixels:
    """Return a picture of a flow (H, W, 2): direction is hue, length is brightness.

    ``longest`` is the length in pixels that has full brightness; None is the longest one in the
    flow, but at least one pixel.
    """
    length = np.hypot(flow[..., 0], flow[..., 1])
    top = longest or max(1.0, float(length.max()))
    hue = (np.arctan2(flow[..., 1], flow[..., 0]) / np.pi + 1) * 90
    hsv = np.stack((hue % 180, np.full_like(hue, 255), np.clip(length / top, 0, 1) * 255), axis=-1)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.uint8)


def write_sheet(data: DataSet, path: Path, *, rows: int = 8, columns: int = 2) -> None:
    """Write a picture of the first samples.

    Each sample has five tiles: the first picture, the target, the last picture, the flow from the
    target to the last picture, and four times the difference between target and blend.
    """
    tiles = [_tiles(data, index) for index in range(rows * columns)]
    sheet = np.vstack(
        [np.hstack(tiles[row * columns : (row + 1) * columns]) for row in range(rows)]
    )
    try:
        with replacing(path) as partial:
            Image.fromarray(sheet).save(partial)
    except ValueError:
        raise InputError(
            f"--preview {path}: must end with the suffix of a picture, such as .png"
        ) from None


def _tiles(data: DataSet, index: int) -> Pixels:
    sample = data.sample(index)
    flow: Field = np.zeros((*sample.imgt.shape[:2], 4), np.float32)
    if sample.flow is not None:
        flow = sample.flow
    blend = (1 - sample.t) * sample.img0.astype(np.float32) + sample.t * sample.img1
    difference = np.clip(4 * np.abs(sample.imgt - blend), 0, 255).astype(np.uint8)
    row = (sample.img0, sample.imgt, sample.img1, flow_colours(flow[..., 2:]), difference)
    framed = [cv2.copyMakeBorder(x, 1, 1, 1, 1, cv2.BORDER_CONSTANT) for x in map(_whole, row)]
    return np.hstack(framed).astype(np.uint8)


def _whole(picture: Pixels) -> Pixels:
    return np.ascontiguousarray(picture)
