"""Interpolation between two pictures at any time t, reusing what the times of a pair share.

The filter, the command line and the evaluations all make their pictures with an
:class:`Interpolator`.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from vsifrnet.argument_table import HALVINGS
from vsifrnet.engine.backend import Backend
from vsifrnet.engine.cuda_graphs import CudaGraphRecorder, CudaGraphRunner
from vsifrnet.engine.runner import EagerRunner, Runner
from vsifrnet.network import IFRNet, aligned

__all__ = ["Interpolator", "prepare"]


def prepare(network: IFRNet, backend: Backend) -> IFRNet:
    """Return ``network`` on the device, in the precision and in the memory layout to run it."""
    if backend.device.type == "cuda" and backend.dtype != torch.float32:
        # Tensor cores read eight half-precision values at once.
        network = aligned(network, 8)
    network = network.to(backend.device, backend.dtype)
    return network.to(memory_format=torch.channels_last)


class Interpolator:
    """Makes pictures between two, and keeps the last pair encoded for the next time t.

    It is not thread-safe: each :class:`~vsifrnet.engine.workers.Worker` has its own. It holds the
    pictures and features of one pair, and for weights that ignore t the halves made so far.
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
        """Return the picture at time ``t`` between ``img0`` (t = 0) and ``img1`` (t = 1).

        Args:
            img0, img1: (3, H, W), RGB, finite, on any device, of any floating-point dtype. The
                network sees the values clamped to [0, 1]; values beyond are moved with the rest.
            t: above 0 and below 1.
            key: names the pair. A call with the same key as the previous call reuses the encoded
                pair, with the same result; a call with None never does.

        Returns:
            (3, H, W), float32, in [0, 1] or the range of the pair, on the network's device.

        Raises:
            ValueError: the weights ignore ``t`` and repeated halving does not reach it.
        """
        if key is None or key != self._key:
            self._key, self._halves = None, {}
            self._runner.encode(img0, img1)
            self._key = key
        if not self._t_blind:
            return self._runner.decode(float(t))
        if t.denominator not in HALVINGS:
            raise ValueError(
                f"t={t}: must be a multiple of 1/16, as these weights only make the middle frame"
            )
        return self._halve(img0, img1, t)

    def clear(self) -> None:
        """Free everything that is kept for the next call."""
        self._key, self._halves = None, {}
        self._runner.clear()

    def _halve(self, img0: Tensor, img1: Tensor, t: Fraction) -> Tensor:
        """Make the middle, then the middle of a half, until ``t`` is reached."""
        middle = Fraction(1, 2)
        begin, end = Fraction(0), Fraction(1)
        while True:
            at = (begin + end) * middle
            if at not in self._halves:
                if at != middle:  # The pair itself is encoded already.
                    self._runner.encode(img0, img1)
                self._halves[at] = self._runner.decode(0.5)
            if at == t:
                return self._halves[at]
            if t < at:
                end, img1 = at, self._halves[at]
            else:
                begin, img0 = at, self._halves[at]
