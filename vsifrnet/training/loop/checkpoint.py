"""Training checkpoints: written whole or not at all, and enough to go on exactly."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from vsifrnet.errors import TrainingError
from vsifrnet.files import replacing

__all__ = ["export_weights", "load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path``: to a temporary name first, then renamed.

    Raises:
        TrainingError: the disk is full or cannot be written; what was at ``path`` is untouched.
    """

    def write(partial: Path) -> None:
        # torch writes files of its own with errors that do not name a full disk.
        with partial.open("wb") as file:
            torch.save(state, file)

    _write(path, write)


def export_weights(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a network's weights as safetensors, likewise."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    # By our own hand: save_file makes files that nobody else may read, whatever the umask.
    _write(path, lambda partial: partial.write_bytes(save(tensors, metadata)))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; tensors and plain values only.

    Raises:
        TrainingError: the file is missing, damaged or no training checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen unrelated kinds
        raise TrainingError(f"cannot read the checkpoint {path}: {error}") from error
    if not isinstance(state, dict) or not {"step", "network", "ema", "optimizers"} <= set(state):
        raise TrainingError(f"{path} is not a training checkpoint (weights? use them to start)")
    return state


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            write(partial)
            # On the disk before it takes the place of the last one: power may fail too.
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        kept = "; what was there is kept" if path.exists() else ""
        raise TrainingError(f"cannot write {path}: {error}{kept}") from error
