"""Tests of the cartoon on which models are measured, with the packaged model."""

from fractions import Fraction

import numpy as np
import torch

from vsifrnet.engine import backend
from vsifrnet.engine.interpolator import Interpolator, prepare
from vsifrnet.evaluation.metrics import psnr
from vsifrnet.training.data import cartoon
from vsifrnet.weights.load import load_weights


def test_the_cartoon_moves_smoothly_and_rests_where_it_should():
    a, b, c = (cartoon.draw(time).astype(int) for time in (40.0, 40.5, 41.0))
    assert a.shape == (cartoon.HEIGHT, cartoon.WIDTH, 3)
    assert np.abs(a - c).mean() > np.abs(a - b).mean() > 0.1
    subtitle = np.s_[300:322, 104:480]
    moving = np.abs(a - c)[subtitle].max(axis=-1)
    letters = (a[subtitle] > 250).all(axis=-1) & (c[subtitle] > 250).all(axis=-1)
    assert letters.mean() > 0.05
    assert moving[letters].max() <= 5


def test_the_packaged_model_makes_equal_frames_and_beats_blending_on_the_cartoon():
    interpolate = Interpolator(prepare(load_weights().build(), backend.resolve("cpu", "fp32")))
    window = np.s_[100:292, 100:356]

    def picture(time: float) -> torch.Tensor:
        array = np.ascontiguousarray(cartoon.draw(time)[window])
        return torch.from_numpy(array).permute(2, 0, 1).float() / 255

    img0, imgt, img1 = (picture(time) for time in (10.0, 11.0, 12.0))
    made = interpolate(img0, img1, Fraction(1, 2))
    assert psnr(made, imgt) > psnr((img0 + img1) / 2, imgt) + 2.5
    assert psnr(interpolate(img0, img0, Fraction(1, 2)), img0) > 45
