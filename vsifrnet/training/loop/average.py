"""The mean of several runs' weights: often better than each where they come from one another.

As in Wortsman et al., "Model soups" (ICML 2022).

    python -m vsifrnet.training.loop.average a.safetensors b.safetensors --out mean.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from vsifrnet.errors import TrainingError, WeightsError
from vsifrnet.training.loop.checkpoint import export_weights
from vsifrnet.weights.load import load_weights

__all__ = ["average", "main"]


def average(paths: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights in ``paths`` to ``out``, float32.

    Raises:
        WeightsError: a file is missing, damaged or not IFRNet's.
        TrainingError: they are of different sizes, or ``out`` cannot be written.
    """
    models = [load_weights(path) for path in paths]
    sizes = {model.config.name for model in models}
    if len(sizes) > 1:
        raise TrainingError(f"these are of different sizes ({', '.join(sorted(sizes))})")
    state = {
        key: torch.stack([model.state[key].double() for model in models]).mean(0).float()
        for key in models[0].state
    }
    metadata = {"network": f"IFRNet {sizes.pop()}", "mean of": str(len(models))}
    export_weights(out, state, metadata)


def main() -> None:
    """Handle the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        average(arguments.weights, arguments.out)
    except (WeightsError, TrainingError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
