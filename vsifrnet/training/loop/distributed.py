"""The group of processes that torchrun starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

__all__ = ["is_first", "process_group"]


def is_first() -> bool:
    """Return whether this process is the only one, or the first one under torchrun."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the processes under torchrun while the context is open; return this one's device.

    On CUDA each process uses the device of its local rank, with nccl; on the CPU they use gloo.
    Without torchrun ``device`` is returned unchanged.
    """
    if "RANK" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()
