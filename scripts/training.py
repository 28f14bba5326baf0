"""Measure how much the data slows training: samples/s with it, and with one constant sample.

    python scripts/training.py TRAINING_SET [--crop 256 --batch 32 --workers 16]
    torchrun --nproc-per-node 2 scripts/training.py TRAINING_SET

TRAINING_SET has folders ``backgrounds`` and ``sprites`` of pictures. The data and the constant
sample take turns, in runs of --steps steps. The first third of each run, in which worker processes
start, does not count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import cv2
import torch

from vsifrnet.engine.backend import resolve
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.sample import DataSet, Sample
from vsifrnet.training.data.synthetic import LayeredMotion
from vsifrnet.training.loop.distributed import process_group
from vsifrnet.training.loop.initialize import fresh_network
from vsifrnet.training.loop.journal import read_log
from vsifrnet.training.loop.settings import Settings
from vsifrnet.training.loop.trainer import Trainer
from vsifrnet.training.losses import SyntheticLoss


class Constant:
    """A data set of one sample, which costs nothing."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def sample(self, index: int) -> Sample:
        """Return the sample, whatever ``index`` is."""
        return self._sample


def speed(data: DataSet, device: torch.device, arguments: argparse.Namespace) -> float:
    """Return the samples/s of one run, over all processes."""
    every = max(arguments.steps // 6, 1)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            out=Path(folder),
            steps=6 * every,
            batch=arguments.batch,
            workers=arguments.workers,
            log_every=every,
            save_every=10**9,
            validate_every=0,
            quiet=True,
        )
        trainer = Trainer(fresh_network("S", 0).to(device), SyntheticLoss(), data, settings)
        trainer.run()
        if trainer.rank:
            return 0.0
        return 1 / statistics.mean(1 / s for s in read_log(Path(folder) / "log.csv")["speed"][2:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assets", type=Path, metavar="TRAINING_SET")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    assets = Assets(arguments.assets)
    # Read every picture once, as the first minutes of a run do.
    for number in range(len(assets.backgrounds)):
        assets.background(number)
    for number in range(len(assets.sprites)):
        assets.sprite(number)
    data = LayeredMotion(assets, size=arguments.crop, seed=1)
    contenders: dict[str, DataSet] = {"data": data, "constant": Constant(data.sample(0))}
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    with process_group(resolve(arguments.device).device) as device:
        for _ in range(arguments.runs):
            for name, contender in contenders.items():
                speeds[name].append(speed(contender, device, arguments))
    if not all(map(all, speeds.values())):
        return  # This is not the first process.
    for name, values in speeds.items():
        each = ", ".join(f"{value:.2f}" for value in values)
        sys.stdout.write(f"{name:<9}{statistics.median(values):8.2f} samples/s ({each})\n")
    ratio = statistics.median(speeds["data"]) / statistics.median(speeds["constant"])
    sys.stdout.write(f"data / constant: {ratio:.2f}\n")


if __name__ == "__main__":
    main()
