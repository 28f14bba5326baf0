"""The augmentations of the official trainer, on pictures and flow together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsifrnet.errors import DataError
from vsifrnet.training.data.sample import Field, Sample

__all__ = [
    "augment",
    "crop",
    "enlarge",
    "flip_horizontally",
    "flip_vertically",
    "reverse_channels",
    "reverse_time",
    "rotate",
]


def augment(sample: Sample, size: int, rng: np.random.Generator) -> Sample:
    """As the official trainer does, with its chances; a square of ``size`` comes out.

    Twice the size 0.1, crop always, reversed channels 0.5, upside down 0.3, mirrored 0.5, turned
    by 90 degrees 0.05, time reversed 0.5.
    """
    height, width = sample.imgt.shape[:2]
    if min(height, width) < size:
        raise DataError(f"a crop of {size} does not fit pictures of {width}x{height}")
    if rng.random() < 0.1:
        sample = enlarge(sample)
    height, width = sample.imgt.shape[:2]
    top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
    sample = crop(sample, int(top), int(left), size)
    for chance, change in (
        (0.5, reverse_channels),
        (0.3, flip_vertically),
        (0.5, flip_horizontally),
        (0.05, rotate),
        (0.5, reverse_time),
    ):
        if rng.random() < chance:
            sample = change(sample)
    return sample


def enlarge(sample: Sample) -> Sample:
    """Twice the size, and twice the flow."""
    return _each(sample, _twice, lambda flow: 2 * _twice(flow))


def crop(sample: Sample, top: int, left: int, size: int) -> Sample:
    """The square of ``size`` at (``top``, ``left``)."""
    window = np.s_[top : top + size, left : left + size]
    return _each(sample, lambda x: x[window], lambda flow: flow[window])


def reverse_channels(sample: Sample) -> Sample:
    """RGB to BGR."""
    return _each(sample, lambda x: x[..., ::-1], lambda flow: flow)


def flip_vertically(sample: Sample) -> Sample:
    """Upside down."""
    return _each(sample, lambda x: x[::-1], lambda flow: flow[::-1] * _signs(1, -1))


def flip_horizontally(sample: Sample) -> Sample:
    """Left to right."""
    return _each(sample, lambda x: x[:, ::-1], lambda flow: flow[:, ::-1] * _signs(-1, 1))


def rotate(sample: Sample) -> Sample:
    """By 90 degrees, clockwise."""
    # What pointed right points down, what pointed down points left: (x, y) becomes (-y, x).
    return _each(
        sample,
        lambda x: np.rot90(x, -1),
        lambda flow: np.rot90(flow, -1)[..., [1, 0, 3, 2]] * _signs(-1, 1),
    )


def reverse_time(sample: Sample) -> Sample:
    """The last picture first; t becomes 1 - t."""
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
