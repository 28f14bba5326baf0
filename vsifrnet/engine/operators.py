"""The operators of the network as one object, so that a network can be given another set.

:class:`Operators` has the eager form of each, see :mod:`~vsifrnet.engine.ops`. The Triton kernels
in :mod:`vsifrnet.engine.kernels` are a subclass that overrides those that it has a kernel for.

This module imports torch only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsifrnet.engine import ops
from vsifrnet.engine.sampling import Sampling

if TYPE_CHECKING:
    from vsifrnet.network import IFRNet, Pair

__all__ = ["EAGER", "Operators", "Up"]


class Operators:
    """Has the eager operators. Flows are (B, 4, H, W), float32: t -> 0, then t -> 1."""

    proven = True
    """False until a picture has been compared with the eager one."""

    def conv_prelu(
        self, x: Tensor, conv: nn.Conv2d, slope: Tensor, residual: Tensor | None = None
    ) -> Tensor:
        """Return ``prelu(conv(x) + residual)``."""
        return ops.conv_prelu(x, conv, slope, residual)

    def conv_refine(self, x: Tensor, first: nn.Sequential, side: nn.Sequential) -> Tensor:
        """Return ``first(x)`` with its last channels replaced by ``side`` of them.

        Both are a convolution and a PReLU; ``side`` has fewer channels.
        """
        slopes = side[1]
        assert isinstance(slopes, nn.PReLU)
        return ops.refine(first(x), side, slopes.num_parameters)

    def join_warped(self, ft: Tensor, level: Tensor, flow: Tensor, channels: int) -> Tensor:
        """Return a decoder's input: ``ft``, both pictures' warped features, and the flow.

        Args:
            ft: (B, C, H, W), features that the coarser decoder made.
            level: (2 B, C', H, W): features of B pictures 0, then of B pictures 1.
            flow: a flow of the same size, by which the features are warped.
            channels: number of channels of the result, in the dtype of ``ft``; zeros fill it up.
        """
        return ops.concatenate(ft, ops.warp_both(level, flow), flow, channels=channels)

    def add_flow(self, out: Tensor, flow: Tensor) -> Tensor:
        """Return ``flow`` at twice its size plus its change, the first channels of ``out``."""
        # Planar, because resize is ten times slower on four channels in channels_last order.
        change = out[:, :4].to(torch.float32, memory_format=torch.contiguous_format)
        return torch.add(change, ops.resize(flow, 2.0), alpha=2.0)

    def up(self, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """Return what :class:`Up` does, by ``kernel`` (4 C, C', 2, 2) and ``bias`` (C,)."""
        # An output pixel sees 2 x 2 input pixels, so one 2 x 2 convolution makes the four pixels
        # that lie in between them, as 4 C channels; these only have to be put in their place.
        y = F.conv2d(x, kernel, bias.repeat(4), padding=1)
        batch, _, height, width = y.shape
        channels = len(bias)
        y = y.permute(0, 2, 3, 1).reshape(batch, height, width, 2, 2, channels).transpose(2, 3)
        y = y.reshape(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
        return y[:, :, 1:-1, 1:-1]

    def encode(self, network: IFRNet, img0: Tensor, img1: Tensor) -> Pair | None:
        """Return the encoded pair (3, H, W) for scale 1, or None where there is no kernel."""
        return None

    def synthesize(
        self, out: Tensor, flow: Tensor, pair: Pair, sampling: Sampling
    ) -> Tensor | None:
        """Return the picture from the last decoder's output, or None where there is no kernel.

        Args:
            out: (B, 8, H, W): the change of both flows, the mask before its sigmoid, the residual.
            flow: (B, 4, H / 2, W / 2).
            pair: a pair of scale 1.
            sampling: how its pictures are sampled.
        """
        return None


EAGER = Operators()


class Up(nn.ConvTranspose2d):
    """A transposed convolution with kernel 4 and stride 2, which doubles the resolution."""

    operators = EAGER

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1)
        self._frozen: Tensor | None
        self.register_buffer("_frozen", None, persistent=False)

    def freeze(self) -> None:
        """Prepare the kernel of :meth:`Operators.up`, once the weights change no more."""
        self._frozen = self._kernel().contiguous(memory_format=torch.channels_last)

    def _kernel(self) -> Tensor:
        ins, outs = self.weight.shape[:2]
        # Kernel row 2 (1 - a) + p is what input row a of the window gives to output row p.
        taps = self.weight.view(ins, outs, 2, 2, 2, 2).flip(2, 4)  # (in, out, a, p, b, q)
        return taps.permute(3, 5, 1, 0, 2, 4).reshape(4 * outs, ins, 2, 2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return (B, out_channels, 2 H, 2 W) from (B, in_channels, H, W)."""
        if not torch.is_inference_mode_enabled():
            return super().forward(x, output_size)
        assert self.bias is not None
        kernel = self._kernel() if self._frozen is None else self._frozen
        return self.operators.up(x, kernel, self.bias)
