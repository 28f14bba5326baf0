"""One training sample, and the random numbers behind it.

A data set here is a map from an index to a sample, and nothing else decides what a sample is:
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

__all__ = ["Batch", "DataSet", "Field", "Mixture", "Picture", "Sample", "collate", "generator"]

Picture = NDArray[np.uint8]
"""(H, W, 3), RGB."""
Field = NDArray[np.float32]
"""(H, W, 4): flow t -> 0 (x, y) and flow t -> 1 (x, y), in pixels."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Two pictures, the one between them that is to be made, and where it came from."""

    img0: Picture
    imgt: Picture
    """The target."""
    img1: Picture
    t: float
    flow: Field | None = None
    """None where no flow is known."""


class DataSet(Protocol):
    """Samples by index. Endless ones repeat or draw anew, so any index >= 0 is allowed."""

    def sample(self, index: int) -> Sample:
        """Sample ``index``: always the same one."""
        ...


def generator(*key: int) -> np.random.Generator:
    """Random numbers that depend on the key alone."""
    return np.random.default_rng(key)


class Mixture:
    """Several data sets drawn by share, as one.

    Args:
        parts: each data set with its share; the shares need not add up to 1.
        seed: decides which part an index falls to.
    """

    def __init__(self, parts: Sequence[tuple[DataSet, float]], *, seed: int) -> None:
        self.sets = [part for part, _ in parts]
        shares = np.array([share for _, share in parts], dtype=np.float64)
        self.shares = shares / shares.sum()
        self.seed = seed

    def sample(self, index: int) -> Sample:
        """Sample ``index`` of the part that the index falls to."""
        part = generator(self.seed, index, 1).choice(len(self.sets), p=self.shares)
        return self.sets[part].sample(index)


@dataclass(kw_only=True)
class Batch:
    """Samples as tensors: pictures as bytes out of :func:`collate`, as numbers after ``to``.

    A worker process, and then the bus, so carries a quarter of what it would.
    """

    img0: Tensor
    """(B, 3, H, W), uint8, or float32 in [0, 1]; so are ``imgt`` and ``img1``."""
    imgt: Tensor
    img1: Tensor
    t: Tensor
    """(B,)"""
    flow: Tensor
    """(B, 4, H, W), t -> 0 and t -> 1; zero where unknown."""
    flow_known: Tensor
    """(B,), 1 where the sample's flow is known, else 0."""

    def pin_memory(self) -> Batch:
        """The batch in pinned memory; ``DataLoader`` calls this."""
        return Batch(**{name: value.pin_memory() for name, value in vars(self).items()})

    def to(self, device: torch.device) -> Batch:
        """The batch on ``device``, pictures as float32 in channels_last order."""
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        for name in ("img0", "imgt", "img1"):
            picture = moved[name].contiguous(memory_format=torch.channels_last)
            moved[name] = picture / 255.0 if picture.dtype == torch.uint8 else picture
        return Batch(**moved)


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples of one size to a batch."""

    def pictures(arrays: Sequence[Picture]) -> Tensor:
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
