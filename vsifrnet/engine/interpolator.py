"""Interpolation between two pictures at any time t, reusing what the times of a pair share.

The filter, the command line and the evaluations all make their pictures with an
:class:`Interpolator`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from vsifrnet.argument_table import AUTO, HALVINGS
from vsifrnet.engine.align import aligned
from vsifrnet.engine.alpha import multiplied, opaque, straight
from vsifrnet.engine.backend import DTYPES, Backend, describe
from vsifrnet.engine.cuda_graphs import CudaGraphRecorder, CudaGraphRunner
from vsifrnet.engine.motion import MotionRunner
from vsifrnet.engine.operators import Up
from vsifrnet.engine.runner import EagerRunner, RecordableRunner, Runner
from vsifrnet.errors import InputError
from vsifrnet.network import IFRNet

__all__ = ["Fp32Fallback", "Interpolator", "prepare"]

log = logging.getLogger("vsifrnet")


def prepare(network: IFRNet, backend: Backend) -> IFRNet:
    """Return ``network`` on the device, in the precision and in the memory layout to run it."""
    if backend.device.type == "cuda" and backend.dtype != torch.float32:
        # Tensor cores read eight half-precision values at once.
        network = aligned(network, 8, encoder=backend.kernels)
    network = network.to(backend.device, backend.dtype).to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, Up):
            module.freeze()
    if backend.kernels:
        from vsifrnet.engine.kernels import Kernels  # which imports Triton

        network.use(Kernels())
    return network


class Fp32Fallback:
    """Makes the network in fp32, once for all interpolators, and warns of it. Thread-safe."""

    def __init__(self, build: Callable[[], IFRNet], backend: Backend) -> None:
        """``build`` makes the network before :func:`prepare`; ``backend`` is the one in use."""
        self._build = build
        self._backend = backend
        self._network: IFRNet | None = None
        self._lock = threading.Lock()

    def __call__(self) -> IFRNet:
        """Return the network in fp32."""
        with self._lock:
            if self._network is None:
                log.warning("ifrnet: fp32 is used: %s makes NaN", self._backend)
                fp32 = replace(self._backend, dtype=torch.float32)
                self._network = prepare(self._build(), fp32)
            return self._network


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
        scale: float | Literal["auto"] = 1.0,
        ensemble: bool = False,
        fallback: Callable[[], IFRNet] | None = None,
    ) -> None:
        """``fallback`` makes the network to use if the first picture of ``network`` is not finite.

        Without it such a network is refused.
        """
        self._network = network
        self._fallback = fallback
        self._is_checked = network.dtype == torch.float32
        self._scale: float | Literal["auto"] = scale
        self._ensemble = ensemble
        self._runner = self._make_runner(network)
        self._t_blind = t_blind
        self._key: Hashable = None
        self._halves: dict[Fraction, Tensor] = {}

    @torch.inference_mode()
    def __call__(self, img0: Tensor, img1: Tensor, t: Fraction, *, key: Hashable = None) -> Tensor:
        """Return the picture at time ``t`` between ``img0`` (t = 0) and ``img1`` (t = 1).

        Args:
            img0, img1: (3, H, W), RGB, finite, on any device, of any floating-point dtype. The
                network sees the values clamped to [0, 1]; values beyond are moved with the rest.
                With (4, H, W) the last plane is alpha, which moves as the colours do; a picture
                without it is opaque.
            t: above 0 and below 1.
            key: names the pair. A call with the same key as the previous call reuses the encoded
                pair, with the same result; a call with None never does.

        Returns:
            (3, H, W), float32, in [0, 1] or the range of the pair, on the network's device; with
            alpha (4, H, W).

        Raises:
            ValueError: the weights ignore ``t`` and repeated halving does not reach it.
            InputError: the precision of the network makes NaN on its device.
        """
        plain = img0.shape[0] == 3 == img1.shape[0]
        interpolate = self._interpolate if plain else self._interpolate_alpha
        picture = interpolate(img0, img1, t, key)
        if not self._is_checked:
            if not bool(picture.isfinite().all()):
                self._fall_back()
                picture = interpolate(img0, img1, t, key)
            self._is_checked = True
        return picture

    def _make_runner(self, network: IFRNet) -> Runner:
        eager: RecordableRunner
        if self._scale == AUTO:
            eager = MotionRunner(EagerRunner(network, ensemble=self._ensemble, flows=True))
        else:
            eager = EagerRunner(network, scale=self._scale, ensemble=self._ensemble)
        if eager.device.type != "cuda":
            return eager
        return CudaGraphRunner(eager, partial(CudaGraphRecorder, eager.device))

    def _fall_back(self) -> None:
        """Replace a network that makes NaN; some GPUs do in fp16, such as the GTX 16 series."""
        if self._fallback is None:
            name = next(name for name, dtype in DTYPES.items() if dtype == self._network.dtype)
            device = describe(next(self._network.parameters()).device)
            raise InputError(f"precision={name!r}: must be 'fp32' on {device}, which makes NaN")
        self.clear()
        self._network = self._fallback()
        self._runner = self._make_runner(self._network)

    def _interpolate_alpha(self, img0: Tensor, img1: Tensor, t: Fraction, key: Hashable) -> Tensor:
        pair = opaque(img0), opaque(img1)
        made = self._interpolate(multiplied(pair[0]), multiplied(pair[1]), t, key)
        return straight(made, pair)

    def _interpolate(self, img0: Tensor, img1: Tensor, t: Fraction, key: Hashable) -> Tensor:
        if not self._network.operators.proven:
            from vsifrnet.engine.kernels import settle

            settle(
                self._network, img0[:3], img1[:3], scale=1.0 if self._scale == AUTO else self._scale
            )
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

    def stop_recording(self) -> bool:
        """Run without CUDA graphs, which need more memory; return False if there were none."""
        runner = self._runner
        return isinstance(runner, CudaGraphRunner) and runner.stop_recording(
            "the device's memory is too small for them"
        )

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
