"""Tests of the mean of several runs' weights and of a run's moving average."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vsifrnet.errors import TrainingError, WeightsError
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.training.loop.average import average, moving_average
from vsifrnet.weights.load import load_weights


def write(path: Path, size: str, seed: int, sampling: str = "bilinear") -> Path:
    torch.manual_seed(seed)
    save_file(IFRNet(CONFIGS[size]).state_dict(), path, {"sampling": sampling})
    return path


def test_the_mean_is_that_of_each_tensor(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{seed}.safetensors", "S", seed) for seed in range(3)]
    average(paths, tmp_path / "mean.safetensors")
    (tmp_path / "any").touch()
    assert (tmp_path / "mean.safetensors").stat().st_mode == (tmp_path / "any").stat().st_mode
    mean = load_weights(tmp_path / "mean.safetensors").state
    states = [load_weights(path).state for path in paths]
    for key, tensor in mean.items():
        torch.testing.assert_close(tensor, sum(state[key] for state in states) / 3)


def test_other_sizes_and_files_are_refused(tmp_path: Path) -> None:
    small, large = (
        write(tmp_path / "s.safetensors", "S", 0),
        write(tmp_path / "l.safetensors", "L", 0),
    )
    with pytest.raises(TrainingError, match="of one size; found L, S"):
        average([small, large], tmp_path / "mean.safetensors")
    with pytest.raises(WeightsError, match="missing"):
        average([small, tmp_path / "missing.safetensors"], tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_the_mean_is_sampled_as_its_parts_are(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{seed}.safetensors", "S", seed, "bicubic") for seed in range(2)]
    average(paths, tmp_path / "mean.safetensors")
    assert load_weights(tmp_path / "mean.safetensors").sampling == "bicubic"
    other = write(tmp_path / "other.safetensors", "S", 2)
    with pytest.raises(TrainingError, match=r"0\.safetensors bicubic.*other\.safetensors bilinear"):
        average([*paths, other], tmp_path / "mixed.safetensors")
    assert not (tmp_path / "mixed.safetensors").exists()


def test_the_moving_average_rises_to_its_decay() -> None:
    parameter = nn.Linear(1, 1, bias=False)
    parameter.weight.data.fill_(1.0)
    average = moving_average(parameter, 0.2)
    expected = 1.0
    for step, value in enumerate((3.0, -2.0, 5.0, 0.0)):
        parameter.weight.data.fill_(value)
        average.update_parameters(parameter)
        decay = min(0.2, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert float(average.module.weight) == pytest.approx(expected, rel=1e-6)
