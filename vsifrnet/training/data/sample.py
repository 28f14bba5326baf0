"""Training samples, batches, and the random numbers behind them.

A data set maps an index to a sample, and nothing else decides what a sample is:
sample ``i`` of seed ``s`` is the same in any process, in any order, before and after a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Batch", "DataSet", "Field", "Mixture", "Pixels", "Sample", "collate", "generator"]

Pixels = NDArray[np.uint8]
"""The pixels of a picture (H, W, 3), RGB."""
Field = NDArray[np.float32]
"""A flow field (H, W, 4): the flow t -> 0 (x, y) and the flow t -> 1 (x, y), in pixels."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Two pictures, the target between them, its time and its flow."""

    img0: Pixels
    imgt: Pixels
    """The target at time ``t``."""
    img1: Pixels
    t: float
    """The target's time, between 0 (``img0``) and 1 (``img1``)."""
    flow: Field | None = None
    """Flow from the target to both pictures; None where it is not known."""


class DataSet(Protocol):
    """Samples by index; every index from 0 is allowed, also beyond the number of pictures."""

    def sample(self, index: int) -> Sample:
        """Return sample ``index``; it is the same in every call."""
        ...


def generator(*key: int) -> np.random.Generator:
    """Return a random number generator that is seeded by ``key`` alone."""
    return np.random.default_rng(key)


class Mixture:
    """Joins several data sets into one, each with its share of the samples.

    Args:
        parts: the data sets with their shares, which need not add up to 1.
        seed: the seed that assigns indices to parts.
    """

    def __init__(self, parts: Sequence[tuple[DataSet, float]], *, seed: int) -> None:
        self.sets = [part for part, _ in parts]
        shares = np.array([share for _, share in parts], dtype=np.float64)
        self.shares = shares / shares.sum()
        self.seed = seed

    def sample(self, index: int) -> Sample:
        """Return sample ``index`` of the part that the index is assigned to."""
        part = generator(self.seed, index, 1).choice(len(self.sets), p=self.shares)
        return self.sets[part].sample(index)


@dataclass(kw_only=True)
class Batch:
    """Samples as tensors.

    Pictures are bytes until :meth:`to` moves them to the device, so that worker processes and the
    bus carry a quarter of what float32 would be.
    """

    img0: Tensor
    """First pictures (B, 3, H, W), uint8 or float32 in [0, 1], as ``imgt`` and ``img1`` are."""
    imgt: Tensor
    img1: Tensor
    t: Tensor
    """Times of the targets (B,)."""
    flow: Tensor
    """Flow (B, 4, H, W), t -> 0 and t -> 1; zero where it is not known."""
    flow_known: Tensor
    """Tensor (B,), 1 if the sample's flow is known, else 0."""

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory; ``DataLoader`` calls this."""
        return Batch(**{name: value.pin_memory() for name, value in vars(self).items()})

    def to(self, device: torch.device) -> Batch:
        """Return the batch on ``device``, with pictures as float32 in channels_last order."""
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        for name in ("img0", "imgt", "img1"):
            picture = moved[name].contiguous(memory_format=torch.channels_last)
            moved[name] = picture / 255.0 if picture.dtype == torch.uint8 else picture
        return Batch(**moved)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of the same size into a batch."""

    def pictures(arrays: Sequence[Pixels]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)

    height, width = samples[0].imgt.shape[:2]
    unknown = np.zeros((height, width, 4), dtype=np.float32)
    flows = np.stack([unknown if s.flow is None else s.flow for s in samples])
    return Batch(
        img0=pictures([s.img0 for s in samples]),
        imgt=pictures([s.imgt for s in samples]),
        img1=pictures([s.img1 for s in samples]),
        t=torch.tensor([s.t for s in samples], dtype=torch.float32),
        flow=torch.from_numpy(flows).permute(0, 3, 1, 2).contiguous(),
        flow_known=torch.tensor([float(s.flow is not None) for s in samples]),
    )
