"""Where and how precisely the network runs: device and precision."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

import torch

from vsifrnet.errors import InputError

__all__ = [
    "PRECISIONS",
    "Backend",
    "describe",
    "explain",
    "is_out_of_memory",
    "multiplies_bfloat16",
    "resolve",
]

log = logging.getLogger("vsifrnet")

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

MOST_STREAMS = 32


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A resolved choice of device and precision."""

    device: torch.device
    dtype: torch.dtype
    num_streams: int
    """Pairs of frames in flight at once."""

    def __str__(self) -> str:
        name = next(name for name, dtype in PRECISIONS.items() if dtype == self.dtype)
        return f"{describe(self.device)}, {name}, num_streams={self.num_streams}"


def resolve(
    device: str | int | torch.device | None = None,
    precision: str = "auto",
    num_streams: int | None = None,
) -> Backend:
    """Turn the arguments of the filter into a backend.

    Args:
        device: None (CUDA if there is one, else the CPU), "cpu", "cuda", "cuda:1", or an index.
        precision: "fp32", "fp16", "bf16", or "auto": fp16 on CUDA, bf16 on a CPU that multiplies
            it in hardware, else fp32.
        num_streams: 1 to 32; None is 2, or 1 on a CPU of a single core.

    Raises:
        InputError: a value that is not accepted, or a device that is not there.
    """
    chosen = _resolve_device(device)
    if precision == "auto":
        dtype = _fastest(chosen)
    elif precision in tuple(PRECISIONS):
        dtype = PRECISIONS[precision]
    else:
        accepted = ", ".join(repr(name) for name in ("auto", *PRECISIONS))
        raise InputError(f"precision={precision!r}: accepted are {accepted}")
    if dtype == torch.bfloat16 and chosen.type == "cuda" and not multiplies_bfloat16(chosen):
        raise InputError(
            f"precision={precision!r}: {describe(chosen)} has no such instructions; accepted there "
            "are 'auto', 'fp32' and 'fp16'"
        )
    if chosen.type == "cpu" and dtype != torch.float32 and dtype != _fastest(chosen):
        log.warning("ifrnet: precision=%r is emulated on this CPU and slow", precision)
    if num_streams is None:
        num_streams = min(2, torch.get_num_threads()) if chosen.type == "cpu" else 2
    elif type(num_streams) is not int or not 1 <= num_streams <= MOST_STREAMS:
        raise InputError(
            f"num_streams={num_streams!r}: accepted is an int from 1 to {MOST_STREAMS}"
        )
    return Backend(device=chosen, dtype=dtype, num_streams=num_streams)


def describe(device: torch.device) -> str:
    """The device as a person knows it."""
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
        log.warning("ifrnet: the CPU is used: this PyTorch is not made for %s", describe(chosen))
        return torch.device("cpu")
    accepted = "accepted are None, 'cpu', 'cuda', 'cuda:<index>' or an index"
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
            f"device={device!r}: {describe(chosen)} is none that this PyTorch is made for ({made})"
        )
    return chosen


def _has_kernels(device: torch.device) -> bool:
    """Whether this build of PyTorch runs on a GPU: it is there even where it is too old."""
    if torch.version.hip:
        return True
    capability = torch.cuda.get_device_capability(device)
    for arch in torch.cuda.get_arch_list():
        # sm_86: a binary for 8.6 and higher 8.x; compute_90: to be compiled, for 9.0 and higher;
        # sm_90a: for the very chip.
        if found := re.fullmatch(r"(sm|compute)_(\d+)(\d)(a?)", arch):
            made_for = int(found[2]), int(found[3])
            if capability == made_for:
                return True
            goes_up = not found[4] and (found[1] == "compute" or capability[0] == made_for[0])
            if goes_up and capability > made_for:
                return True
    return False


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 instructions; emulated it is slower than float32."""
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)


def _fastest(device: torch.device) -> torch.dtype:
    """The lowest precision that the hardware multiplies natively."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32


def is_out_of_memory(error: Exception) -> bool:
    """Whether a GPU's memory was full."""
    # cuDNN passes over what it has no workspace for, and says this when nothing is left.
    no_engine = isinstance(error, RuntimeError) and "unable to find an engine" in str(error)
    return isinstance(error, torch.OutOfMemoryError) or no_engine


def explain(error: Exception) -> str:
    """What to tell the user about an error that the network ended in."""
    text = str(error)
    # PyTorch has a type for a full GPU, but not for full main memory.
    full = isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text
    if full or is_out_of_memory(error):
        return f"out of memory; a smaller scale or num_streams needs less ({text})"
    return text
