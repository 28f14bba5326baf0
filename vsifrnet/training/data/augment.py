"""The augmentations of the official trainer, on pictures and flow together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsifrnet.errors import DataError
from vsifrnet.training.data.sample import Field, Sample

__all__ = [
    "augment",
    "changed_by_chance",
    "crop",
    "enlarge",
    "flip_horizontally",
    "flip_vertically",
    "reverse_channels",
    "reverse_time",
    "rotate",
]


def augment(sample: Sample, size: int, rng: np.random.Generator) -> Sample:
    """Augment a sample as the official trainer does; return a square crop of ``size``.

    The probabilities are 0.1 for twice the size, 0.5 for reversed channels, 0.3 for upside down,
    0.5 for mirrored, 0.05 for a turn by 90 degrees, and 0.5 for reversed time.
    """
    height, width = sample.imgt.shape[:2]
    if min(height, width) < size:
        raise DataError(f"a crop of {size} does not fit pictures of {width}x{height}")
    if rng.random() < 0.1:
        sample = enlarge(sample)
    height, width = sample.imgt.shape[:2]
    top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
    sample = crop(sample, int(top), int(left), size)
    changes = (
        (0.5, reverse_channels),
        (0.3, flip_vertically),
        (0.5, flip_horizontally),
        (0.05, rotate),
        (0.5, reverse_time),
    )
    return changed_by_chance(sample, changes, rng)


def changed_by_chance(
    sample: Sample,
    changes: Iterable[tuple[float, Callable[[Sample], Sample]]],
    rng: np.random.Generator,
) -> Sample:
    """Return the sample after the changes, each of which is made with its probability."""
    for chance, change in changes:
        if rng.random() < chance:
            sample = change(sample)
    return sample


def enlarge(sample: Sample) -> Sample:
    """Double the size of the pictures, and the flow with it."""
    return _each(sample, _twice, lambda flow: 2 * _twice(flow))


def crop(sample: Sample, top: int, left: int, size: int) -> Sample:
    """Cut out the square of ``size`` at (``top``, ``left``)."""
    window = np.s_[top : top + size, left : left + size]
    return _each(sample, lambda x: x[window], lambda flow: flow[window])


def reverse_channels(sample: Sample) -> Sample:
    """Turn RGB into BGR."""
    return _each(sample, lambda x: x[..., ::-1], lambda flow: flow)


def flip_vertically(sample: Sample) -> Sample:
    """Turn the pictures upside down."""
    return _each(sample, lambda x: x[::-1], lambda flow: flow[::-1] * _signs(1, -1))


def flip_horizontally(sample: Sample) -> Sample:
    """Mirror the pictures left to right."""
    return _each(sample, lambda x: x[:, ::-1], lambda flow: flow[:, ::-1] * _signs(-1, 1))


def rotate(sample: Sample) -> Sample:
    """Turn the pictures clockwise by 90 degrees."""
    # A vector to the right turns downwards, one downwards to the left: (x, y) becomes (-y, x).
    return _each(
        sample,
        lambda x: np.rot90(x, -1),
        lambda flow: np.rot90(flow, -1)[..., [1, 0, 3, 2]] * _signs(-1, 1),
    )


def reverse_time(sample: Sample) -> Sample:
    """Exchange the first and the last picture; t becomes 1 - t."""
    flow = None if sample.flow is None else sample.flow[..., [2, 3, 0, 1]]
    return Sample(img0=sample.img1, imgt=sample.imgt, img1=sample.img0, t=1 - sample.t, flow=flow)


Change = Callable[[NDArray[Any]], NDArray[Any]]


def _each(sample: Sample, on_pictures: Change, on_flow: Change) -> Sample:
    return replace(
        sample,
        img0=on_pictures(sample.img0),
        imgt=on_pictures(sample.imgt),
        img1=on_pictures(sample.img1),
        flow=None if sample.flow is None else on_flow(sample.flow),
    )


def _signs(x: int, y: int) -> Field:
    return np.array([x, y, x, y], dtype=np.float32)


def _twice(array: NDArray[Any]) -> NDArray[Any]:
    height, width = array.shape[:2]
    return cv2.resize(array, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
