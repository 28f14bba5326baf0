"""Runs are killed and resumed, shared by two processes, and ended by whatever can go wrong."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from paths import LAUNCH, ROOT
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from training_data import make_assets, write_triplets

from vsifrnet.cli import main
from vsifrnet.errors import DataError, NotFiniteError, TrainingError
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.training.data.assets import in_part
from vsifrnet.training.data.loader import Batches, load_batches
from vsifrnet.training.data.sample import Sample
from vsifrnet.training.loop.checkpoint import load_checkpoint
from vsifrnet.training.loop.initialize import fresh_network
from vsifrnet.training.loop.journal import draw_curve, read_log
from vsifrnet.training.loop.settings import Settings
from vsifrnet.training.loop.trainer import Trainer
from vsifrnet.training.loop.validation import ClipTriplets, validate
from vsifrnet.training.losses import SyntheticLoss
from vsifrnet.weights.load import load_weights


class Shift:
    """A cheap data set: noise that moves by two pixels; ``broken`` samples fail."""

    def __init__(self, broken: int | None = None) -> None:
        self.broken = broken

    def sample(self, index: int) -> Sample:
        if index == self.broken:
            raise DataError(f"cannot read the picture {index}.png")
        noise = np.random.default_rng(index).integers(0, 256, (32, 34, 3), dtype=np.uint8)
        flow = np.broadcast_to(np.array([-1, 0, 1, 0], np.float32), (32, 32, 4))
        img0, imgt, img1 = noise[:, 2:], noise[:, 1:-1], noise[:, :-2]
        return Sample(img0=img0, imgt=imgt, img1=img1, t=0.5, flow=flow)


def trainer(out: Path, *, data: object = None, loss: nn.Module | None = None, **settings: object):
    defaults: dict = {"steps": 4, "batch": 2, "workers": 0, "log_every": 1, "save_every": 2}
    return Trainer(
        fresh_network("S", 0),
        loss or SyntheticLoss(),
        data or Shift(),
        Settings(out=out, **(defaults | settings)),
    )


def arguments(assets: Path, out: Path, steps: int) -> list[str]:
    flags = f"--crop 32 --batch 2 --steps {steps} --save-every 2 --validate-every 0 --log-every 1"
    flags += " --workers 0 --threads 1 --device cpu --warmup 2 --lr 1e-3 --no-bf16"
    return ["train", "--assets", str(assets), "--out", str(out), *flags.split()]


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_killed_run_goes_on_to_the_very_same_weights(tmp_path):
    assets = make_assets(tmp_path / "assets")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "vsifrnet", *arguments(assets, killed, 12)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while not (killed / "checkpoint.pt").is_file():
            assert process.poll() is None, "ended before its first checkpoint"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    stopped_at = load_checkpoint(killed / "checkpoint.pt")["step"]
    assert 2 <= stopped_at < 12

    assert main(arguments(assets, killed, 12)) == 0
    assert main(arguments(assets, whole, 12)) == 0
    a, b = (load_checkpoint(folder / "checkpoint.pt") for folder in (killed, whole))
    assert a["step"] == b["step"] == 12
    assert equal(a["network"], b["network"])
    assert equal(a["ema"], b["ema"])
    # Each step is in the log once, and the exported weights are a model like any other.
    assert read_log(killed / "log.csv")["step"] == list(range(1, 13))
    assert load_weights(killed / "weights.safetensors").config is CONFIGS["S"]
    assert (killed / "curve.png").stat().st_size > 10_000


def test_two_processes_equal_one(tmp_path):
    assets = make_assets(tmp_path / "assets")
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(arguments(assets, one, 3)) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*launch, "-m", "vsifrnet", *arguments(assets, two, 3)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=300,
    )
    a, b = (load_checkpoint(folder / "checkpoint.pt")["network"] for folder in (one, two))
    moved = max(
        float((a[k] - v).abs().max()) for k, v in fresh_network("S", 0).state_dict().items()
    )
    apart = max(float((a[k] - b[k]).abs().max()) for k in a)
    # The sum of gradients is rounded in another order, which Muon and AdamW enlarge.
    assert apart < 2e-4
    assert moved > 10 * apart


def test_nan_is_named_and_the_last_checkpoint_kept(tmp_path):
    class Failing(SyntheticLoss):
        calls = 0

        def forward(self, network, batch):
            terms = super().forward(network, batch)
            self.calls += 1
            return terms | {"rec": terms["rec"] * (float("nan") if self.calls == 4 else 1.0)}

    run = trainer(tmp_path, loss=Failing(), steps=9)
    with pytest.raises(NotFiniteError, match=r"'rec' is nan at step 3: .*checkpoint\.pt"):
        run.run()
    state = load_checkpoint(tmp_path / "checkpoint.pt")
    assert state["step"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in state["network"].values())


def test_a_ruined_network_ends_the_run_with_a_message_not_a_crash(tmp_path):
    # A NaN in the flow, as too high a learning rate gives it: torch's gradient of grid_sample
    # would end the process.
    run = trainer(tmp_path, steps=9, clip=0.0)
    run.network.decoder1.convblock[2].bias.data[0] = float("nan")
    with pytest.raises(NotFiniteError, match=r"at step 0: .* may help$"):
        run.run()
    with pytest.raises(NotFiniteError, match="weight 'decoder1"):
        run.save()
    assert not (tmp_path / "checkpoint.pt").exists()


class Killed(Batches):
    """Batches of a run that is killed before step ``until``."""

    until = 3

    def __getitem__(self, step: int):
        if step == self.until:
            raise KeyboardInterrupt
        return super().__getitem__(step)


def test_the_best_weights_are_those_of_a_run_never_stopped(tmp_path):
    scores = {2: 50.0, 4: 40.0, 6: 45.0}

    def validating() -> Trainer:
        run = trainer(tmp_path, steps=6, validate_every=2)
        run.validate = lambda _network: {"a": scores[run.step], "mean": scores[run.step]}
        return run

    killed = validating()
    killed.batches = Killed(Shift(), 2)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    again = validating()
    again.resume()
    again.run()
    assert load_checkpoint(tmp_path / "checkpoint.pt")["best"] == 50.0
    with safe_open(tmp_path / "best.safetensors", "pt") as file:
        assert file.metadata()["step"] == "2"
    assert read_log(tmp_path / "validation.csv")["mean"] == [50.0, 40.0, 45.0]


def test_other_losses_and_sets_begin_other_logs(tmp_path):
    def run(steps: int, loss: nn.Module, name: str, score: float) -> None:
        run = trainer(tmp_path, steps=steps, loss=loss, validate_every=1)
        run.validate = lambda _network: {name: score, "mean": score}
        if run.checkpoint.is_file():
            run.resume()
        run.run()

    class Other(SyntheticLoss):
        def forward(self, network, batch):
            return {"other": sum(super().forward(network, batch).values())}

    run(1, SyntheticLoss(), "a", 50.0)
    before = (tmp_path / "log.csv").read_text()
    run(2, Other(), "b", 30.0)
    assert (tmp_path / "log-before-step-2.csv").read_text() == before
    assert list(read_log(tmp_path / "log.csv")) == ["step", "lr", "speed", "other"]
    # 30 dB on one set is no worse than 50 on another: it is the best of what is validated now.
    assert load_checkpoint(tmp_path / "checkpoint.pt")["best"] == 30.0
    assert (tmp_path / "curve.png").is_file()


def test_a_new_schedule_begins_once(tmp_path):
    trainer(tmp_path, steps=2).run()
    first = trainer(tmp_path, steps=6)
    first.resume(new_schedule=True)
    assert first.first_step == 2
    first.step = 4
    first.save()
    again = trainer(tmp_path, steps=6)
    again.resume(new_schedule=True)
    assert (again.step, again.first_step) == (4, 2)


def test_another_batch_goes_on_with_the_next_samples(tmp_path):
    class Noting(Shift):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[int] = []

        def sample(self, index: int) -> Sample:
            self.seen.append(index)
            return super().sample(index)

    data = Noting()
    trainer(tmp_path, data=data, steps=2, batch=2).run()
    for steps, batch in ((4, 3), (6, 1), (8, 2)):
        run = trainer(tmp_path, data=data, steps=steps, batch=batch)
        run.resume()
        run.run()
    assert data.seen == list(range(2 * 2 + 2 * 3 + 2 * 1 + 2 * 2))


def test_validating_on_clips(tmp_path):
    clip = LAUNCH
    sets = {"launch": ClipTriplets(clip, count=2)}
    samples = [sets["launch"].sample(i) for i in range(3)]
    assert samples[0].img0.shape == samples[0].imgt.shape == (256, 448, 3)
    assert samples[0] is samples[2]
    assert 20 < validate(fresh_network("S", 0), sets, samples=2)["launch"] < 60
    with pytest.raises(DataError, match="cannot read the video"):
        ClipTriplets(Path(__file__))


def test_a_full_disk_is_named_and_the_last_checkpoint_kept(tmp_path, monkeypatch):
    run = trainer(tmp_path, steps=2)
    run.run()
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match=r"cannot write .*checkpoint\.pt.*No space left"):
        run.save()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*.part*"))


def test_a_broken_sample_is_named_also_from_a_worker(tmp_path):
    for workers in (0, 1):
        batches = load_batches(Batches(Shift(broken=3), 2), range(4), workers=workers)
        next(batches)
        with pytest.raises(DataError, match=r"^cannot read the picture 3\.png$"):
            next(batches)


def test_processes_share_the_samples_of_a_step():
    def seen(world: int) -> list[torch.Tensor]:
        parts = [Batches(Shift(), 4, rank=rank, world=world)[5] for rank in range(world)]
        return [image for part in parts for image in part.img0]

    assert all(torch.equal(a, b) for a, b in zip(seen(1), seen(2), strict=True))
    with pytest.raises(
        TrainingError, match="batch=3: must be a multiple of the number of processes, 2"
    ):
        Batches(Shift(), 3, world=2)


def test_sampling_is_kept_by_all_that_follows(tmp_path, capsys):
    assets = make_assets(tmp_path / "assets")
    first, second = tmp_path / "first", tmp_path / "second"
    assert main([*arguments(assets, first, 2), "--sampling", "bicubic"]) == 0
    # A run that goes on needs no option, and neither does one that starts from the weights.
    assert main(arguments(assets, first, 4)) == 0
    made = first / "weights.safetensors"
    assert main([*arguments(assets, second, 2), "--model", str(made)]) == 0
    assert [load_weights(out / made.name).sampling for out in (first, second)] == ["bicubic"] * 2
    assert main([*arguments(assets, first, 6), "--sampling", "bilinear"]) == 1
    assert "is bicubic and stays so" in capsys.readouterr().err
    # What was trained without a word is bilinear, and may be trained on with the other.
    third = tmp_path / "third"
    assert main(arguments(assets, third, 2)) == 0
    assert load_weights(third / made.name).sampling == "bilinear"


def test_sampling_matters_to_what_is_learned(tmp_path):
    losses = []
    for sampling in ("bilinear", "bicubic"):
        run = trainer(tmp_path / sampling, steps=2)
        run.network.sampling = sampling  # as --sampling does
        run.run()
        losses.append(read_log(tmp_path / sampling / "log.csv")["rec"][0])
    assert losses[0] != losses[1]


def test_a_foreign_checkpoint_is_refused(tmp_path):
    trainer(tmp_path, steps=1).run()
    with pytest.raises(TrainingError, match="another network or optimizer"):
        trainer(tmp_path, optimizer="adamw").resume()
    (tmp_path / "checkpoint.pt").write_bytes(b"rubbish")
    with pytest.raises(TrainingError, match="cannot read the checkpoint"):
        trainer(tmp_path).resume()
    torch.save({"a": torch.zeros(1)}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="not a training checkpoint"):
        trainer(tmp_path).resume()


def test_training_learns(tmp_path):
    run = trainer(tmp_path, data=Constant(), steps=30, lr=2e-3, warmup=5)
    run.run()
    loss = read_log(tmp_path / "log.csv")["rec"]
    assert np.mean(loss[-5:]) < 0.7 * np.mean(loss[:5])
    assert draw_curve(tmp_path).is_file()
    exported = load_file(tmp_path / "weights.safetensors")
    assert equal(exported, load_checkpoint(tmp_path / "checkpoint.pt")["ema"])


class Constant(Shift):
    """Two samples over and over."""

    def sample(self, index: int) -> Sample:
        return super().sample(index % 2)


def test_validation_takes_the_mean_over_sets():
    class Still(Shift):
        def sample(self, index: int) -> Sample:
            image = np.full((32, 32, 3), 128, np.uint8)
            return Sample(img0=image, imgt=image, img1=image, t=0.5)

    class Blend(IFRNet):
        def forward(self, img0, img1, t, scale=1.0):
            return (img0 + img1) / 2

    network = Blend(CONFIGS["S"])
    result = validate(network, {"still": Still(), "shift": Shift()}, samples=4, batch=2)
    assert result["still"] == 60.0
    assert result["mean"] == pytest.approx((60.0 + result["shift"]) / 2)
    assert result["shift"] < 20


def test_a_checkpoint_of_before_the_schedulers_goes_on(tmp_path):
    """Older versions kept no initial learning rate in the optimisers' groups."""
    for folder in ("new", "old"):
        trainer(tmp_path / folder, steps=2).run()
    path = tmp_path / "old" / "checkpoint.pt"
    state = load_checkpoint(path)
    for optimizer in state["optimizers"]:
        for group in optimizer["param_groups"]:
            del group["initial_lr"]
            group["lr"] = 0.0
    torch.save(state, path)
    for folder in ("new", "old"):
        run = trainer(tmp_path / folder, steps=4)
        run.resume()
        run.run()
    a, b = (load_checkpoint(tmp_path / folder / "checkpoint.pt") for folder in ("new", "old"))
    assert equal(a["network"], b["network"])
    assert equal(a["ema"], b["ema"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "nothing to train on"),
        (["--assets", "nowhere"], "neither a folder"),
        (["--share", "videos=1"], "names videos"),
        (["--crop", "100"], "--crop 100: must be a multiple of 16"),
        (["--log-every", "0"], "--log-every 0: must be at least 1"),
        (["--workers", "-1"], "--workers -1: must be at least 0"),
        (["--lr", "0"], "--lr 0.0: must be above 0"),
        (["--ema", "2"], r"--ema 2\.0: must be at least 0"),
        (["--triplets", "nowhere"], r"tri_trainlist\.txt"),
        (["--sequences", "nowhere"], "no pictures"),
        (["--videos", "none.mkv"], r"no video none\.mkv"),
    ],
)
def test_the_command_line_names_what_is_missing(flags, message, tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "out"), *flags]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vsifrnet train: ")
    assert re.search(message, err)


