"""Runs the network on one pair after the other: as it is written, or as recorded CUDA graphs.

A runner holds one encoded pair. :class:`EagerRunner` calls the network; :class:`CudaGraphRunner`
records what an eager runner does for pictures of one size and then replays it, which takes two
launches in place of several hundred. Both give the same pictures: a recording is compared when it
is made.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from vsifrnet.engine.ops import blend, pair_mean
from vsifrnet.network import IFRNet, Pair

__all__ = ["EagerRunner", "RecordableRunner", "Runner"]


class Runner(Protocol):
    """Encodes a pair, then makes pictures at any number of times t. Not thread-safe."""

    def encode(self, img0: Tensor, img1: Tensor) -> None:
        """Replace the pair by two pictures (3, H, W), RGB, mostly in [0, 1].

        They may have more planes (4, H, W), which move as the colours do.
        """

    def decode(self, t: float) -> Tensor:
        """Return the picture at ``t``, float32, in [0, 1] or the range of the pair.

        It has as many planes as the pictures of the pair.
        """

    def clear(self) -> None:
        """Free the pair and everything that is kept for speed."""


class RecordableRunner(Runner, Protocol):
    """A runner of which nothing waits for the device, so that CUDA graphs can record it."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    def decode_at(self, t: Tensor) -> Tensor:
        """Return what :meth:`decode` does, for the time as a tensor (1,) on the device."""


class EagerRunner:
    """Calls the network, pads before it, crops after it, and averages mirrored runs."""

    def __init__(
        self,
        network: IFRNet,
        *,
        scale: float = 1.0,
        ensemble: bool = False,
        flows: bool = False,
    ) -> None:
        """With ``flows`` operators that make no flows are not used; see :meth:`estimate_at`."""
        self.device = next(network.parameters()).device
        self._network = network
        self._scale = scale
        self._flows = flows
        self._multiple = int(16 / scale)
        # Runs whose results are averaged: unchanged, mirrored left-right, upside down, and both.
        self._flips: tuple[list[int], ...] = ([], [3], [2], [2, 3]) if ensemble else ([],)
        self._pairs: list[Pair] = []
        self._more: list[Tensor] = []
        """Planes of the pair beside RGB, one tensor for each of its runs."""
        self._size = 0, 0

    def encode(self, img0: Tensor, img1: Tensor) -> None:
        """See :class:`Runner`; the pictures may be on any device, of any floating-point dtype."""
        self._pairs, self._more = [], []
        plain = self._scale == 1.0 and len(self._flips) == 1 and img0.shape[0] == 3
        if plain and not self._flows:
            images = img0.to(self.device), img1.to(self.device)
            if encoded := self._network.operators.encode(self._network, *images):
                self._pairs, self._size = [encoded], (img0.shape[1], img0.shape[2])
                return
        # On CUDA, half floats stay at half the bytes until full precision is needed.
        dtype = torch.float32 if self.device.type == "cpu" else img0.dtype
        pair = [img[None].to(self.device, dtype) for img in (img0, img1)]
        height, width = self._size = img0.shape[1], img0.shape[2]
        more = [img[:, 3:] for img in pair] if img0.shape[0] > 3 else []
        pair = [img[:, :3] for img in pair] if more else pair
        low, high = torch.aminmax(torch.stack([torch.stack(img.aminmax()) for img in pair]))
        # Values beyond [0, 1] (whiter than white, colours beyond RGB) are moved with the picture,
        # or they would flicker; the network only sees [0, 1], as in its training. On CUDA nothing
        # can be decided here, because that would wait for the device.
        beyond = self.device.type != "cpu" or bool((low < 0.0) | (high > 1.0))
        seen = [img.clamp(0.0, 1.0) for img in pair] if beyond else pair
        mean = pair_mean(*seen)
        right, bottom = -width % self._multiple, -height % self._multiple
        if right or bottom:
            # A replicated border neither shifts the mean nor adds an edge to the picture.
            border = partial(F.pad, pad=(0, right, 0, bottom), mode="replicate")
            pair, seen = [border(img) for img in pair], [border(img) for img in seen]
            more = [border(img) for img in more]
        for flip in self._flips:
            flipped = [img.flip(flip) for img in seen] if flip else seen
            encoded = self._network.encode(*flipped, scale=self._scale, mean=mean)
            if beyond:
                pictures = torch.cat([img.flip(flip) for img in pair] if flip else pair)
                pictures = pictures.float().sub_(mean)
                limits = low.clamp(max=0.0), high.clamp(min=1.0)
                encoded = replace(encoded, pictures=pictures, limits=limits)
            self._pairs.append(encoded)
            if more:
                self._more.append(torch.cat([img.flip(flip) for img in more]).float())

    def decode(self, t: float) -> Tensor:
        """See :class:`Runner`."""
        # Filled on the device: a copy from the host would wait for everything queued there.
        return self.decode_at(torch.full((1,), t, dtype=torch.float32, device=self.device))

    def decode_at(self, t: Tensor) -> Tensor:
        """Return what :meth:`decode` does, for the time as a tensor (1,) on the device."""
        return self._averaged([self._picture(run, t) for run in range(len(self._pairs))])

    def estimate_at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return what :meth:`decode_at` does, and the flows t -> 0 and t -> 1 (1, 4, H, W).

        Only for a runner made with ``flows``.
        """
        height, width = self._size
        first, flows = self._estimate(0, t)
        mirrored = [self._picture(run, t) for run in range(1, len(self._pairs))]
        return self._averaged([first, *mirrored]), flows[:, :, :height, :width]

    def _picture(self, run: int, t: Tensor) -> Tensor:
        """Return the padded picture of one of the runs."""
        if self._more:
            return self._estimate(run, t)[0]
        return self._network.picture(self._pairs[run], t)

    def _estimate(self, run: int, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the padded picture of one of the runs, and the flows that made it.

        Planes of the pair beside RGB are further channels of the picture. They take its flows and
        its mask, and stay in their range.
        """
        made = self._network.decode(self._pairs[run], t)
        flows = torch.cat((made.flows0[0], made.flows1[0]), dim=1)
        if not self._more:
            return made.image, flows
        more = self._more[run]
        planes = blend(more, flows, made.mask, self._network.sampling)
        return torch.cat((made.image, planes.clamp(*more.aminmax())), dim=1), flows

    def _averaged(self, pictures: list[Tensor]) -> Tensor:
        """Return the mean of the runs' pictures, mirrored back, without the padding."""
        height, width = self._size
        picture = pictures[0]
        if len(pictures) > 1:
            back = [made.flip(flip) for made, flip in zip(pictures, self._flips, strict=True)]
            picture = torch.stack(back).mean(0)
        return picture[0, :, :height, :width]

    def clear(self) -> None:
        """See :class:`Runner`."""
        self._pairs, self._more = [], []
