"""Weights: files to a network, safely and strictly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from vsifrnet.network import CONFIGS, Config, IFRNet

__all__ = ["DEFAULT", "Weights", "WeightsError", "load"]

DEFAULT = "ifrnet_s"
"""Name of the model that is used when none is asked for; it lies in ``vsifrnet/models``."""

MODELS = Path(__file__).parent / "models"


class WeightsError(ValueError):
    """A weights file that is missing, damaged or not IFRNet's; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A checked state dict in the official key layout."""

    name: str
    """Registry name or file path."""
    config: Config
    state: dict[str, Tensor]
    """float32, the official keys."""
    t_blind: bool
    """True when the weights ignore t and only ever make the middle frame."""

    def build(self) -> IFRNet:
        """The network with these weights, float32, on the CPU, in evaluation mode."""
        network = IFRNet(self.config)
        network.load_state_dict(self.state)
        return network.eval().requires_grad_(False)


def load(model: str | Path | None = None, *, auto_download: bool = False) -> Weights:
    """Load ``model``: a registry name, a path to .safetensors / .pth / .param, or None (DEFAULT).

    Raises:
        WeightsError: there is no such model or file, or it is damaged or foreign.
    """
    path = MODELS / f"{DEFAULT}.safetensors" if model is None else Path(model)
    state = load_file(path)
    t_weight = state["decoder4.convblock.0.0.weight"][:, -1]
    return Weights(
        name=str(model or DEFAULT),
        config=CONFIGS["S"],
        state=state,
        t_blind=bool((t_weight == 0).all()),
    )
