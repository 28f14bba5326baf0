"""The losses equal the official code's values and plain loops."""

import numpy as np
import pytest
import torch
from paths import REFERENCE
from reference_weights import formula_weights

from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.training.data.sample import Batch
from vsifrnet.training.losses import (
    OfficialLoss,
    SyntheticLoss,
    census,
    flow_error,
    log_error,
)


@pytest.mark.parametrize("size", ["S", "base", "L"])
def test_official_losses_equal_the_official_code(size):
    network = IFRNet(CONFIGS[size])
    formula_weights(network)
    with np.load(REFERENCE / f"ifrnet_{size}.npz") as npz:
        arrays = {name: torch.from_numpy(npz[name]) for name in npz.files}
    batch = Batch(
        img0=arrays["img0"],
        imgt=arrays["imgt"],
        img1=arrays["img1"],
        t=torch.tensor([0.5]),
        flow=arrays["flow"],
        flow_known=torch.ones(1),
    )
    terms = OfficialLoss()(network, batch)
    for name, value in terms.items():
        assert value.item() == pytest.approx(float(arrays[f"loss_{name}"]), rel=1e-4)


def batch_of(images: torch.Tensor, known: float) -> Batch:
    return Batch(
        img0=images,
        imgt=images,
        img1=images,
        t=torch.full((len(images),), 0.5),
        flow=torch.full((len(images), 4, 32, 32), 3.0),
        flow_known=torch.full((len(images),), known),
    )


@pytest.mark.parametrize(("loss", "term"), [(OfficialLoss(), "dis"), (SyntheticLoss(), "flow")])
def test_unknown_flow_costs_nothing_and_gives_no_gradient(loss, term):
    network = IFRNet(CONFIGS["S"])
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert loss(network, batch_of(images, 0.0))[term].item() == 0.0
    assert loss(network, batch_of(images, 1.0))[term].item() > 0.0


def test_census_equals_loops():
    rng = np.random.default_rng(3)
    x, y = rng.random((2, 3, 9, 10))
    gx, gy = x.mean(0), y.mean(0)
    total = 0.0
    for i in range(3, 6):
        for j in range(3, 7):
            for di in range(-3, 4):
                for dj in range(-3, 4):
                    a = gx[i + di, j + dj] - gx[i, j]
                    b = gy[i + di, j + dj] - gy[i, j]
                    d = a / np.sqrt(0.81 + a * a) - b / np.sqrt(0.81 + b * b)
                    total += d * d / (0.1 + d * d) / 49
    ours = census(torch.from_numpy(x)[None], torch.from_numpy(y)[None])
    assert float(ours) == pytest.approx(total / 90, rel=1e-9)


def test_flow_error_of_the_right_flow_is_least_at_every_level():
    target = torch.full((1, 2, 16, 16), 4.0)
    right = (target, target[..., ::2, ::2] / 2, target[..., ::4, ::4] / 4)
    least = flow_error(right, target, torch.ones(1))
    for level in range(3):
        wrong = [flow + 0.1 * (i == level) for i, flow in enumerate(right)]
        assert flow_error(tuple(wrong), target, torch.ones(1)) > least


def test_a_decibel_counts_alike_for_small_and_large_errors():
    target = torch.zeros(1, 3, 8, 8)
    small = log_error(target + 0.02, target) - log_error(target + 0.01, target)
    large = log_error(target + 0.4, target) - log_error(target + 0.2, target)
    assert float(small) == pytest.approx(float(large), abs=0.02)


def test_gradients_are_finite_where_pictures_and_flows_agree():
    network = IFRNet(CONFIGS["S"])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    batch = batch_of(torch.full((1, 3, 32, 32), 0.5), 1.0)
    batch.flow = torch.zeros(1, 4, 32, 32)
    for loss in (OfficialLoss(), SyntheticLoss()):
        network.zero_grad()
        torch.stack(list(loss(network, batch).values())).sum().backward()
        for parameter in network.parameters():
            if parameter.grad is not None:
                assert bool(torch.isfinite(parameter.grad).all())
