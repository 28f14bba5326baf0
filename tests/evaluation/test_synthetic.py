"""Tests of ``vsifrnet bench clips --assets`` and of networks without the filter."""

import csv
from fractions import Fraction

import pytest
import torch
from paths import LAUNCH
from training_data import make_assets

from vsifrnet.cli import main
from vsifrnet.engine import backend
from vsifrnet.engine.interpolator import Interpolator, prepare
from vsifrnet.evaluation import methods, metrics, synthetic
from vsifrnet.evaluation.clips import open_clip
from vsifrnet.training.data.sample import collate
from vsifrnet.weights.load import load_weights

MODEL = "vsifrnet/models/ifrnet_s.safetensors"


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    return synthetic.held_out(make_assets(tmp_path_factory.mktemp("assets")))


@pytest.fixture(scope="module")
def network():
    return Interpolator(prepare(load_weights().build(), backend.resolve("cpu", "fp32")))


def test_scenes_keep_their_order_in_the_clip(assets) -> None:
    data = synthetic.paces(assets, size=64)["slow"]
    clip = synthetic.clip_of(data, 3, {"blend": methods.blend})
    frames = list(clip.frames())
    assert [frame.number for frame in frames] == [1, 4, 7]
    for index, frame in enumerate(frames):
        batch = collate([data.sample(index)]).to(torch.device("cpu"))
        for picture, exact in (
            (frame.left, batch.img0),
            (frame.true, batch.imgt),
            (frame.right, batch.img1),
        ):
            assert metrics.psnr(picture, exact[0]) > 25  # but for 4:2:0
        mean = (frame.left + frame.right) / 2
        assert metrics.psnr(frame.made["blend"], mean) > 45


def test_times_are_those_of_the_scenes(assets, network) -> None:
    near, middle = (
        next(synthetic.by_time(assets, t, 1, {"net": network}, size=64))
        for t in (Fraction(1, 100), Fraction(1, 2))
    )
    assert torch.equal(near.left, middle.left)
    assert torch.equal(near.right, middle.right)
    moved = [float((frame.true - frame.left).abs().mean()) for frame in (near, middle)]
    assert moved[0] < 0.3 * moved[1]
    weight = torch.lerp(near.left, near.right, 0.01)
    assert torch.allclose(near.made["blend"], weight)
    assert near.made["net"].shape == near.true.shape


def test_a_bare_network_is_not_charged_with_the_loss_of_420(network) -> None:
    clip = open_clip(LAUNCH, {"blend": methods.blend}, count=2)
    for frame in clip.frames({"net": network}):
        made = network(frame.left, frame.right, Fraction(1, 2))
        assert float((frame.made["net"] - made).abs().max()) <= 0.5001 / 255
        (score,) = (s for s in frame.scores("launch") if s.method == "net")
        assert score.equal > 60
        assert score.psnr > metrics.psnr(frame.made["blend"], frame.true)


def test_command(tmp_path, capsys) -> None:
    data, out = make_assets(tmp_path / "assets"), tmp_path / "out"
    common = ["--samples", "1", "--device", "cpu", "--precision", "fp32", "-q", "--against", ""]
    models = ["--model", "ifrnet_s", "--model", MODEL]
    assert main(["bench", "clips", "--assets", str(data), "--out", str(out), *models, *common]) == 0
    by_pace, by_time = (text.splitlines() for text in capsys.readouterr().out.split("\n\n"))
    assert by_pace[0].split()[1:] == ["ifrnet_s", "models/ifrnet_s"]
    assert by_time[0].split()[1:] == ["blend", "ifrnet_s", "models/ifrnet_s"]
    lines = by_pace + by_time
    names = [line.split()[1] for line in lines if line.startswith("synthetic")]
    assert names[:5] == ["still", "subpixel", "slow", "medium", "fast"]
    assert names[5:] == ["t=0.01", "t=0.2", "t=0.4", "t=0.5", "t=0.6", "t=0.8", "t=0.99"]
    assert by_pace[-1].startswith("models/ifrnet_s: two equal frames come back at ")
    with (out / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    one, other = (
        [row["psnr"] for row in rows if row["method"] == name]
        for name in ("ifrnet_s", "models/ifrnet_s")
    )
    assert one == other
    assert len(one) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to measure on: give FILEs or --assets DIR"),
        ([str(LAUNCH), "--against", "rife"], "--against rife: must be of blend, mvtools, svpflow"),
        ([str(LAUNCH), "--model", "a.pth", "--model", "a.pth"], "another model is called"),
        ([str(LAUNCH), "--first", "9999"], "launch.webm: it has"),
    ],
)
def test_wrong_input(arguments, message, capsys) -> None:
    assert main(["bench", "clips", *arguments, "-q"]) == 1
    assert message in capsys.readouterr().err
