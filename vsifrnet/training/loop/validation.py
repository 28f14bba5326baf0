"""Validation while training: PSNR on held-out synthetic motion, by how much moves, and on clips."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from vsifrnet.errors import DataError
from vsifrnet.network import IFRNet
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.sample import DataSet, Sample, collate
from vsifrnet.training.data.synthetic import PACES, LayeredMotion
from vsifrnet.training.data.videos import Choice, find_triplets

__all__ = ["ClipTriplets", "psnr", "synthetic_sets", "validate"]


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


class ClipTriplets:
    """Frames of a video that are made again from their neighbours, at most one a second or so.

    Cuts, still pairs and held drawings are left out, as in what is trained on; the pictures are
    their middles of up to 448x256.

    Raises:
        DataError: the file is no video, or nothing in it moves.
    """

    def __init__(self, path: Path, *, count: int = 16) -> None:
        choice = Choice(every=24)
        self._samples = []
        for _, pictures in islice(find_triplets(path, choice), count):
            height, width, _ = pictures[0].shape
            high, wide = (
                min(side, most) // 16 * 16
                for side, most in ((height, choice.height), (width, choice.width))
            )
            if not high or not wide:
                raise DataError(
                    f"{path} has pictures of {width}x{height}: accepted is 16x16 or more"
                )
            top, left = (height - high) // 2, (width - wide) // 2
            img0, imgt, img1 = (x[top : top + high, left : left + wide] for x in pictures)
            self._samples.append(Sample(img0=img0, imgt=imgt, img1=img1, t=0.5))
        if not self._samples:
            raise DataError(f"nothing to validate on in {path}: everything is static or a cut")

    def sample(self, index: int) -> Sample:
        """Sample ``index``; after the last comes the first again."""
        return self._samples[index % len(self._samples)]


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
