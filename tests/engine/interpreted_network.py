"""The network and the filter with Triton kernels, on the CPU by Triton's interpreter.

``test_kernels.py`` runs this file in a process of its own, as ``interpreted_kernels.py``.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import vapoursynth as vs
from conftest import moving, planes, psnr, scene
from torch import Tensor

from vsifrnet import ifrnet
from vsifrnet.engine import backend
from vsifrnet.engine.align import aligned
from vsifrnet.engine.interpolator import Interpolator, prepare
from vsifrnet.engine.kernels import Kernels, synthesis
from vsifrnet.engine.operators import EAGER
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.engine.sampling import Sampling
from vsifrnet.graph import transport
from vsifrnet.graph.yuv import Converter, Layout, sample_dtype
from vsifrnet.graph.yuv_kernels import KernelConverter, settled_converter
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.weights.load import load_weights

CPU = torch.device("cpu")
HALF = Fraction(1, 2)


def pair(width: int, height: int) -> tuple[Tensor, Tensor]:
    first, second = (
        torch.from_numpy(scene(n, width, height).transpose(2, 0, 1).copy()) for n in (0, 2)
    )
    return first, second


@pytest.mark.parametrize(
    ("name", "sampling"), [(name, "bilinear") for name in CONFIGS] + [("S", "bicubic")]
)
def test_network(name: str, sampling: Sampling) -> None:
    torch.manual_seed(0)
    network = IFRNet(CONFIGS[name], sampling=sampling).eval()
    network = aligned(network, 8, encoder=True)
    network = network.to(memory_format=torch.channels_last)
    runner = EagerRunner(network)
    made = []
    with torch.inference_mode():
        for operators in (EAGER, Kernels()):
            network.use(operators)
            runner.encode(*pair(30, 18))
            made.append(runner.decode(0.3))
    assert made[1].shape == (3, 18, 30)
    torch.testing.assert_close(made[1], made[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("options", [{"scale": 0.5}, {"ensemble": True}])
def test_what_there_are_no_kernels_for_takes_the_eager_way(options: dict[str, object]) -> None:
    network = prepare(load_weights().build(), backend.resolve("cpu", "fp32"))
    expected = Interpolator(network, **options)(*pair(32, 32), HALF)
    made = Interpolator(network.use(Kernels()), **options)(*pair(32, 32), HALF)
    torch.testing.assert_close(made, expected, atol=2e-5, rtol=0)


def test_first_pair_settles_it_once(caplog: pytest.LogCaptureFixture) -> None:
    engine = backend.resolve("cpu", "bf16", kernels=True)
    network = prepare(load_weights().build(), engine)
    made = Interpolator(network)(*pair(48, 32), HALF)
    assert isinstance(network.operators, Kernels)
    assert network.operators.proven
    assert "not used" not in caplog.text
    exact = Interpolator(prepare(load_weights().build(), backend.resolve("cpu", "fp32")))(
        *pair(48, 32), HALF
    )
    assert psnr(made.numpy(), exact.numpy()) >= 50


@pytest.mark.parametrize("fault", ["wrong", "raises"])
def test_kernels_that_are_wrong_are_not_used(
    fault: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = synthesis.synthesize

    def wrong(*arguments: Any) -> Tensor:
        if fault == "raises":
            raise RuntimeError("no such instruction")
        return right(*arguments) + 0.01

    monkeypatch.setattr(synthesis, "synthesize", wrong)
    network = prepare(load_weights().build(), backend.resolve("cpu", "fp32", kernels=True))
    with caplog.at_level(logging.WARNING):
        made = [Interpolator(network)(*pair(32, 32), HALF) for _ in range(2)]
    assert caplog.text.count("Triton kernels are not used") == 1
    assert network.operators is EAGER
    plain = prepare(load_weights().build(), backend.resolve("cpu", "fp32"))
    expected = Interpolator(plain)(*pair(32, 32), HALF)
    assert all(torch.equal(picture, expected) for picture in made)


def layouts() -> list[Layout]:
    subsamplings = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 2)]
    return [
        Layout(
            width=12,
            height=8,
            bits=bits,
            subsampling_w=w,
            subsampling_h=h,
            matrix=1,
            full=bits == 10,
            chromaloc=(w + 2 * h + bits) % 6,
        )
        for w, h in subsamplings
        for bits in (8, 10, 16)
    ]


@pytest.mark.parametrize("layout", layouts(), ids=str)
def test_colour(layout: Layout) -> None:
    """Samples of all values, most of them beyond RGB; and a picture cut out of a wider one."""
    count = sum(height * width for height, width in layout.shapes)
    generator = torch.Generator().manual_seed(0)
    samples = torch.randint(0, 1 << layout.bits, (count,), generator=generator)
    samples = samples.to(sample_dtype(layout.bits))
    eager, kernels = Converter(layout, CPU), KernelConverter(layout, CPU)
    picture = eager.to_rgb(samples)
    torch.testing.assert_close(kernels.to_rgb(samples), picture, atol=2e-6, rtol=0)
    half = kernels.to_rgb(samples, torch.float16)
    torch.testing.assert_close(half.float(), picture, atol=1e-3, rtol=1e-3)
    wider = torch.nn.functional.pad(picture, (0, 5, 0, 3))[:, : layout.height, : layout.width]
    made, expected = (each.from_rgb(wider).int() & 0xFFFF for each in (kernels, eager))
    assert (made - expected).abs().max() <= 1  # where two are as near, but for rounding
    assert (made - expected).count_nonzero() <= 0.02 * count


def test_colour_that_is_wrong_is_not_used(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = layouts()[0]
    assert isinstance(settled_converter(layout, CPU), KernelConverter)
    monkeypatch.setattr(
        KernelConverter, "to_rgb", lambda self, samples: Converter.to_rgb(self, samples) + 0.1
    )
    assert type(settled_converter(layout, CPU)) is Converter
    assert "do not convert colour: RGB is off by 0.1" in caplog.text


def test_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames through YUV as it is and the kernels are those of the plain filter, to a step."""
    clip = moving(2, 32, 16, vs.YUV420P8)
    plain = [planes(frame) for frame in ifrnet(clip, sc=False, precision="fp32").frames()]
    engine = replace(backend.resolve("cpu", "fp32", 1), kernels=True)
    monkeypatch.setattr(backend, "resolve", lambda *_: engine)
    monkeypatch.setattr(transport, "choose", transport.YUV)
    made = [planes(frame) for frame in ifrnet(clip, sc=False).frames()]
    for a, b in zip(plain, made, strict=True):
        for x, y in zip(a, b, strict=True):
            assert abs(x.astype(int) - y.astype(np.int64)).max() <= 1
