"""What follows a convolution, in one kernel each.

cuDNN's result is read and written once more by the bias, by the residual and by the PReLU, and a
ResBlock's side is copied out and back. Here one kernel reads it once and writes it once.
"""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn

from vsifrnet.engine.kernels import launch
from vsifrnet.engine.kernels.launch import blocks, pixel_stride

__all__ = ["bias_prelu", "conv_prelu", "conv_refine", "up"]

BLOCK = 1024


@triton.jit
def _bias_prelu(
    y, bias, slope, residual, out, side, count, residual_stride, out_stride,
    channels: tl.constexpr, kept: tl.constexpr, has_residual: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    index = tl.program_id(0) * block + tl.arange(0, block)
    inside = index < count
    pixel, channel = index // channels, index % channels
    value = tl.load(y + index, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(bias + channel).to(tl.float32)
    if has_residual:
        added = tl.load(residual + pixel * residual_stride + channel, mask=inside, other=0.0)
        value += added.to(tl.float32)
    value = tl.where(value > 0, value, value * tl.load(slope + channel).to(tl.float32))
    if kept == channels:
        tl.store(out + pixel * out_stride + channel, value, mask=inside)
    else:
        tl.store(out + pixel * out_stride + channel, value, mask=inside & (channel < kept))
        place = side + pixel * (channels - kept) + channel - kept
        tl.store(place, value, mask=inside & (channel >= kept))


def bias_prelu(
    y: Tensor,
    bias: Tensor | None,
    slope: Tensor,
    *,
    residual: Tensor | None = None,
    out: Tensor | None = None,
    side: Tensor | None = None,
) -> None:
    """Write ``prelu(y + bias + residual)`` to ``out``, or over ``y`` (B, C, H, W).

    ``y`` and ``side`` are channels_last and dense; ``residual`` and ``out`` may be some channels of
    a larger tensor. ``side`` takes the last channels, which are then not written to ``out``.

    Traffic: reads y and residual, writes y. Eager: the bias reads and writes y, the residual reads
    both and writes y, the PReLU reads and writes y; the side is read and written twice more.
    """
    assert bias is not None
    channels = y.shape[1]
    out = y if out is None else out
    launch.launch(
        _bias_prelu,
        (blocks(y.numel(), BLOCK),),
        y,
        bias,
        slope,
        y if residual is None else residual,
        out,
        y if side is None else side,
        y.numel(),
        0 if residual is None else pixel_stride(residual),
        pixel_stride(out),
        channels=channels,
        kept=channels if side is None else channels - side.shape[1],
        has_residual=residual is not None,
        block=BLOCK,
    )


def conv_prelu(x: Tensor, conv: nn.Conv2d, slope: Tensor, residual: Tensor | None = None) -> Tensor:
    """See :meth:`vsifrnet.engine.operators.Operators.conv_prelu`."""
    y = _convolve(x, conv)
    bias_prelu(y, conv.bias, slope, residual=residual)
    return y


def conv_refine(x: Tensor, first: nn.Sequential, side: nn.Sequential) -> Tensor:
    """See :meth:`vsifrnet.engine.operators.Operators.conv_refine`.

    The side goes straight from the first convolution to the second, as a tensor of its own, and
    from there into its place.
    """
    (conv, slope), (side_conv, side_slope) = _parts(first), _parts(side)
    out = _convolve(x, conv)
    count = side_conv.in_channels
    part = torch.empty_like(out[:, :count], memory_format=torch.channels_last)
    bias_prelu(out, conv.bias, slope, side=part)
    refined = _convolve(part, side_conv)
    bias_prelu(refined, side_conv.bias, side_slope, out=out[:, -count:])
    return out


def _parts(block: nn.Sequential) -> tuple[nn.Conv2d, Tensor]:
    """The convolution of a block and the slopes of its PReLU."""
    conv, activation = block
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(activation, nn.PReLU)
    return conv, activation.weight


def _convolve(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """The convolution without its bias, which PyTorch would add in a pass of its own."""
    y = F.conv2d(x, conv.weight, None, conv.stride, conv.padding)
    return y.contiguous(memory_format=torch.channels_last)


@triton.jit
def _place(
    y, bias, out, count, height, width,
    channels: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    index = tl.program_id(0) * block + tl.arange(0, block)
    inside = index < count
    pixel, channel = index // channels, index % channels
    # The outermost row and column of what the convolution made are left out.
    column = pixel % (2 * width) + 1
    row = (pixel // (2 * width)) % (2 * height) + 1
    picture = pixel // (4 * width * height)
    source = (picture * (height + 1) + row // 2) * (width + 1) + column // 2
    group = (row % 2) * 2 + column % 2
    value = tl.load(y + (source * 4 + group) * channels + channel, mask=inside, other=0.0)
    value = value.to(tl.float32) + tl.load(bias + channel).to(tl.float32)
    tl.store(out + index, value, mask=inside)


def up(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """See :meth:`vsifrnet.engine.operators.Operators.up`.

    Traffic: reads and writes the result once. Eager: the bias and the copy into place each do.
    """
    y = F.conv2d(x, kernel, None, padding=1).contiguous(memory_format=torch.channels_last)
    batch, _, height, width = x.shape
    channels = len(bias)
    out = torch.empty(
        (batch, channels, 2 * height, 2 * width),
        dtype=y.dtype,
        device=y.device,
        memory_format=torch.channels_last,
    )
    launch.launch(
        _place,
        (blocks(out.numel(), BLOCK),),
        y,
        bias,
        out,
        out.numel(),
        height,
        width,
        channels=channels,
        block=BLOCK,
    )
    return out