def test_preview_and_flow_commands(tmp_path):
    assets, sheet = make_assets(tmp_path / "assets"), tmp_path / "sheet.png"
    out = tmp_path / "out"
    paths = ["--assets", str(assets), "--preview", str(sheet), "--out", str(out)]
    assert main(["train", "--crop", "32", *paths]) == 0
    assert sheet.stat().st_size > 10_000
    assert not out.exists()
    write_triplets(tmp_path / "vimeo", 1)
    assert main(["flow", str(tmp_path / "vimeo")]) == 0
    assert (tmp_path / "vimeo/flow/00001/0000/flow_t0.flo").is_file()
    assert main(["flow", str(tmp_path / "nowhere")]) == 1


def test_a_run_replaces_nothing_that_no_run_has_written(tmp_path, capsys):
    assets, out = make_assets(tmp_path / "assets"), tmp_path / "run"
    out.mkdir()
    (out / "weights.safetensors").write_bytes(b"precious")
    assert main(arguments(assets, out, 2)) == 1
    assert "weights.safetensors is there already" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["weights.safetensors"]
    assert (out / "weights.safetensors").read_bytes() == b"precious"
    (out / "weights.safetensors").unlink()
    # A run that was killed before its first checkpoint begins again.
    (out / ".vsifrnet.json").write_text('{"command": "train"}')
    (out / "log.csv").write_text("step,lr,speed\n1,0,0\n")
    assert main(arguments(assets, out, 2)) == 0
    sheet = out / "weights.safetensors"
    assert main([*arguments(assets, out, 2), "--preview", str(sheet)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main([*arguments(assets, out, 2), "--preview", str(out / "sheet.what")]) == 1
    assert "must end with the suffix of a picture" in capsys.readouterr().err


def test_the_size_of_a_model_or_run_cannot_be_changed(tmp_path, capsys):
    assets, out = make_assets(tmp_path / "assets"), tmp_path / "run"
    large = [*arguments(assets, out, 2), "--size", "L"]
    assert main([*large, "--model", "ifrnet_s"]) == 1
    assert "--size L: ifrnet_s is of IFRNet S" in capsys.readouterr().err
    assert main(arguments(assets, out, 1)) == 0
    assert main(large) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "checkpoint.pt is of IFRNet S, not L: go on with --size S" in message
    assert main([*arguments(assets, out, 2), "--optimizer", "adamw"]) == 1
    assert "of another network or optimizer" in capsys.readouterr().err


def test_few_pictures_leave_none_to_validate_on(tmp_path, capsys):
    assets, out = make_assets(tmp_path / "assets"), tmp_path / "run"
    for path in (*(assets / "sprites").iterdir(), *(assets / "backgrounds").iterdir()):
        if in_part(path, "held-out"):
            path.unlink()
    assert main([*arguments(assets, out, 2), "--validate-every", "1"]) == 1
    message = capsys.readouterr().err
    assert "held out for validation" in message
    assert "--validate-every 0" in message
    assert main(arguments(assets, out, 2)) == 0


def test_a_full_disk_is_named(tmp_path):
    resource = pytest.importorskip("resource")
    assets, out = make_assets(tmp_path / "assets"), tmp_path / "run"
    limit = (2**20, 2**20)
    process = subprocess.run(
        [sys.executable, "-m", "vsifrnet", *arguments(assets, out, 2), "-q"],
        stderr=subprocess.PIPE,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert process.returncode == 1
    (line,) = process.stderr.decode().strip().splitlines()
    assert "cannot write" in line
    assert "File too large" in line
