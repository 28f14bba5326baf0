"""Training checkpoints, which are written atomically and allow exact resuming."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from vsifrnet.errors import TrainingError
from vsifrnet.files import claim_folder, replacing
from vsifrnet.weights import formats

__all__ = [
    "CHECKPOINT",
    "WEIGHTS",
    "check_variant",
    "claim_run",
    "export_weights",
    "load_checkpoint",
    "save_checkpoint",
]

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"
FILES = (CHECKPOINT, WEIGHTS, "best.safetensors", "log.csv", "validation.csv", "curve.png")
"""Names of the files that a run writes into its folder."""


def claim_run(folder: Path, *, overwrite: bool) -> None:
    """Create the folder of a run, or go on in the folder of an earlier run.

    Raises:
        InputError: the folder has a file that a run would write and no run has written; the
            message names it.
    """
    if not (folder / CHECKPOINT).is_file():
        claim_folder(folder, {"command": "train"}, overwrite=overwrite, results=FILES)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to a temporary name and rename it to ``path``.

    Raises:
        TrainingError: the disk is full or cannot be written; the file at ``path`` is untouched.
    """

    def write(partial: Path) -> None:
        # torch.save's own writer hides the system's errors, such as a full disk.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        partial.write_bytes(buffer.getbuffer())

    _write(path, write)


def export_weights(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a network's weights as safetensors, to a temporary name first.

    Raises:
        TrainingError: the disk is full or cannot be written; the file at ``path`` is untouched.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    # save_file would ignore the umask and make files that only their owner can read.
    _write(path, lambda partial: partial.write_bytes(save(tensors, metadata)))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, of which only tensors and plain values are accepted.

    Raises:
        TrainingError: the file is missing, damaged or no training checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many unrelated exceptions.
        raise TrainingError(f"cannot read the checkpoint {path}: {error}") from error
    if not isinstance(state, dict) or not {"step", "network", "ema", "optimizers"} <= set(state):
        raise TrainingError(f"{path} is not a training checkpoint; start from weights by --model")
    return state


def check_variant(path: Path, network: dict[str, Tensor], wanted: str) -> None:
    """Refuse a checkpoint's network if it is not of the variant ``wanted``."""
    try:
        found = formats.check(network)[0].name
    except ValueError:  # Loading will report the damage.
        return
    if found != wanted:
        raise TrainingError(
            f"{path} is of IFRNet {found}, not {wanted}: go on with --size {found}, or begin in "
            "another folder"
        )


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            write(partial)
            # Flush to the disk before replacing the old file, in case of a power cut.
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        kept = "; the file there is kept" if path.exists() else ""
        raise TrainingError(f"cannot write {path}: {error}{kept}") from error
