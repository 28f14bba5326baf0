"""Whether bfloat16 is in the hardware: emulated it is many times slower than float32."""

from __future__ import annotations

import torch

from vsifrnet.engine.backend import resolve

__all__ = ["has_bfloat16"]


def has_bfloat16(device: torch.device) -> bool:
    """True where ``device`` multiplies bfloat16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return resolve(device).dtype == torch.bfloat16
