"""Weights: a name or a path to a network, safely and strictly.

Whatever comes in (a name; safetensors, the official .pth, ncnn's .param and .bin), what goes out
is a complete float32 state dict in the official key layout with finite values, or a
:class:`~vsifrnet.errors.WeightsError` that says what is wrong. No code from a file is ever run,
nothing is skipped or filled in. Names are looked up here and in :mod:`vsifrnet.weights.registry`,
downloads are :mod:`vsifrnet.weights.fetch`'s, files are read and checked by
:mod:`vsifrnet.weights.formats`.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vsifrnet.errors import CacheError, WeightsError
from vsifrnet.network import Config, IFRNet
from vsifrnet.weights import cache, fetch, registry
from vsifrnet.weights import formats as checkpoint

__all__ = [
    "DEFAULT",
    "Weights",
    "imports_folder",
    "load",
    "locate",
    "names",
]

DEFAULT = "ifrnet_s"
"""Name of the model that is used when none is asked for; it lies in ``vsifrnet/models``."""

MODELS = Path(__file__).parents[1] / "models"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A checked state dict in the official key layout."""

    name: str
    """Name of the model where it is a known one, by name or by content; else the file's path."""
    config: Config
    state: dict[str, Tensor]
    """float32, on the CPU, the official keys."""
    t_blind: bool
    """True when the weights ignore t and only ever make the middle frame."""
    path: Path
    """The file that was read."""
    info: registry.Model | None
    """What is known of the model, where it is a known one."""

    def build(self) -> IFRNet:
        """The network with these weights, float32, on the CPU, in evaluation mode."""
        # Made without storage, then given the tensors: no initialisation, no random numbers.
        with torch.device("meta"):
            network = IFRNet(self.config)
        state = {key: tensor.clone() for key, tensor in self.state.items()}
        network.load_state_dict(state, assign=True)
        return network.eval().requires_grad_(False)

    @property
    def digest(self) -> str:
        """The SHA-256 of the tensors, by which weights are known wherever their file is."""
        digest = hashlib.sha256()
        for key in sorted(self.state):
            digest.update(key.encode() + self.state[key].contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def t_blind_reason(self) -> str:
        """For messages to users of t-blind weights: what these can do, and which models can all."""
        return (
            f"model {self.name} ignores the time t and makes the middle frame only, so multi can "
            "be 2, 4, 8 or 16, by repeated halving; any other rate needs a model that honours t: "
            + ", ".join(registry.honouring_t())
        )


def load(model: str | Path | None = None, *, auto_download: bool = False) -> Weights:
    """Load a model.

    Args:
        model: None for :data:`DEFAULT`; the name of a known or imported model, in whatever case;
            or the path of a .safetensors, .pth, .pt, .pkl, .param or .bin file or of a folder
            that holds ``ifrnet.param`` and ``ifrnet.bin``. A text that is a name is a name: for a
            file or folder of the same name write ``./name`` or give a Path.
        auto_download: download a known model that is not in the cache.

    Raises:
        WeightsError: there is no such model or file, it could not be downloaded, or it is
            damaged, hostile or not IFRNet's.
    """
    path, info = locate(DEFAULT if model is None else model, auto_download=auto_download)
    try:
        config, state = checkpoint.check(checkpoint.read(path))
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
        t_blind=_t_blind(state) or (info is not None and not info.honours_t),
        path=path,
        info=info,
    )


def names() -> list[str]:
    """Every name that :func:`load` takes: the known models, then the imported ones."""
    imported = sorted(path.stem for path in imports_folder().glob("[!.]*.safetensors"))
    return [model.name for model in registry.MODELS] + imported


def imports_folder() -> Path:
    """Where ``vsifrnet models import`` puts converted files that are not of a known model."""
    return cache.folder() / "imported"


def locate(model: str | Path, *, auto_download: bool = False) -> tuple[Path, registry.Model | None]:
    """The file to read for ``model``, and what is known of it where it is a known name.

    Raises:
        WeightsError: see :func:`load`.
    """
    if isinstance(model, str) and model:
        info = registry.find(model)
        if info is not None:
            return _known(info, auto_download), info
        imported = _imported(model)
        if imported is not None:
            return imported, None
    elif not isinstance(model, Path):
        raise WeightsError(f"model={model!r}: accepted is None, a name or a path")
    try:
        path = Path(model).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, RuntimeError) as error:  # a name that no file can have, an unknown user
        raise WeightsError(f"model={str(model)[:80]!r}: {error.args[-1]}") from None
    if is_folder:
        if (path / "ifrnet.param").is_file():
            return path / "ifrnet.param", None
        raise WeightsError(f"{path}: is a folder without ifrnet.param and ifrnet.bin")
    if exists:
        return path, None
    if isinstance(model, Path) or path.suffix.lower() in checkpoint.SUFFIXES or path.name != model:
        raise WeightsError(f"{path}: there is no such file")
    accepted = {name.casefold(): name for name in names()}
    close = difflib.get_close_matches(model.casefold(), accepted, n=1)
    raise WeightsError(
        f"model={model!r}: there is no such model or file"
        + "".join(f" (did you mean {accepted[name]}?)" for name in close)
        + f"; accepted are {', '.join(accepted.values())}, or the path of a file"
    )


def _known(info: registry.Model, auto_download: bool) -> Path:
    if info.packaged:
        path = MODELS / info.sources[0].files[0].name
        if not cache.verified(path, info.sources[0].files[0]):
            raise WeightsError(f"{path}: is missing or damaged; install vsifrnet again")
        return path
    found = cache.find(info)
    if found is not None:
        return found
    if auto_download:
        try:
            return fetch.fetch(info)
        except CacheError as error:
            raise WeightsError(str(error)) from error
    damaged = "".join(f" ({path} is damaged)" for path in cache.damaged(info))
    raise WeightsError(
        f"model={info.name!r}: is not on this machine{damaged}; "
        f"run `vsifrnet models fetch {info.name}`, or pass auto_download=True"
    )


def _imported(name: str) -> Path | None:
    for path in imports_folder().glob("[!.]*.safetensors"):
        if path.stem.casefold() == name.casefold():
            return path
    return None


def _t_blind(state: Mapping[str, Tensor]) -> bool:
    # t is the last input channel of decoder 4. In weights that honour t it is among the largest
    # (2.4 times the mean of the others in ifrnet_s), in weights that were trained at t = 0.5 alone
    # it has decayed to zero; what is far below the others' rounding in half precision is zero.
    weight = state["decoder4.convblock.0.0.weight"].abs()
    return bool(weight[:, -1].max() <= 1e-4 * weight[:, :-1].max())
