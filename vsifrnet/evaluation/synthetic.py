"""Evaluation on held-out layered synthetic motion, by the pace of motion and by t.

This module needs ``pip install 'vsifrnet[train]'``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.evaluation.arrays import clip_from, planes_of
from vsifrnet.evaluation.clips import Clip, Frame, prepare_clip
from vsifrnet.evaluation.methods import Method
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.sample import DataSet, Pixels
from vsifrnet.training.data.synthetic import PACES, LayeredMotion

__all__ = ["TIMES", "by_time", "clip_of", "held_out", "paces"]

SEED = 2**31 + 1
"""Seed of the measured scenes; neither training nor validation uses it."""

TIMES = tuple(map(Fraction, ("1/100", "1/5", "2/5", "1/2", "3/5", "4/5", "99/100")))
"""Times between two frames at which :func:`by_time` measures."""


def held_out(folder: Path) -> Assets:
    """Open the pictures of a training set that training leaves out."""
    return Assets(folder, "held-out")


def paces(assets: Assets, *, size: int = 256) -> dict[str, DataSet]:
    """Return a data set of clean scenes at t = 1/2 for each pace of motion."""
    return {
        pace: LayeredMotion(assets, size=size, seed=SEED, t=0.5, clean=True, pace=pace)
        for pace in PACES
    }


def clip_of(data: DataSet, count: int, methods: Mapping[str, Method]) -> Clip:
    """Turn the first ``count`` samples of a data set (t = 1/2) into a 4:2:0 clip of triplets."""
    samples = [data.sample(index) for index in range(count)]
    pictures = [picture for s in samples for picture in (s.img0, s.imgt, s.img1)]
    whole = clip_from(planes_of(pictures), vs.RGB24)
    whole = whole.resize.Bicubic(format=vs.YUV420P8, matrix_s="170m")
    kept = whole.std.SelectEvery(3, [0, 2])
    return prepare_clip(whole, kept, methods, [(3 * i + 1, 4 * i + 1) for i in range(count)])


def by_time(
    assets: Assets,
    t: Fraction,
    count: int,
    networks: Mapping[str, Interpolator],
    *,
    size: int = 192,
) -> Iterator[Frame]:
    """Yield frames that bare networks make at time ``t`` of scenes of medium pace.

    The scenes are the same at every t. Pictures stay floats, because close to a source frame their
    rounding to 8 bits would dominate the error.
    """
    data = LayeredMotion(assets, size=size, seed=SEED, t=float(t), clean=True, pace="medium")
    for index in range(count):
        sample = data.sample(index)
        left, true, right = map(_tensor, (sample.img0, sample.imgt, sample.img1))
        made = {"blend": torch.lerp(left, right, float(t))}
        made |= {name: network(left, right, t).cpu() for name, network in networks.items()}
        yield Frame(number=index, left=left, true=true, right=right, made=made)


def _tensor(picture: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 255
