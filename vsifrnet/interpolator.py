"""Two pictures and a time to the picture between: pad, network, crop, reuse.

Everything that makes a frame goes through here: the filter, the command line, the benchmarks.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from vsifrnet.backend import Backend
from vsifrnet.network import IFRNet, Pair, pair_mean
from vsifrnet.weights import Weights

__all__ = ["HALVINGS", "SCALES", "Interpolator", "prepare"]

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Accepted resolutions of the flow, relative to the picture."""

HALVINGS = (2, 4, 8, 16)
"""Denominators of t that repeated halving reaches, for weights that ignore t."""


def prepare(weights: Weights, backend: Backend) -> IFRNet:
    """The network on its device, in its precision and memory layout."""
    network = weights.build().to(backend.device, backend.dtype)
    return network.to(memory_format=torch.channels_last)


class Interpolator:
    """Makes pictures between two, and keeps the last pair encoded for the next time t.

    Not thread-safe: one for each :class:`~vsifrnet.backend.Lane`. It holds one pair's pictures,
    features and (for weights that ignore t) halves, whatever order pairs are asked in.
    """

    def __init__(
        self,
        network: IFRNet,
        *,
        t_blind: bool = False,
        scale: float = 1.0,
        ensemble: bool = False,
    ) -> None:
        self._network = network
        self._device = next(network.parameters()).device
        self._t_blind = t_blind
        self._scale = scale
        self._multiple = int(16 / scale)
        # Mirrored runs whose results are averaged: as it is, left-right, upside down, both.
        self._flips: tuple[list[int], ...] = ([], [3], [2], [2, 3]) if ensemble else ([],)
        self._key: Hashable = None
        self._pairs: list[Pair] = []
        self._halves: dict[Fraction, Tensor] = {}

    @torch.inference_mode()
    def __call__(self, img0: Tensor, img1: Tensor, t: Fraction, *, key: Hashable = None) -> Tensor:
        """The picture at time ``t`` between ``img0`` (t = 0) and ``img1`` (t = 1).

        Args:
            img0, img1: (3, H, W), RGB in [0, 1], any device and floating-point type.
            t: between 0 and 1, both left out.
            key: names the pair. A call with the key of the call before it reuses the encoded
                pair, with the same result; None never does.

        Returns:
            (3, H, W), float32, in [0, 1], on the network's device.

        Raises:
            ValueError: ``t`` is out of reach for weights that ignore it.
        """
        if key is None or key != self._key:
            self._key, self._pairs, self._halves = None, [], {}
            self._pairs = self._encode(img0, img1)
            self._key = key
        if not self._t_blind:
            return self._decode(self._pairs, float(t))
        if t.denominator not in HALVINGS:
            raise ValueError(f"t={t}: these weights only make the middle of two pictures")
        return self._halve(img0, img1, t)

    def _encode(self, img0: Tensor, img1: Tensor) -> list[Pair]:
        both = torch.stack((img0, img1)).to(self._device, torch.float32)
        height, width = both.shape[2:]
        mean = pair_mean(both[:1], both[1:])
        # Replicated, the border neither shifts the mean nor puts an edge into the picture.
        both = F.pad(
            both,
            (0, -width % self._multiple, 0, -height % self._multiple),
            mode="replicate",
        )
        pairs = []
        for flip in self._flips:
            flipped = both.flip(flip)
            pairs.append(
                self._network.encode(flipped[:1], flipped[1:], scale=self._scale, mean=mean)
            )
        self._size = height, width
        return pairs

    def _decode(self, pairs: list[Pair], t: float) -> Tensor:
        time = torch.tensor([t], device=self._device)
        height, width = self._size
        pictures = [
            self._network.decode(pair, time).image.flip(flip)
            for pair, flip in zip(pairs, self._flips, strict=True)
        ]
        picture = pictures[0] if len(pictures) == 1 else torch.stack(pictures).mean(0)
        return picture[0, :, :height, :width]

    def _halve(self, img0: Tensor, img1: Tensor, t: Fraction) -> Tensor:
        """The middle, then the middle of a half, until ``t`` is reached."""
        middle = Fraction(1, 2)
        begin, end = Fraction(0), Fraction(1)
        while True:
            at = (begin + end) * middle
            if at not in self._halves:
                pairs = self._pairs if at == middle else self._encode(img0, img1)
                self._halves[at] = self._decode(pairs, 0.5)
            if at == t:
                return self._halves[at]
            if t < at:
                end, img1 = at, self._halves[at]
            else:
                begin, img0 = at, self._halves[at]
