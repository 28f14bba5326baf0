"""Validation while training: PSNR on held-out synthetic motion, by how much moves."""

from __future__ import annotations

import torch
from torch import Tensor

from vsifrnet.network import IFRNet
from vsifrnet.training.assets import Assets
from vsifrnet.training.sample import DataSet, collate
from vsifrnet.training.synthetic import PACES, LayeredMotion

__all__ = ["psnr", "synthetic_sets", "validate"]


def psnr(picture: Tensor, target: Tensor) -> Tensor:
    """PSNR in dB of each picture (B, 3, H, W) in [0, 1]: (B,); equal pictures give 100."""
    error = (picture - target).square().mean(dim=(1, 2, 3))
    return -10 * error.clamp_min(1e-10).log10()


def synthetic_sets(assets: Assets, *, size: int = 160, t: float = 0.5) -> dict[str, DataSet]:
    """A clean data set of each pace, never trained on where ``assets`` are the held-out ones."""
    return {
        pace: LayeredMotion(assets, size=size, seed=2**31, t=t, clean=True, pace=pace)
        for pace in PACES
    }


@torch.inference_mode()
def validate(
    network: IFRNet, sets: dict[str, DataSet], *, samples: int = 16, batch: int = 4
) -> dict[str, float]:
    """Mean PSNR of ``network`` over the first samples of each set, and ``mean`` over the sets.

    Where a set is of pairs that are equal (``still``), PSNR is clamped to 60 dB: beyond that,
    8-bit pictures do not tell, and one perfect pair would outweigh the rest.
    """
    device = next(network.parameters()).device
    result = {}
    for name, data in sets.items():
        values = []
        for first in range(0, samples, batch):
            numbers = range(first, min(samples, first + batch))
            chunk = collate([data.sample(i) for i in numbers]).to(device)
            made = network(chunk.img0, chunk.img1, chunk.t)
            values.append(psnr(made, chunk.imgt).clamp_max(60.0).cpu())
        result[name] = float(torch.cat(values).mean())
    result["mean"] = sum(result.values()) / len(result)
    return result
