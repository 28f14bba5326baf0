"""Tests of each Triton kernel against the eager operator, on the CPU by Triton's interpreter.

``test_kernels.py`` runs this file in a process of its own, with ``TRITON_INTERPRET=1``, because
Triton reads that when its functions are defined.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsifrnet.engine.kernels import Kernels, pictures, synthesis
from vsifrnet.engine.operators import EAGER, Up

DTYPES = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 4e-2}
"""Relative and absolute tolerance of each: eager rounds after every operator."""

KERNELS = Kernels()


def random(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def close(made: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    tolerance = DTYPES[dtype]
    torch.testing.assert_close(made, expected, atol=tolerance, rtol=tolerance)


def block(ins: int, outs: int, dtype: torch.dtype, kernel: int = 3, stride: int = 1):
    torch.manual_seed(ins + outs)
    conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2)
    made = nn.Sequential(conv, nn.PReLU(outs)).to(dtype).to(memory_format=torch.channels_last)
    nn.init.uniform_(made[1].weight, -0.5, 1.5)
    return made.requires_grad_(False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "stride"), [((9, 7), 1), ((6, 10), 2), ((1, 3), 1)])
@pytest.mark.parametrize("residual", [None, "dense", "slice"])
def test_convolution(dtype, size, stride, residual) -> None:
    conv, activation = block(8, 5, dtype, stride=stride)
    x = random(2, 8, *size, dtype=dtype)
    added = None
    if residual:
        height, width = (-(-side // stride) for side in size)
        added = random(2, 12, height, width, dtype=dtype, seed=1)[:, 4:9]
        if residual == "dense":
            added = added.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        made = KERNELS.conv_prelu(x, conv, activation.weight, added)
        expected = EAGER.conv_prelu(x, conv, activation.weight, added)
    close(made, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [(12, 4), (40, 24), (9, 8)])
def test_refinement(dtype, channels) -> None:
    whole, side = channels
    first, second = block(6, whole, dtype), block(side, side, dtype)
    with torch.inference_mode():
        made = KERNELS.conv_refine(random(2, 6, 5, 8, dtype=dtype), first, second)
        expected = EAGER.conv_refine(random(2, 6, 5, 8, dtype=dtype), first, second)
    close(made, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(4, 6), (1, 1), (5, 3)])
def test_transposed_convolution(dtype, size) -> None:
    torch.manual_seed(0)
    up = Up(7, 12).to(dtype).requires_grad_(False)
    x = random(2, 7, *size, dtype=dtype)
    with torch.inference_mode():
        expected = up(x)
        up.operators = KERNELS
        made = up(x)
        up.freeze()
        frozen = up(x)
    close(made, expected, dtype)
    assert torch.equal(made, frozen)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reach", [0.0, 1.5, 40.0])
@pytest.mark.parametrize("size", [(8, 12), (2, 2), (1, 5), (7, 1)])
@pytest.mark.parametrize("sliced", [False, True])
def test_decoder_input(dtype, reach, size, sliced) -> None:
    batch = 2
    ft = (
        random(batch, 16, *size, dtype=dtype)[:, 4:]
        if sliced
        else random(batch, 9, *size).to(dtype)
    )
    level = random(2 * batch, 8, *size, dtype=dtype, seed=1)
    level = level[:, :5] if sliced else level
    flow = reach * torch.randn((batch, 4, *size), generator=torch.Generator().manual_seed(2))
    flow[0] = flow[0].round()
    channels = ft.shape[1] + 2 * level.shape[1] + 4 + 3
    if not sliced:
        ft = ft.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        made = KERNELS.join_warped(ft, level, flow, channels)
        expected = EAGER.join_warped(ft, level, flow, channels)
    close(made, expected, dtype)
    assert not made[:, -3:].any()


def test_flow_that_is_no_number_stays_inside() -> None:
    """A position out of the picture would read memory that is somebody else's."""
    flow = torch.full((1, 4, 4, 4), torch.nan)
    flow[:, :, 2:] = torch.inf
    ft, level = random(1, 4, 4, 4), random(2, 4, 4, 4, seed=1)
    KERNELS.join_warped(ft, level, flow, 16)
    last = random(1, 8, 8, 8)
    zero = torch.zeros(())
    pair = random(2, 3, 8, 8)
    for ranges in (None, torch.zeros(1, 2, 3)):
        synthesis.synthesize(last, flow, pair, zero.view(1, 1, 1, 1), (zero, zero), ranges)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(4, 6), (1, 1), (5, 1)])
