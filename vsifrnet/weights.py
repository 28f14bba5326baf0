"""Weights: files to a network, safely and strictly.

Whatever file comes in (safetensors, the official .pth, ncnn's .param and .bin), what goes out is a
complete float32 state dict in the official key layout with finite values, or a
:class:`WeightsError` that says what is wrong. No code from a file is ever run, nothing is skipped
or filled in.
"""

from __future__ import annotations

import difflib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vsifrnet import convert, fetch, registry
from vsifrnet.network import CONFIGS, Config, IFRNet

__all__ = ["DEFAULT", "Weights", "WeightsError", "check", "load", "locate", "names"]

DEFAULT = "ifrnet_s"
"""Name of the model that is used when none is asked for; it lies in ``vsifrnet/models``."""

MODELS = Path(__file__).parent / "models"

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_PICKLES = (".pth", ".pt", ".pkl")
_SUFFIXES = (".safetensors", *_PICKLES, ".param", ".bin")


class WeightsError(ValueError):
    """A model that is unknown or missing, or a file that is damaged, hostile or not IFRNet's."""


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
        raw, content = _read(path), fetch.identify(path)
        config, state = check(raw)
    except (ValueError, OSError) as error:
        raise WeightsError(f"{path}: {error}") from error
    if info is None and content is not None:
        info = content[0]
    return Weights(
        name=info.name if info else path.stem if _imported(path.stem) == path else str(path),
        config=config,
        state=state,
        t_blind=_t_blind(state) or (info is not None and not info.honours_t),
        path=path,
        info=info,
    )


def names() -> list[str]:
    """Every name that :func:`load` takes: the known models, then the imported ones."""
    imported = sorted(path.stem for path in imports_folder().glob("*.safetensors"))
    return [model.name for model in registry.MODELS] + imported


def imports_folder() -> Path:
    """Where ``vsifrnet models import`` puts converted files that are not of a known model."""
    return fetch.cache_folder() / "imported"


def locate(model: str | Path, *, auto_download: bool = False) -> tuple[Path, registry.Model | None]:
    """The file to read for ``model``, and what is known of it where it is a known name.

    Raises:
        WeightsError: see :func:`load`.
    """
    if isinstance(model, str):
        info = registry.find(model)
        if info is not None:
            return _known(info, auto_download), info
        imported = _imported(model)
        if imported is not None:
            return imported, None
    path = Path(model).expanduser()
    if path.is_dir():
        if (path / "ifrnet.param").is_file():
            return path / "ifrnet.param", None
        raise WeightsError(f"{path} is a folder without ifrnet.param and ifrnet.bin")
    if path.exists():
        return path, None
    if path.suffix.lower() in _SUFFIXES or path.name != str(model):
        raise WeightsError(f"there is no file {path}")
    known = names()
    close = difflib.get_close_matches(str(model).casefold(), [n.casefold() for n in known], n=1)
    meant = [name for name in known if name.casefold() in close]
    raise WeightsError(
        f"there is no model {str(model)!r}"
        + (f" (did you mean {meant[0]}?)" if meant else "")
        + f"; known are {', '.join(known)}, or give the path of a file"
    )


def _known(info: registry.Model, auto_download: bool) -> Path:
    if info.packaged:
        path = MODELS / info.sources[0].files[0].name
        if not path.is_file():
            raise WeightsError(f"{path} is missing from the package: install vsifrnet again")
        return path
    path_or_none = fetch.cached(info)
    if path_or_none is not None:
        return path_or_none
    if auto_download:
        try:
            return fetch.fetch(info)
        except fetch.FetchError as error:
            raise WeightsError(str(error)) from error
    damaged = "".join(f" ({path} is damaged)" for path in fetch.damaged(info))
    raise WeightsError(
        f"model {info.name} is not on this machine{damaged}: "
        f"run `vsifrnet models fetch {info.name}`, or pass auto_download=True"
    )


def _imported(name: str) -> Path | None:
    for path in imports_folder().glob("*.safetensors"):
        if path.stem.casefold() == name.casefold():
            return path
    return None


def _read(path: Path) -> Mapping[str, object]:
    """The file's content as it is; raises ValueError or OSError."""
    size = path.stat().st_size
    if size == 0:
        raise ValueError("is empty")
    if size > fetch.MAX_BYTES:
        raise ValueError(f"is {size} bytes long; no IFRNet file is longer than {fetch.MAX_BYTES}")
    with path.open("rb") as stream:
        mistake = fetch.not_weights(stream.read(512))
    if mistake:
        raise ValueError(f"is {mistake}")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"is not an intact safetensors file: {error}") from error
    if suffix in _PICKLES:
        return _read_pickle(path)
    if suffix in (".param", ".bin"):
        return convert.read_ncnn(path.with_suffix(".param"), path.with_suffix(".bin"))
    raise ValueError(f"has an unknown suffix; accepted are {', '.join(_SUFFIXES)}")


