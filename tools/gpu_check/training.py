"""Training from the shipped weights by the clock: how fast with and without the data side.

The weights and the log come back as ``weights.safetensors`` and ``log.csv``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import torch
from training_data import make_assets

from gpu_check.common import ROOT, Context, shipped
from gpu_check.report import Report
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.sample import DataSet, Sample
from vsifrnet.training.data.synthetic import LayeredMotion
from vsifrnet.training.loop.trainer import Settings, Trainer
from vsifrnet.training.losses import SyntheticLoss

__all__ = ["run"]

ASSETS = ROOT / ".whl" / "assets"
"""Where ``--pack`` puts pictures to train on."""


class Repeated:
    """A data set that costs nothing: a few samples, made once, over and over."""

    def __init__(self, data: DataSet, count: int) -> None:
        self._samples = [data.sample(index) for index in range(count)]

    def sample(self, index: int) -> Sample:
        """Return one of the samples."""
        return self._samples[index % len(self._samples)]


def run(context: Context, report: Report, seconds: float) -> None:
    """Measure the speed twice, then train for what is left of the time."""
    ends = time.monotonic() + seconds - (0 if context.dry else 25)
    cv2.setNumThreads(1)  # the data's share of the cores is its worker processes
    torch.backends.cudnn.benchmark = context.cuda
    crop, batch, workers = (32, 2, 0) if context.dry else (256, 32, max(1, os.cpu_count() or 2) - 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = (ASSETS / "backgrounds").is_dir() and not context.dry
        assets = ASSETS if found else make_assets(folder / "assets")
        data = LayeredMotion(Assets(assets, "train"), size=crop, seed=101)
        report.add(
            "data", {"assets": str(assets), "crop": crop, "batch": batch, "workers": workers}
        )

        def measured(data: DataSet, workers: int) -> dict[str, Any]:
            steps = 2 if context.dry else 60
            rates = train(context, folder / "speed", data, steps, crop, batch, workers)
            return {"samples/s": rates[-1], "all": rates}

        repeated = Repeated(data, batch)
        report.attempt("without the data side", lambda: measured(repeated, 0))
        report.attempt("with the data side", lambda: measured(data, workers))
        out = folder / "run"
        rate = 1.0
        log = folder / "speed" / "log.csv"
        if log.exists():
            rate = float(speeds(log)[-1]) / batch
        left = ends - time.monotonic()
        steps = 2 if context.dry else max(20, int(0.85 * left * rate))
        report.add("run", {"steps": steps, "seconds left": round(left)})
        try:
            report.attempt(
                "training", lambda: train(context, out, data, steps, crop, batch, workers, report)
            )
        finally:
            _bring_back(out, report.out)


def train(
    context: Context,
    out: Path,
    data: DataSet,
    steps: int,
    crop: int,
    batch: int,
    workers: int,
    report: Report | None = None,
) -> list[float]:
    """Train the shipped weights for some steps; return the samples a second of each log row."""
    shutil.rmtree(out, ignore_errors=True)
    network = shipped().build().to(context.device).requires_grad_(True)
    settings = Settings(
        out=out,
        steps=steps,
        batch=batch,
        lr=1.5e-3,
        lr_last=1e-5,
        warmup=min(60, steps),
        workers=workers,
        log_every=max(1, min(20, steps // 3)),
        save_every=max(1, steps // 6) if report else steps,
        validate_every=0,
        quiet=True,
    )
    trainer = Trainer(network, SyntheticLoss(), data, settings)
    if report is not None:
        # A run that is cut off has brought back what it had saved.
        save = trainer.save

        def save_and_bring_back() -> None:
            save()
            _bring_back(out, report.out)
            report.say(f"step {trainer.step}: {speeds(out / 'log.csv')[-1]} samples/s")

        trainer.save = save_and_bring_back  # type: ignore[method-assign]
    trainer.run()
    return speeds(out / "log.csv")


def speeds(log: Path) -> list[float]:
    """Return the samples a second of each row of a training log."""
    header, *rows = [line.split(",") for line in log.read_text().splitlines()]
    return [float(row[header.index("speed")]) for row in rows]


def _bring_back(run: Path, out: Path) -> None:
    for name in ("weights.safetensors", "log.csv"):
        if (run / name).exists():
            shutil.copyfile(run / name, out / f"{name}.partly")
            (out / f"{name}.partly").replace(out / name)
