"""File formats of weights: a file is read without running code, and every key and value is checked.

Errors are ValueErrors whose text continues "<path>: ..."; :mod:`vsifrnet.weights.load` adds the
path.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vsifrnet.network import CONFIGS, Config, IFRNet
from vsifrnet.weights import cache
from vsifrnet.weights.ncnn import read_ncnn
from vsifrnet.weights.registry import SUFFIXES

__all__ = ["check", "read"]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read(path: Path) -> Mapping[str, object]:
    """Return the tensors of a file of any known format, by their keys, unchecked.

    Raises:
        ValueError: the file is damaged, unsafe or of no known format.
        OSError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"has an unknown suffix; it must be one of {', '.join(SUFFIXES)}")
    if suffix in (".param", ".bin"):
        param, binary = path.with_suffix(".param"), path.with_suffix(".bin")
        _check_start(param, f"{param.name} ")
        _check_start(binary, f"{binary.name} ")
        return read_ncnn(param, binary)
    _check_start(path)
    if suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"is not an intact safetensors file: {error}") from error
    return _read_pickle(path)


def _check_start(path: Path, name: str = "") -> None:
    """Refuse a file that is obviously not weights, before any of it is parsed."""
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{name}is empty")
    if size > cache.MAX_BYTES:
        raise ValueError(
            f"{name}is {size} bytes long; no IFRNet file is longer than {cache.MAX_BYTES}"
        )
    with path.open("rb") as stream:
        mistake = cache.not_weights(stream.read(512))
    if mistake:
        raise ValueError(f"{name}is {mistake}")


def _check_archive(path: Path) -> None:
    """Check what torch.load does not: the sizes that an archive claims, and its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # torch.save never compresses, and a compressed member could unpack to any size.
            compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
            size = sum(member.file_size for member in members)
            fits = not compressed and size <= path.stat().st_size
            damaged = archive.testzip() if fits else None
    except Exception as error:  # zipfile raises about ten types for damaged archives.
        raise ValueError(f"is not an intact PyTorch file: {error}") from None
    if compressed:
        raise ValueError(
            "is a compressed archive, which torch.save does not write (TorchScript is one)"
        )
    if not fits:
        raise ValueError("is not an intact PyTorch file: it claims to hold more than its length")
    if damaged:
        raise ValueError(f"is not an intact PyTorch file: the checksum of {damaged} is wrong")


def _read_pickle(path: Path) -> Mapping[str, object]:
    with path.open("rb") as stream:
        is_archive = stream.read(4) == b"PK\3\4"  # Otherwise it is the format of PyTorch < 1.6.
    if is_archive:
        _check_archive(path)
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Damage can make the unpickler raise anything.
        raise ValueError(_explain(str(error))) from None
    if not isinstance(raw, Mapping):
        raise ValueError(f"holds a {type(raw).__name__}, not a state dict")
    return raw


def _explain(message: str) -> str:
    """Return what torch.load's message says, without its advice to load the file unsafely."""
    name = re.search(r"GLOBAL ([\w.]+)", message)
    if name:
        return (
            f"is a pickle that calls {name[1]}, which is not tensor data; such a file can run code "
            "when it is loaded, so it was not loaded"
        )
    reason = message.rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    return "is not an intact PyTorch file" + (f": {reason[:200]}" if reason else "")


def check(raw: Mapping[str, object]) -> tuple[Config, dict[str, Tensor]]:
    """Check a state dict strictly; return its variant and a float32 copy with the official keys.

    If every key starts with ``module.``, as DistributedDataParallel writes them, the prefix is
    removed.

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
    # An interrupted download can leave zeros; no trained convolution is all zeros.
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


def _some(keys: list[str]) -> str:
    text = ", ".join(str(key)[:80] for key in keys[:4])
    return text + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
