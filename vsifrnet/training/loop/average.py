"""Averages of weights: a run's moving average, and the mean of several runs' weights.

The mean of runs that continue each other is often better than each of them, as in Wortsman et al.,
"Model soups" (ICML 2022).

    python -m vsifrnet.training.loop.average a.safetensors b.safetensors --out mean.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vsifrnet.errors import TrainingError, WeightsError
from vsifrnet.training.loop.checkpoint import export_weights
from vsifrnet.weights.load import load_weights
from vsifrnet.weights.metadata import SAMPLING

__all__ = ["average", "main", "moving_average"]


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of a network, beginning with the network as it is.

    The decay rises from 0.1 to ``decay``: the average follows closely at first, so that it does not
    drag the first weights along.
    """

    def update(averages: list[Tensor], values: list[Tensor], count: Tensor | int) -> None:
        rising = min(decay, int(count) / (9 + int(count)))
        get_ema_multi_avg_fn(rising)(averages, values, count)  # type: ignore[no-untyped-call]

    averaged = AveragedModel(network, multi_avg_fn=update)  # type: ignore[arg-type]
    averaged.update_parameters(network)  # The first update copies the weights.
    return averaged.requires_grad_(False).eval()


def average(paths: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights in ``paths`` to ``out``, float32.

    Raises:
        WeightsError: a file is missing, damaged or not IFRNet's.
        TrainingError: the weights differ in size or sampling, or ``out`` cannot be written.
    """
    models = [load_weights(path) for path in paths]
    sizes = {model.config.name for model in models}
    if len(sizes) > 1:
        raise TrainingError(f"the weights must be of one size; found {', '.join(sorted(sizes))}")
    samplings = {model.sampling for model in models}
    if len(samplings) > 1:
        described = ", ".join(f"{model.path} {model.sampling}" for model in models)
        raise TrainingError(f"the weights must be of one sampling; found {described}")
    # In float64 the mean does not depend on the order of the files.
    networks = [model.build().double() for model in models]
    mean = AveragedModel(networks[0])
    for network in networks:
        mean.update_parameters(network)
    metadata = {"network": f"IFRNet {sizes.pop()}", "mean of": str(len(models))}
    metadata[SAMPLING] = samplings.pop()
    export_weights(out, mean.module.float().state_dict(), metadata)


def main() -> None:
    """Handle the command line."""
    parser = argparse.ArgumentParser(
        description="Write the mean of the weights of several runs that continue each other."
    )
    parser.add_argument("weights", type=Path, nargs="+", help="files of weights of one size")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    arguments = parser.parse_args()
    try:
        average(arguments.weights, arguments.out)
    except (WeightsError, TrainingError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