def test_flow(dtype, size) -> None:
    height, width = size
    flow = 3 * torch.randn((2, 4, *size), generator=torch.Generator().manual_seed(0))
    out = random(2, 10, 2 * height, 2 * width, dtype=dtype, seed=1)
    with torch.inference_mode():
        close(KERNELS.add_flow(out, flow), EAGER.add_flow(out, flow), torch.float32)


@pytest.mark.parametrize("sampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize("reach", [0.0, 2.0, 40.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(8, 12), (2, 2)])
def test_synthesis(sampling, reach, dtype, size) -> None:
    height, width = size
    generator = torch.Generator().manual_seed(0)
    pair = torch.rand((4, 3, height, width), generator=generator)
    mean = torch.full((2, 1, 1, 1), 0.5)
    last = random(2, 8, height, width, dtype=dtype, seed=1)
    flow = reach * torch.randn((2, 4, height // 2, width // 2), generator=generator)
    limits = torch.tensor(-0.2), torch.tensor(1.1)
    with torch.inference_mode():
        full = EAGER.add_flow(last, flow)
        parts = last[:, 4:].float()
        mask, residual = parts[:, :1].sigmoid(), parts[:, 1:]
        y, x = (torch.arange(side, dtype=torch.float32) for side in size)
        warped = []
        for k in range(2):
            grid = torch.stack(
                (
                    2 * (x + full[:, 2 * k]) / (width - 1) - 1,
                    2 * (y[:, None] + full[:, 2 * k + 1]) / (height - 1) - 1,
                ),
                dim=-1,
            )
            options = {"mode": sampling, "padding_mode": "border", "align_corners": True}
            warped.append(F.grid_sample(pair[2 * k : 2 * k + 2], grid, **options))
        mixed = torch.lerp(warped[1], warped[0], mask)
        values = pair.reshape(2, 2, 3, -1)
        ranges = torch.stack((values.amin((0, 3)), values.amax((0, 3))), 1)
        if sampling == "bicubic":
            mixed = mixed.clamp(ranges[:, 0, :, None, None], ranges[:, 1, :, None, None])
        expected = (mixed + residual).clamp(*limits)
        made = synthesis.synthesize(
            last, flow, pair - mean.repeat(2, 1, 1, 1), mean, limits,
            ranges if sampling == "bicubic" else None,
        )  # fmt: skip
    torch.testing.assert_close(made, expected, atol=2e-5 * (1 + reach), rtol=0)


@pytest.mark.parametrize("size", [(32, 48), (50, 34), (1, 5), (16, 16)])
@pytest.mark.parametrize("beyond", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("channels", [3, 8])
def test_pair(size, beyond, dtype, channels) -> None:
    generator = torch.Generator().manual_seed(0)
    img0, img1 = torch.rand((2, 3, *size), generator=generator) * (1 + 2 * beyond) - beyond
    img1[..., 0, 0] = 0.5
    made = pictures.load_pair(
        img0.to(dtype), img1.to(dtype), multiple=16, channels=channels, dtype=dtype
    )
    both = torch.stack((img0, img1)).to(dtype).float()
    clamped = both.clamp(0, 1)
    mean = clamped.double().mean()
    torch.testing.assert_close(made.mean.double().squeeze(), mean, atol=1e-6, rtol=0)
    assert float(made.limits[0]) == min(0.0, float(both.min()))
    assert float(made.limits[1]) == max(1.0, float(both.max()))
    lowest, highest = both.amin((0, 2, 3)), both.amax((0, 2, 3))
    assert torch.equal(made.ranges, torch.stack((lowest, highest)))
    pad = (0, -size[1] % 16, 0, -size[0] % 16)
    padded, seen = (F.pad(x, pad, mode="replicate") - made.mean for x in (both, clamped))
    assert torch.equal(made.pictures, padded)
    assert torch.equal(made.seen[:, :3], seen.to(dtype))
    assert not made.seen[:, 3:].any()
    assert made.seen.is_contiguous(memory_format=torch.channels_last)