def _read_pickle(path: Path) -> Mapping[str, object]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        # torch.save never compresses; a compressed member could unpack to any size.
        if any(m.compress_type != zipfile.ZIP_STORED for m in members):
            raise ValueError("is a compressed archive, which torch.save does not write")
        if sum(m.file_size for m in members) > fetch.MAX_BYTES:
            raise ValueError("claims to hold more data than its own length")
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        # torch's own message goes on to recommend weights_only=False.
        unsafe = re.search(r"(?:GLOBAL|class|function|global:?) `?([\w.]+\.\w+)", str(error))
        if unsafe:
            raise ValueError(
                f"is a pickle that calls {unsafe[1]}, which is no tensor data; "
                "such a file can run code when it is loaded, so it was not"
            ) from None
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise ValueError(f"is not an intact PyTorch file: {reason}") from None
    if not isinstance(raw, Mapping):
        raise ValueError(f"holds a {type(raw).__name__}, not a state dict")
    return raw


def check(raw: Mapping[str, object]) -> tuple[Config, dict[str, Tensor]]:
    """Check a state dict strictly; returns the variant and a float32 copy, official keys.

    A ``module.`` before every key, from DistributedDataParallel, is taken off.

    Raises:
        ValueError: a key is missing, unknown or of the wrong shape or type, or a value is not
            finite; the message names the keys.
    """
    if raw and all(isinstance(key, str) and key.startswith("module.") for key in raw):
        raw = {key.removeprefix("module."): value for key, value in raw.items()}
    expected = _shapes(CONFIGS["S"])
    missing = [key for key in expected if key not in raw]
    extra = [key for key in raw if key not in expected]
    if missing or extra:
        found = f"missing keys {_some(missing)}; " if missing else ""
        found += f"unknown keys {_some(extra)}" if extra else ""
        raise ValueError("is not an IFRNet state dict: " + found.removesuffix("; "))

    tensors: dict[str, Tensor] = {}
    for key in expected:
        value = raw[key]
        if not isinstance(value, Tensor):
            raise ValueError(f"{key} is a {type(value).__name__}, not a tensor")
        if value.dtype not in _FLOATS or value.layout != torch.strided or value.is_meta:
            raise ValueError(f"{key} is {value.dtype}, {value.layout}; expected plain floats")
        tensors[key] = value.detach()

    config = _variant(tensors)
    for key, shape in _shapes(config).items():
        if tensors[key].shape != shape:
            raise ValueError(
                f"{key} has shape {tuple(tensors[key].shape)}; "
                f"variant {config.name} has {tuple(shape)}"
            )
    state = {
        key: value.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        for key, value in tensors.items()
    }
    infinite = [key for key, value in state.items() if not value.isfinite().all()]
    if infinite:
        raise ValueError(f"has NaN or infinite weights in {_some(infinite)}")
    # A download that was cut off can leave zeros. No trained convolution is all zeros.
    zero = [key for key, value in state.items() if value.ndim == 4 and not value.any()]
    if zero:
        raise ValueError(f"is damaged: all weights are zero in {_some(zero)}")
    return config, state


def _variant(tensors: Mapping[str, Tensor]) -> Config:
    key = "encoder.pyramid1.0.0.weight"
    shapes = {name: tuple(_shapes(config)[key]) for name, config in CONFIGS.items()}
    for name, shape in shapes.items():
        if tensors[key].shape == shape:
            return CONFIGS[name]
    known = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    raise ValueError(f"{key} has shape {tuple(tensors[key].shape)}; known variants are {known}")


def _shapes(config: Config) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {key: tensor.shape for key, tensor in IFRNet(config).state_dict().items()}


def _t_blind(state: Mapping[str, Tensor]) -> bool:
    # t is the last input channel of decoder 4. In weights that honour t it is among the largest
    # (2.4 times the mean of the others in ifrnet_s), in weights that were trained at t = 0.5 alone
    # it has decayed to zero; what is far below the others' rounding in half precision is zero.
    weight = state["decoder4.convblock.0.0.weight"].abs()
    return bool(weight[:, -1].max() <= 1e-4 * weight[:, :-1].max())


def _some(keys: list[str]) -> str:
    text = ", ".join(str(key)[:80] for key in keys[:4])
    return text + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
