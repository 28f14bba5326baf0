"""Output of the evaluators: strips of pictures, CSV tables and JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsifrnet.files import replacing

__all__ = ["strip", "to_json", "write_csv"]

ERROR_GAIN = 4
"""Factor by which a strip amplifies the error."""


def strip(left: Tensor, made: Tensor, true: Tensor, right: Tensor) -> Tensor:
    """Join five pictures (3, H, W) side by side: the four given ones and the amplified error."""
    made = made.to(true.device)
    error = ((made - true).abs() * ERROR_GAIN).clamp(0, 1)
    return torch.cat((left, made, true, right, error), dim=2)


def to_json(value: Any) -> str:
    """Format ``value`` as JSON; numbers that are not finite, which JSON lacks, become null."""
    return json.dumps(_finite(value), indent=2)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to ``path`` under a temporary name first."""
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
