"""Description of the machine that measurements ran on: device, processor, system, versions."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import torch
import vapoursynth as vs

from vsifrnet import __version__
from vsifrnet.engine import backend

__all__ = ["describe"]

CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instruction sets that decide how fast the network is on a CPU."""


def describe(device: torch.device) -> dict[str, Any]:
    """Return the facts of this machine that a speed depends on, for a JSON report."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    flags: list[str] = []
    if info.exists():
        text = info.read_text()
        if found := re.search(r"model name\s*: (.*)", text):
            cpu = found[1]
        flags = [flag for flag in CPU_FLAGS if re.search(rf"\b{flag}\b", text)]
    return {
        "device": backend.describe(device),
        "cpu": cpu,
        "cpu_count": os.cpu_count(),
        "cpu_flags": flags,
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "vapoursynth": str(vs.core.core_version),
        "vsifrnet": __version__,
    }
