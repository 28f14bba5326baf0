"""Loading weights: the name or path of a model in, checked tensors out.

From every format (safetensors, the official .pth, ncnn's .param and .bin) the result is a complete
float32 state dict in the official key layout with finite values. Any other file raises a
:class:`~vsifrnet.errors.WeightsError` that says what is wrong. No code from a file is ever run,
and no key is skipped or filled in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from vsifrnet.engine.sampling import Sampling
from vsifrnet.errors import WeightsError
from vsifrnet.files import replacing
from vsifrnet.network import Config, IFRNet
from vsifrnet.weights import cache, formats, registry
from vsifrnet.weights.find import find_weights, imports_folder
from vsifrnet.weights.metadata import SAMPLING, read_sampling

__all__ = ["Weights", "load_weights"]

BLIND = 1e-4
"""Weights of t count as zero below this share of the largest other weight.

In weights that honour t these are among the largest (2.4 times the mean of the others in ifrnet_s).
In weights that were trained at t = 0.5 alone they have decayed to zero, up to rounding.
"""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A checked state dict in the official key layout."""

    name: str
    """Name of the model if it is a known or imported one; otherwise the path of the file."""
    config: Config
    """Size of the network that the weights are for."""
    state: dict[str, Tensor]
    """Tensors by their official keys, float32, on the CPU."""
    t_blind: bool
    """True if the weights ignore t and only ever make the middle frame."""
    sampling: Sampling
    """Sampling of the pictures in the final blend that the weights were trained with."""
    path: Path
    """File that was read."""
    info: registry.Model | None
    """Registry entry of the model if it is a known one, by name or by content."""

    def build(self) -> IFRNet:
        """Return the network with these weights: float32, on the CPU, in evaluation mode."""
        # The network is built without storage, so nothing is initialised and no random number
        # is drawn; then it is given the tensors.
        with torch.device("meta"):
            network = IFRNet(self.config, sampling=self.sampling)
        state = {key: tensor.clone() for key, tensor in self.state.items()}
        network.load_state_dict(state, assign=True)
        return network.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write the weights to a .safetensors file, whose folder is made where it is missing."""
        metadata = {"imported_from": self.path.name, SAMPLING: self.sampling}
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(save(self.state, metadata=metadata))

    @property
    def digest(self) -> str:
        """SHA-256 of tensors and sampling, which identifies weights whatever their file."""
        digest = hashlib.sha256(self.sampling.encode())
        for key in sorted(self.state):
            digest.update(key.encode() + self.state[key].contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def t_blind_reason(self) -> str:
        """Message for users of t-blind weights about accepted rates and other models."""
        return (
            f"model {self.name} ignores the time t and makes the middle frame only, so multi can "
            "be 2, 4, 8 or 16, by repeated halving; any other rate needs a model that honours t: "
            + ", ".join(registry.honouring_t())
        )


def load_weights(model: str | Path | None = None, *, auto_download: bool = False) -> Weights:
    """Load a model.

    Args:
        model: None for the default model; the name of a known or imported model, in any case; or
            the path of a .safetensors, .pth, .pt, .pkl, .param or .bin file, or of a folder that
            holds ``ifrnet.param`` and ``ifrnet.bin``. A string that is a model's name means that
            model: for a file or folder of the same name write ``./name`` or pass a Path.
        auto_download: download a known model that is not in the cache.

    Raises:
        WeightsError: there is no such model or file, it could not be downloaded, or it is
            damaged, unsafe or not an IFRNet.
    """
    path, info = find_weights(model, auto_download=auto_download)
    try:
        config, state = formats.check(formats.read(path))
        sampling = read_sampling(path)
        info = info or cache.identify(path)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    except OSError as error:
        raise WeightsError(f"{error.filename or path}: {error.strerror or error}") from error
    is_import = path.parent == imports_folder()
    return Weights(
        name=info.name if info else path.stem if is_import else str(path),
        config=config,
        state=state,
        t_blind=_ignores_t(state) or (info is not None and not info.honours_t),
        sampling=sampling,
        path=path,
        info=info,
    )


def _ignores_t(state: Mapping[str, Tensor]) -> bool:
    """Return whether t, the last input channel of decoder 4, has no effect."""
    weight = state["decoder4.convblock.0.0.weight"].abs()
    return bool(weight[:, -1].max() <= BLIND * weight[:, :-1].max())
