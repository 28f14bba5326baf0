"""Bicubic sampling equals brute force, and the sampling is a property of the weights."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import scene
from safetensors.torch import save_file
from torch import Tensor

from vsifrnet.engine import backend, ops
from vsifrnet.engine.align import aligned
from vsifrnet.engine.interpolator import Interpolator, prepare
from vsifrnet.engine.sampling import SAMPLINGS, Sampling
from vsifrnet.errors import WeightsError
from vsifrnet.evaluation import contenders
from vsifrnet.evaluation.task import Task, moving
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.weights.load import load_weights

HALF = Fraction(1, 2)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def keys_kernel(distance: float) -> float:
    """Keys' piecewise cubic with a = -0.75, as in his paper."""
    a, s = -0.75, abs(distance)
    if s <= 1:
        return (a + 2) * s**3 - (a + 3) * s**2 + 1
    return a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a if s < 2 else 0.0


def brute_force(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """One pixel of ``picture`` (C, H, W) at (x, y), its border repeated without end."""
    _, height, width = picture.shape
    total = np.zeros(len(picture))
    for row in range(int(np.floor(y)) - 1, int(np.floor(y)) + 3):
        for column in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
            weight = keys_kernel(y - row) * keys_kernel(x - column)
            pixel = picture[:, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            total += weight * pixel
    return total


def inferred(work):
    with torch.inference_mode():
        return work()


@pytest.mark.parametrize("reach", [0.0, 1.0, 40.0])
@pytest.mark.parametrize(("height", "width"), [(16, 24), (5, 7), (1, 5), (5, 1)])
def test_bicubic_warp_equals_brute_force(height: int, width: int, reach: float) -> None:
    picture, flow = random(2, 3, height, width), reach * random(2, 2, height, width, seed=1)
    expected = np.empty(picture.shape)
    for b, _, y, x in np.ndindex(2, 1, height, width):
        place = x + flow[b, 0, y, x].item(), y + flow[b, 1, y, x].item()
        expected[b, :, y, x] = brute_force(picture[b].double().numpy(), *place)
    for made in (
        ops.warp(picture, flow, "bicubic"),
        inferred(lambda: ops.warp(picture, flow, "bicubic")),
    ):
        torch.testing.assert_close(made.double(), torch.from_numpy(expected), atol=5e-4, rtol=0)


@pytest.mark.parametrize("batch", [1, 2])
def test_bicubic_blend_is_the_same_in_both_modes_and_differentiable(batch: int) -> None:
    pictures, flows = random(2 * batch, 3, 32, 24), 3 * random(batch, 4, 32, 24, seed=1)
    mask = torch.rand((batch, 1, 32, 24), generator=torch.Generator().manual_seed(2))
    plain = ops.blend(pictures, flows.requires_grad_(), mask, "bicubic")
    fast = inferred(lambda: ops.blend(pictures, flows.detach(), mask, "bicubic"))
    assert torch.equal(plain.detach(), fast)
    (gradient,) = torch.autograd.grad(plain.sum(), flows)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_move_by_whole_pixels_changes_no_value(sampling: Sampling) -> None:
    pictures = torch.rand((2, 3, 48, 1024), generator=torch.Generator().manual_seed(0))
    flows = torch.tensor([3.0, -2.0, -3.0, 2.0]).view(1, 4, 1, 1).expand(1, 4, 48, 1024)
    made = inferred(lambda: ops.blend(pictures, flows, torch.full((1, 1, 48, 1024), 1.0), sampling))
    expected = pictures[:1].roll((2, -3), (2, 3))
    inner = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(made[inner], expected[inner], atol=2e-4, rtol=0)


def test_a_hard_edge_has_no_halo_beyond_the_range_of_the_pair() -> None:
    pictures = torch.full((2, 3, 16, 32), 0.2)
    pictures[..., 16:] = torch.tensor([0.9, 0.7, 0.2]).view(3, 1, 1)
    flows, mask = torch.full((1, 4, 16, 32), 0.4), torch.full((1, 1, 16, 32), 0.3)
    made = ops.blend(pictures, flows, mask, "bicubic")
    assert ops.warp(pictures, flows[:, :2].expand(2, 2, 16, 32), "bicubic").max() > 0.92
    for channel, most in enumerate((0.9, 0.7, 0.2)):
        assert made[:, channel].min() >= 0.2 - 1e-6
        assert made[:, channel].max() <= most + 1e-6


def test_half_a_pixel_is_sharper_than_bilinear() -> None:
    def waves(shift: float) -> Tensor:
        x = torch.arange(64, dtype=torch.float32) + shift
        return (0.5 + 0.4 * torch.sin(1.6 * x)).expand(1, 3, 16, 64).contiguous()

    pictures = torch.cat((waves(0), waves(1)))
    flows = torch.tensor([0.5, 0, -0.5, 0]).view(1, 4, 1, 1).expand(1, 4, 16, 64).contiguous()
    mask = torch.full((1, 1, 16, 64), 0.5)
    errors = [
        (ops.blend(pictures, flows, mask, sampling) - waves(0.5))[..., 4:-4].abs().mean()
        for sampling in ("bilinear", "bicubic")
    ]
    assert errors[1] < 0.6 * errors[0]


# As a property of the weights


@pytest.fixture(scope="module")
def bicubic_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged weights, said to be for bicubic sampling."""
    path = tmp_path_factory.mktemp("weights") / "bicubic.safetensors"
    save_file(load_weights().state, path, {"sampling": "bicubic"})
    return path


def test_files_say_how_they_are_sampled(bicubic_file: Path, tmp_path: Path) -> None:
    state = load_weights().state
    save_file(state, tmp_path / "silent.safetensors")
    torch.save(state, tmp_path / "official.pth")
    for path, sampling in (
        (tmp_path / "silent.safetensors", "bilinear"),
        (tmp_path / "official.pth", "bilinear"),
        (bicubic_file, "bicubic"),
    ):
        loaded = load_weights(path)
        assert loaded.sampling == loaded.build().sampling == sampling
    assert aligned(load_weights(bicubic_file).build(), 8).sampling == "bicubic"


def test_an_unknown_sampling_is_refused(tmp_path: Path) -> None:
    save_file(load_weights().state, tmp_path / "a.safetensors", {"sampling": "lanczos"})
    with pytest.raises(WeightsError, match=r"'lanczos'.*must be one of bilinear, bicubic"):
        load_weights(tmp_path / "a.safetensors")


def test_what_is_made_is_sampled_as_the_file_says(bicubic_file: Path, tmp_path: Path) -> None:
    state = load_weights(bicubic_file).state
    save_file(state, tmp_path / "bilinear.safetensors", {"sampling": "bilinear"})
    images = [torch.from_numpy(scene(n, 96, 64).transpose(2, 0, 1).copy()) for n in (0, 1)]
    cpu = backend.resolve("cpu", "fp32")
    one, other = (
        Interpolator(prepare(load_weights(path).build(), cpu))(*images, HALF)
        for path in (bicubic_file, tmp_path / "bilinear.safetensors")
    )
    with torch.no_grad():
        network = IFRNet(CONFIGS["S"], sampling="bicubic")
        network.load_state_dict(state)
        expected = network(images[0][None], images[1][None], torch.tensor([0.5]))[0]
    torch.testing.assert_close(one, expected, atol=2e-5, rtol=0)
    assert (one - other).abs().max() > 1e-3


def test_exported_to_onnx_it_shows_the_same_frames(bicubic_file: Path, tmp_path: Path) -> None:
    onnx = tmp_path / "network.onnx"
    task = Task(width=96, height=64, precision="fp32", num_streams=1, model=str(bicubic_file))
    task = replace(task, onnx=str(onnx))
    contenders.export_onnx(task, onnx)
    clip = moving(task.width, task.height, 4)
    ours, *others = (contenders.CONTENDERS[name](clip, task) for name in ("ours", "ort", "ov"))
    for other in others:
        with ours.get_frame(3) as a, other.get_frame(3) as b:
            steps = np.asarray(a[0]).astype(int) - np.asarray(b[0])
            assert abs(steps).max() <= 1
