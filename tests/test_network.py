"""The network equals the official code's outputs, and its forms equal each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import SetThreads, both_ways, picture
from paths import REFERENCE
from reference_weights import formula_weights
from torch import nn

from vsifrnet.engine.align import aligned
from vsifrnet.engine.ops import pair_mean
from vsifrnet.network import CONFIGS, IFRNet


@pytest.fixture(scope="module", params=["S", "base", "L"])
def reference(request: pytest.FixtureRequest) -> tuple[IFRNet, dict[str, torch.Tensor]]:
    model = IFRNet(CONFIGS[request.param])
    formula_weights(model)
    with np.load(REFERENCE / f"ifrnet_{request.param}.npz") as npz:
        arrays = {name: torch.from_numpy(npz[name]) for name in npz.files}
    return model.eval(), arrays


@pytest.mark.parametrize(
    ("name", "t", "scale"),
    [("out_t0.5", 0.5, 1.0), ("out_t0.25", 0.25, 1.0), ("out_t0.5_scale0.5", 0.5, 0.5)],
)
def test_equals_official_code(reference, name, t, scale):
    model, arrays = reference
    with torch.inference_mode():
        out = model(arrays["img0"], arrays["img1"], torch.tensor([t]), scale)
    assert (out - arrays[name]).abs().max() <= 2e-5


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_network_in_both_modes(name: str, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    model = IFRNet(CONFIGS[name]).eval().to(memory_format=layout)
    images = picture(0)[None], picture(2)[None]
    plain, fast = both_ways(lambda: model(*images, torch.tensor([0.3])))
    torch.testing.assert_close(fast, plain, atol=2e-5, rtol=0)


@pytest.mark.parametrize("with_encoder", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_aligned_network_is_equal(name: str, with_encoder: bool) -> None:
    torch.manual_seed(0)
    model = IFRNet(CONFIGS[name]).eval()
    wide = aligned(model, 8, encoder=with_encoder)
    convolutions = [m for m in wide.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hidden = [m for m in convolutions if m.kernel_size == (3, 3) and m.stride == (1, 1)]
    encoder = {m for m in wide.encoder.modules() if isinstance(m, nn.Conv2d)}
    for module in hidden:
        if with_encoder or module not in encoder:
            assert module.in_channels % 8 == module.out_channels % 8 == 0
    images = picture(0)[None], picture(2)[None]
    state = torch.get_rng_state()
    aligned(model, 8)
    assert torch.equal(torch.get_rng_state(), state)
    for result in both_ways(lambda: wide(*images, torch.tensor([0.3]))):
        with torch.no_grad():
            expected = model(*images, torch.tensor([0.3]))
        torch.testing.assert_close(result, expected, atol=2e-5, rtol=0)


def test_network_leaves_its_inputs(network: IFRNet) -> None:
    images = picture(0)[None], picture(1)[None]
    before = [image.clone() for image in images]
    with torch.inference_mode():
        pair = network.encode(*images)
        first, second = (network.decode(pair, torch.tensor([0.5])).image for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(image, kept) for image, kept in zip(images, before, strict=True))


def test_mean_does_not_depend_on_threads(torch_threads: SetThreads) -> None:
    images = torch.rand(2, 1, 3, 700, 900, generator=torch.Generator().manual_seed(0))
    means = []
    for count in (1, 2, 3, 8):
        torch_threads(count)
        means.append(float(pair_mean(*images)))
    assert len(set(means)) == 1
    assert means[0] == pytest.approx(float(images.double().mean()), rel=1e-6)
