"""The contenders of the speed benchmark do the same work."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import scene
from safetensors.torch import save_file

from vsifrnet.evaluation import contenders
from vsifrnet.evaluation.official import Official
from vsifrnet.evaluation.task import Task, moving, source
from vsifrnet.weights.load import load_weights

TASK = Task(width=96, height=64, precision="fp32", num_streams=1)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """The packaged weights, sampled as the official code samples all weights."""
    path = tmp_path_factory.mktemp("weights") / "bilinear.safetensors"
    save_file(load_weights().state, path)
    return replace(TASK, model=str(path))


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_the_official_code_and_the_network_agree(scale: float, task: Task) -> None:
    images = [torch.from_numpy(scene(n, 96, 64).transpose(2, 0, 1).copy())[None] for n in (0, 2)]
    network = load_weights(task.model).build()
    official = Official(network.state_dict(), torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        made = network(*images, torch.tensor([0.3]), scale)
    torch.testing.assert_close(made, official(*images, 0.3, scale), atol=2e-5, rtol=0)


def test_contenders_show_the_same_frames(task: Task) -> None:
    clip = moving(96, 64, 4)
    ours, official = (contenders.CONTENDERS[name](clip, task) for name in ("ours", "official"))
    for n in range(2, 5):
        with ours.get_frame(n) as a, official.get_frame(n) as b:
            for p in range(3):
                steps = np.asarray(a[p]).astype(int) - np.asarray(b[p])
                assert abs(steps).max() <= 1


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_contenders_that_pad_show_the_same_frames(scale: float, tmp_path: Path, task: Task) -> None:
    # Of a width that has to be padded: each does so in its own way, which shows up to its right.
    onnx = tmp_path / "network.onnx"
    task = replace(task, width=248, height=96, scale=scale, onnx=str(onnx))
    clip = moving(task.width, task.height, 4)
    contenders.export_onnx(task, onnx)
    ours, *others = (
        contenders.CONTENDERS[name](clip, task) for name in ("ours", "official", "ort", "ov")
    )
    for n in range(2, 5):
        for other in others:
            assert (other.width, other.height) == (task.width, task.height)
            with ours.get_frame(n) as a, other.get_frame(n) as b:
                steps = np.asarray(a[0]).astype(int) - np.asarray(b[0])
                assert abs(steps)[:, : task.width - 64].max() <= 2


@pytest.mark.parametrize("name", ["no-network", "host"])
def test_without_the_network_all_else_is_done(name: str) -> None:
    clip = moving(96, 64, 4)
    out = contenders.CONTENDERS[name](clip, TASK)
    assert out.num_frames == 8
    with clip.get_frame(1) as left, clip.get_frame(2) as right, out.get_frame(3) as made:
        luma, before, after = (np.asarray(frame[0]).astype(int) for frame in (made, left, right))
        assert abs(luma - before).max() <= 1
        assert abs(luma - after).max() > 4


def test_a_video_is_repeated_up_to_the_length(tmp_path: Path) -> None:
    video = str(Path(__file__).resolve().parents[2] / "examples" / "launch.webm")
    clip = source(replace(TASK, clip=video), 400)
    assert (clip.num_frames, clip.width, clip.height) == (400, 96, 64)


def test_a_task_survives_its_text() -> None:
    task = replace(TASK, clip="/vidéos/a 'b'.mkv", scale=0.5)
    assert Task.from_json(task.to_json()) == task
