"""The backend of the network: device, precision and number of workers."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from dataclasses import dataclass

import torch

from vsifrnet.argument_table import MAX_STREAMS, PRECISIONS
from vsifrnet.engine.memory import is_out_of_memory
from vsifrnet.errors import InputError

__all__ = [
    "DTYPES",
    "Backend",
    "describe",
    "explain",
    "multiplies_bfloat16",
    "resolve",
]

log = logging.getLogger("vsifrnet")

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Dtype of each precision by its name."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A device, a precision and a number of workers that are known to be available."""

    device: torch.device
    """Device of the network; a CUDA device has its index."""
    dtype: torch.dtype
    """Precision of the network."""
    num_streams: int
    """Number of workers, and so of pairs that are interpolated at once."""
    kernels: bool = False
    """Whether the network uses the Triton kernels of :mod:`vsifrnet.engine.kernels`."""

    def __str__(self) -> str:
        name = next(name for name, dtype in DTYPES.items() if dtype == self.dtype)
        return f"{describe(self.device)}, {name}, num_streams={self.num_streams}"


def resolve(
    device: str | int | torch.device | None = None,
    precision: str = "auto",
    num_streams: int | None = None,
    *,
    kernels: bool | None = None,
) -> Backend:
    """Return the backend that the arguments of the filter ask for.

    Args:
        device: None (CUDA if there is one, else the CPU), "cpu", "cuda", "cuda:1", or an index.
        precision: "fp32", "fp16", "bf16", or "auto": fp16 on CUDA, bf16 on a CPU with instructions
            for it, otherwise fp32.
        num_streams: 1 to 32; None is 2, or 1 on a CPU with a single core.
        kernels: use Triton kernels; None uses them on an NVIDIA GPU where Triton is installed. On
            the CPU they need ``TRITON_INTERPRET=1`` in the environment.

    Raises:
        InputError: a value is not accepted, or the device does not exist.
    """
    chosen = _resolve_device(device)
    if precision == "auto":
        dtype = _fastest(chosen)
    elif precision in PRECISIONS:
        dtype = DTYPES[precision]
    else:
        accepted = ", ".join(map(repr, PRECISIONS))
        raise InputError(f"precision={precision!r}: must be one of {accepted}")
    if dtype == torch.bfloat16 and chosen.type == "cuda" and not multiplies_bfloat16(chosen):
        raise InputError(
            f"precision={precision!r}: must be 'auto', 'fp32' or 'fp16' on {describe(chosen)}, "
            "which has no instructions for it"
        )
    if chosen.type == "cpu" and dtype != torch.float32 and dtype != _fastest(chosen):
        log.warning("ifrnet: precision=%r is emulated on this CPU and slow", precision)
    if num_streams is None:
        num_streams = min(2, torch.get_num_threads()) if chosen.type == "cpu" else 2
    elif type(num_streams) is not int or not 1 <= num_streams <= MAX_STREAMS:
        raise InputError(f"num_streams={num_streams!r}: must be an int from 1 to {MAX_STREAMS}")
    has_triton = importlib.util.find_spec("triton") is not None
    if kernels is None:
        # docs/speed.md has what they gave on an H100. ROCm's Triton has not been tried.
        kernels = chosen.type == "cuda" and has_triton and not torch.version.hip
    if kernels and not has_triton:
        raise InputError("kernels=True: must be False where Triton is not installed")
    if kernels and chosen.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        raise InputError("kernels=True: must be False on the CPU, but with TRITON_INTERPRET=1")
    return Backend(device=chosen, dtype=dtype, num_streams=num_streams, kernels=kernels)


def describe(device: torch.device) -> str:
    """Return the device with the name of its hardware."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def _resolve_device(device: str | int | torch.device | None) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None:
        if not count:
            return torch.device("cpu")
        chosen = torch.device("cuda", torch.cuda.current_device())
        if _has_kernels(chosen):
            return chosen
        log.warning("ifrnet: the CPU is used: this PyTorch has no kernels for %s", describe(chosen))
        return torch.device("cpu")
    accepted = "must be None, 'cpu', 'cuda', 'cuda:<index>' or an index"
    try:
        if isinstance(device, bool):
            raise TypeError
        chosen = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"device={device!r}: {accepted}") from None
    if chosen.type == "cpu":
        return torch.device("cpu")
    if chosen.type != "cuda":
        raise InputError(f"device={device!r}: {accepted}")
    index = chosen.index or 0
    if index >= count:
        found = f"{count} CUDA device(s)" if count else "no CUDA device"
        raise InputError(f"device={device!r}: PyTorch finds {found} here")
    chosen = torch.device("cuda", index)
    if not _has_kernels(chosen):
        made = ", ".join(torch.cuda.get_arch_list())
        raise InputError(
            f"device={device!r}: must be one that this PyTorch has kernels for ({made}), "
            f"which {describe(chosen)} is not"
        )
    return chosen


def _has_kernels(device: torch.device) -> bool:
    """Return whether this build of PyTorch has kernels for a GPU; it lists others as well."""
    if torch.version.hip:
        return True
    capability = torch.cuda.get_device_capability(device)
    for arch in torch.cuda.get_arch_list():
        # sm_86 is a binary for 8.6 and higher 8.x; compute_90 is compiled for 9.0 and higher when
        # it is loaded; sm_90a is a binary for 9.0 only.
        if found := re.fullmatch(r"(sm|compute)_(\d+)(\d)(a?)", arch):
            made_for = int(found[2]), int(found[3])
            if capability == made_for:
                return True
            goes_up = not found[4] and (found[1] == "compute" or capability[0] == made_for[0])
            if goes_up and capability > made_for:
                return True
    return False


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 instructions; emulated, bf16 is slower than fp32."""
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)


def _fastest(device: torch.device) -> torch.dtype:
    """Return the lowest precision that the hardware has instructions for."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32


def explain(error: Exception) -> str:
    """Return the message to the user for an error of the network."""
    text = str(error)
    # PyTorch has an exception type for a full GPU, but none for full main memory.
    full = isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text
    if full or is_out_of_memory(error):
        return f"out of memory; a smaller scale or num_streams needs less memory ({text})"
    return text
