"""The fast form of each operator gives what its plain form gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conftest import both_ways
from torch import Tensor, nn

from vsifrnet.engine import ops
from vsifrnet.engine.operators import Up


def random_like(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (5, 7), (1, 3)])
def test_prelu(height: int, width: int) -> None:
    x, slope = random_like(2, 5, height, width), torch.linspace(-0.5, 1.5, 5)
    assert torch.equal(ops.prelu(x, slope), F.prelu(x, slope))


@pytest.mark.parametrize("band", [1, 2000, 5000, 1 << 40])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (7, 2)])
def test_convolution_in_bands(
    band: int, kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "BAND", band)
    torch.manual_seed(0)
    conv, slope = nn.Conv2d(6, 5, kernel, stride, kernel // 2), torch.rand(5)
    x = random_like(2, 6, 22, 18)
    residual = random_like(2, 5, -(-22 // stride), -(-18 // stride), seed=1)
    plain, fast = both_ways(lambda: ops.conv_prelu(x, conv, slope, residual))
    assert torch.equal(plain, F.prelu(conv(x) + residual, slope))
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


def test_transposed_convolution() -> None:
    torch.manual_seed(0)
    up = Up(7, 5)
    plain, fast = both_ways(lambda: up(random_like(2, 7, 6, 9)))
    assert torch.equal(plain, nn.ConvTranspose2d.forward(up, random_like(2, 7, 6, 9)))
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("reach", [0.0, 1.0, 40.0])
@pytest.mark.parametrize(("height", "width"), [(16, 24), (2, 2), (1, 5), (5, 1)])
def test_warp(height: int, width: int, reach: float) -> None:
    """Also far outside, at whole positions, and for pictures of one row or column."""
    pictures = random_like(4, 5, height, width)
    flows = reach * torch.randn((2, 4, height, width), generator=torch.Generator().manual_seed(1))
    flows[0] = flows[0].round()
    mask = torch.rand((2, 1, height, width), generator=torch.Generator().manual_seed(2))
    plain, fast = both_ways(lambda: ops.warp_both(pictures, flows))
    separate = [ops.warp(pictures[:2], flows[:, :2]), ops.warp(pictures[2:], flows[:, 2:])]
    assert torch.equal(plain, torch.cat(separate, dim=1))
    torch.testing.assert_close(fast, plain, atol=2e-4, rtol=1e-4)
    plain, fast = both_ways(lambda: ops.blend(pictures, flows, mask))
    torch.testing.assert_close(fast, plain, atol=2e-4, rtol=1e-4)
