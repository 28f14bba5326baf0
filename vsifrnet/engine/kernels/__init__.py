"""The network's operators as Triton kernels, each of which moves its tensors once.

Eager, a made 1080p frame moves several times what its convolutions read and write; docs/speed.md
has the table. An H100 has shown the kernels right and twice as fast as the eager operators, so they
are on where Triton is installed; ``kernels`` of :func:`vsifrnet.engine.backend.resolve` is the
switch. Only then is this package imported, because Triton comes with PyTorch for CUDA alone. The
first pair is compared with the eager operators, see :func:`settle`. With ``TRITON_INTERPRET=1`` in
the environment the kernels run on the CPU, slowly, for tests.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsifrnet.engine.kernels import convolution, pictures, synthesis, warping
from vsifrnet.engine.memory import RECORDING, is_out_of_memory
from vsifrnet.engine.operators import EAGER, Operators
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.engine.sampling import Sampling
from vsifrnet.network import IFRNet, Pair

__all__ = ["Kernels", "settle"]

log = logging.getLogger("vsifrnet")

TOLERANCE = 1 / 256
"""How far, root mean square, the first picture may be from the eager one: an 8-bit step.

In half precision both are half of that from the picture in single precision at most.
"""


@dataclass(frozen=True, kw_only=True)
class RangedPair(Pair):
    """A pair that the kernels have encoded, with what bicubic sampling needs beside it."""

    ranges: Tensor
    """(B, 2, 3), float32: each channel's least and largest value in both pictures."""


class Kernels(Operators):
    """The operators as kernels. They are for inference: nothing can be differentiated."""

    def __init__(self) -> None:
        self.proven = False  # until :func:`settle`

    def conv_prelu(
        self, x: Tensor, conv: nn.Conv2d, slope: Tensor, residual: Tensor | None = None
    ) -> Tensor:
        """See :class:`Operators`."""
        return convolution.conv_prelu(x, conv, slope, residual)

    def conv_refine(self, x: Tensor, first: nn.Sequential, side: nn.Sequential) -> Tensor:
        """See :class:`Operators`."""
        return convolution.conv_refine(x, first, side)

    def join_warped(self, ft: Tensor, level: Tensor, flow: Tensor, channels: int) -> Tensor:
        """See :class:`Operators`."""
        return warping.join_warped(ft, level, flow, channels)

    def add_flow(self, out: Tensor, flow: Tensor) -> Tensor:
        """See :class:`Operators`."""
        return warping.add_flow(out, flow)

    def up(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """See :class:`Operators`."""
        return convolution.up(x, kernel, bias)

    def encode(self, network: IFRNet, img0: Tensor, img1: Tensor) -> Pair:
        """See :class:`Operators`."""
        loaded = pictures.load_pair(
            img0, img1, multiple=16, channels=network.encoder.in_channels, dtype=network.dtype
        )
        return RangedPair(
            pictures=loaded.pictures,
            mean=loaded.mean,
            features=network.encoder(loaded.seen),
            scale=1.0,
            limits=loaded.limits,
            ranges=loaded.ranges[None],
        )

    def synthesize(self, out: Tensor, flow: Tensor, pair: Pair, sampling: Sampling) -> Tensor:
        """See :class:`Operators`."""
        limits, ranges = pair.limits, None
        if limits is None:
            limits = pair.mean.new_zeros(()), pair.mean.new_ones(())
        if sampling == "bicubic":
            if isinstance(pair, RangedPair):
                ranges = pair.ranges
            else:
                values = pair.pictures.reshape(2, len(flow), 3, -1)
                ranges = torch.stack((values.amin((0, 3)), values.amax((0, 3))), 1)
                ranges = ranges + pair.mean.view(-1, 1, 1)
        return synthesis.synthesize(out, flow, pair.pictures, pair.mean, limits, ranges)


def settle(network: IFRNet, img0: Tensor, img1: Tensor, *, scale: float = 1.0) -> None:
    """Compare the kernels with the eager operators on the first pair (3, H, W), once a network.

    Where the pictures differ, or a kernel fails, a warning says so and the network goes on eager.
    """
    # What compiles and loads kernels keeps out of the recordings of other threads.
    with RECORDING:
        kernels = network.operators
        if not isinstance(kernels, Kernels) or kernels.proven:
            return
        reason = None
        runner = EagerRunner(network, scale=scale)
        try:
            runner.encode(img0, img1)
            made = runner.decode(0.25)
            network.use(EAGER)
            runner.encode(img0, img1)
            error = float((made - runner.decode(0.25)).square().mean().sqrt())
            if not error <= TOLERANCE:
                reason = f"their picture is off by {error:g}, root mean square"
        except Exception as error:  # of Triton's compiler, the driver or a kernel
            if is_out_of_memory(error, runner.device):
                raise
            reason = f"{type(error).__name__}: {error}"
        finally:
            network.use(kernels)
        if reason is None:
            kernels.proven = True
            return
        log.warning("ifrnet: Triton kernels are not used: %s", reason)
        network.use(EAGER)
