"""The metrics equal the official code's values and scikit-image's."""

import numpy as np
import pytest
import torch
from paths import REFERENCE
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vsifrnet.evaluation import metrics


@pytest.mark.parametrize("size", ["S", "base", "L"])
def test_equal_to_official(size):
    reference = np.load(REFERENCE / f"ifrnet_{size}.npz")
    made = torch.from_numpy(reference["out_t0.5"][0])
    truth = torch.from_numpy(reference["imgt"][0])
    assert metrics.psnr(made, truth) == pytest.approx(float(reference["psnr"]), rel=1e-4)
    assert metrics.ssim(made, truth) == pytest.approx(float(reference["ssim"]), rel=1e-4)
    assert metrics.interpolation_error(made, truth) == pytest.approx(
        float(reference["ie"]), rel=1e-4
    )


@pytest.fixture(params=[(24, 40), (64, 33), (11, 11)])
def pair(request):
    rng = np.random.default_rng(1)
    truth = rng.random((3, *request.param)).astype(np.float32)
    made = np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1).astype(np.float32)
    return torch.from_numpy(made), torch.from_numpy(truth)


def test_psnr_is_the_common_one(pair):
    made, truth = pair
    expected = peak_signal_noise_ratio(truth.numpy(), made.numpy(), data_range=1.0)
    assert metrics.psnr(made, truth) == pytest.approx(expected, rel=1e-5)


def test_ssim_is_the_common_one_of_the_replicated_volume(pair):
    # scikit-image leaves out the outer 5 of each axis; with the border replicated by 5 these are
    # just the padding, and its window of radius 5 (3.5 sigma) is the same Gaussian.
    volumes = (np.pad(x.numpy().astype(np.float64), 5, mode="edge") for x in pair)
    expected = structural_similarity(
        *volumes, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0
    )
    assert metrics.ssim(*pair) == pytest.approx(expected, rel=1e-5)


def test_equal_pictures():
    picture = torch.rand(3, 16, 16)
    assert metrics.psnr(picture, picture) == float("inf")
    assert metrics.ssim(picture, picture) == pytest.approx(1, abs=1e-6)
    assert metrics.interpolation_error(picture, picture) == 0


def test_interpolation_error_rounds_first():
    black = torch.zeros(3, 8, 8)
    assert metrics.interpolation_error(black + 0.4 / 255, black) == 0
    assert metrics.interpolation_error(black + 0.6 / 255, black) == 1
