"""The settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run, apart from its data and its loss, which :class:`Trainer` takes."""

    out: Path
    """Folder of the checkpoint, the weights and the logs."""
    steps: int
    batch: int = 8
    """Number of samples per step, over all processes."""
    lr: float = 2e-3
    """Peak learning rate."""
    lr_last: float = 2e-5
    """Learning rate of the last step."""
    warmup: int = 100
    """Number of steps over which the learning rate rises."""
    optimizer: Literal["muon", "adamw"] = "muon"
    weight_decay: float = 0.0
    clip: float = 1.0
    """Maximum norm of the gradient, which is clipped to it; 0 does not clip."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which are validated and exported."""
    bf16: bool | None = None
    """Whether to autocast to bfloat16; None does if the device multiplies it in hardware."""
    workers: int = 1
    """Number of processes that make samples; 0 makes them in the training process."""
    log_every: int = 50
    """Steps from one row of the log to the next."""
    save_every: int = 500
    """Steps from one checkpoint to the next."""
    validate_every: int = 1000
    """Steps from one validation to the next; 0 never validates."""
    quiet: bool = False
    """Whether to hide the progress bar."""
