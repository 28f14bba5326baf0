"""Two pictures and a time to the picture between, reusing what pictures of a pair share.

Everything that makes a frame goes through here: the filter, the command line, the benchmarks.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from vsifrnet.engine.backend import Backend
from vsifrnet.engine.runner import CudaGraphRecorder, CudaGraphRunner, EagerRunner, Runner
from vsifrnet.network import IFRNet, aligned
from vsifrnet.weights.load import Weights

__all__ = ["HALVINGS", "Interpolator", "prepare"]

HALVINGS = (2, 4, 8, 16)
"""Denominators of t that repeated halving reaches, for weights that ignore t."""


def prepare(weights: Weights, backend: Backend) -> IFRNet:
    """The network on its device, in its precision and memory layout."""
    network = weights.build()
    if backend.device.type == "cuda" and backend.dtype != torch.float32:
        # Tensor cores read eight half-precision values at a time.
        network = aligned(network, 8)
    network = network.to(backend.device, backend.dtype)
    return network.to(memory_format=torch.channels_last)


class Interpolator:
    """Makes pictures between two, and keeps the last pair encoded for the next time t.

    Not thread-safe: each :class:`~vsifrnet.engine.workers.Worker` has its own. It holds one pair's
    pictures, features and (for weights that ignore t) halves, in whatever order pairs come.
    """

    def __init__(
        self,
        network: IFRNet,
        *,
        t_blind: bool = False,
        scale: float = 1.0,
        ensemble: bool = False,
    ) -> None:
        eager = EagerRunner(network, scale=scale, ensemble=ensemble)
        self._runner: Runner = eager
        if eager.device.type == "cuda":
            self._runner = CudaGraphRunner(eager, partial(CudaGraphRecorder, eager.device))
        self._t_blind = t_blind
        self._key: Hashable = None
        self._halves: dict[Fraction, Tensor] = {}

    @torch.inference_mode()
    def __call__(self, img0: Tensor, img1: Tensor, t: Fraction, *, key: Hashable = None) -> Tensor:
        """The picture at time ``t`` between ``img0`` (t = 0) and ``img1`` (t = 1).

        Args:
            img0, img1: (3, H, W), RGB, finite, any device and floating-point type. The network
                sees [0, 1] of it; what lies beyond is moved with the rest.
            t: between 0 and 1, both left out.
            key: names the pair. A call with the key of the call before it reuses the encoded
                pair, with the same result; None never does.

        Returns:
            (3, H, W), float32, in [0, 1] or the range of the pair, on the network's device.

        Raises:
            ValueError: ``t`` is out of reach for weights that ignore it.
        """
        if key is None or key != self._key:
            self._key, self._halves = None, {}
            self._runner.encode(img0, img1)
            self._key = key
        if not self._t_blind:
            return self._runner.decode(float(t))
        if t.denominator not in HALVINGS:
            raise ValueError(f"t={t}: these weights only make the middle of two pictures")
        return self._halve(img0, img1, t)

    def clear(self) -> None:
        """Free what is kept for the next call."""
        self._key, self._halves = None, {}
        self._runner.clear()

    def _halve(self, img0: Tensor, img1: Tensor, t: Fraction) -> Tensor:
        """The middle, then the middle of a half, until ``t`` is reached."""
        middle = Fraction(1, 2)
        begin, end = Fraction(0), Fraction(1)
        while True:
            at = (begin + end) * middle
            if at not in self._halves:
                if at != middle:  # the pair itself is encoded already
                    self._runner.encode(img0, img1)
                self._halves[at] = self._runner.decode(0.5)
            if at == t:
                return self._halves[at]
            if t < at:
                end, img1 = at, self._halves[at]
            else:
                begin, img0 = at, self._halves[at]
