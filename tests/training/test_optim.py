"""Tests of Muon, and of the learning rates over a run."""

import pytest
import torch
from torch import nn

from vsifrnet.training.loop.initialize import fresh_network
from vsifrnet.training.loop.optim import Muon, make_optimizers, orthogonalize, rate_at, schedule


def test_orthogonalize_equals_the_polar_factor_roughly():
    matrices = torch.randn(2, 12, 40, generator=torch.Generator().manual_seed(0))
    for x in (matrices, matrices.mT):
        made = orthogonalize(x)
        u, _, vh = torch.linalg.svd(x, full_matrices=False)
        values = torch.linalg.svdvals(made)
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
        # The directions are those of the singular value decomposition.
        rotated = u.mT @ made @ vh.mT
        off = rotated - torch.diag_embed(torch.diagonal(rotated, dim1=1, dim2=2))
        assert float(off.abs().max()) < 1e-3


def test_a_muon_step_by_hand():
    parameter = nn.Parameter(torch.ones(4, 2, 3, 3))
    gradient = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    muon = Muon([parameter], lr=0.1, momentum=0.9, weight_decay=0.5)
    parameter.grad = gradient
    muon.step()
    momentum = 0.1 * gradient
    nesterov = 0.1 * gradient + 0.9 * momentum
    update = orthogonalize(nesterov.reshape(1, 4, 18))[0].view(4, 2, 3, 3)
    expected = 0.95 - 0.1 * 0.2 * 18**0.5 * update
    assert torch.allclose(parameter, expected, atol=1e-6)


def test_the_learning_rate_rises_then_falls_to_its_last():
    rates = [rate_at(i, steps=100, last=0.1, warmup=10) for i in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.55)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


def test_a_schedule_goes_on_at_any_step_and_gives_each_optimizer_its_share():
    def optimizers():
        return make_optimizers(fresh_network("S", 0), "muon", weight_decay=0.0, dtype=torch.float32)

    def rates(steps: range, start: int) -> list[list[float]]:
        schedules = schedule(optimizers(), peak=2e-3, last=2e-5, warmup=3, steps=12, step=start)
        found = []
        for _ in steps:
            found.append([one.get_last_lr()[0] for one in schedules])
            for one in schedules:
                one.optimizer.step()
                one.step()
        return found

    whole = rates(range(12), 0)
    assert whole[7:] == rates(range(7, 12), 7)
    for n, (muon, adamw) in enumerate(whole):
        assert muon == pytest.approx(2e-3 * rate_at(n, steps=12, last=0.01, warmup=3))
        assert adamw == pytest.approx(0.4 * muon)
