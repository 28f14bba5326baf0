"""Validation during training: PSNR on held-out synthetic motion, by pace, and on clips."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from statistics import fmean

import torch

from vsifrnet.errors import DataError
from vsifrnet.evaluation.metrics import HIGHEST_PSNR, psnr
from vsifrnet.network import IFRNet
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.lettering import Fonts
from vsifrnet.training.data.sample import DataSet, Sample, collate
from vsifrnet.training.data.synthetic import PACES, LayeredMotion
from vsifrnet.training.data.videos import Choice, find_triplets

__all__ = ["ClipTriplets", "synthetic_sets", "validate"]


def synthetic_sets(
    assets: Assets, fonts: Fonts | None = None, *, size: int = 160, t: float = 0.5
) -> dict[str, DataSet]:
    """Return a data set of clean scenes, from the pictures of ``assets``, for each pace.

    With ``fonts`` some scenes have lettering, as in training with fonts.
    """
    return {
        pace: LayeredMotion(assets, size=size, seed=2**31, t=t, clean=True, pace=pace, fonts=fonts)
        for pace in PACES
    }


class ClipTriplets:
    """A data set of a video's frames with their neighbours, at most one in every 24 frames.

    Cuts, still pairs and held drawings are left out, as in training data. Pictures are cut out of
    the middle of the frames, up to 448x256.

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
                raise DataError(f"{path}: frames of {width}x{height}; must be at least 16x16")
            top, left = (height - high) // 2, (width - wide) // 2
            img0, imgt, img1 = (x[top : top + high, left : left + wide] for x in pictures)
            self._samples.append(Sample(img0=img0, imgt=imgt, img1=img1, t=0.5))
        if not self._samples:
            raise DataError(
                f"{path}: has no frame to validate on; all frames are static or at a cut"
            )

    def sample(self, index: int) -> Sample:
        """Return sample ``index``; the samples repeat after the last one."""
        return self._samples[index % len(self._samples)]


@torch.inference_mode()
def validate(
    network: IFRNet, sets: dict[str, DataSet], *, samples: int = 16, batch: int = 4
) -> dict[str, float]:
    """Return the mean PSNR over the first samples of each set, and ``mean`` over the sets.

    A PSNR counts for at most ``HIGHEST_PSNR``, because frames can be equal.
    """
    device = next(network.parameters()).device
    result = {}
    for name, data in sets.items():
        values: list[float] = []
        for first in range(0, samples, batch):
            numbers = range(first, min(samples, first + batch))
            chunk = collate([data.sample(i) for i in numbers]).to(device)
            made = network(chunk.img0, chunk.img1, chunk.t)
            values += map(psnr, made, chunk.imgt)
        result[name] = fmean(min(value, HIGHEST_PSNR) for value in values)
    result["mean"] = fmean(result.values())
    return result
