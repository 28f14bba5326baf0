"""Whether bfloat16 is in the hardware: emulated it is many times slower than float32."""

from __future__ import annotations

import torch

__all__ = ["has_bfloat16"]


def has_bfloat16(device: torch.device) -> bool:
    """True where ``device`` multiplies bfloat16 itself."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported()
    return False
