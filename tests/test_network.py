"""The network against the outputs of the official code (tests/reference, see its README)."""

import numpy as np
import pytest
import torch
from paths import REFERENCE
from reference_weights import formula_weights

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
