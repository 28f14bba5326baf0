"""Operators of the network for which PyTorch has no fast form, each beside its plain form.

Both forms of an operator compute the same, up to rounding. The plain form can be differentiated and
exported. In :class:`torch.inference_mode` the fast form is used, which moves less memory: the plain
form spends its time on memory traffic, not on arithmetic. docs/speed.md has the measurements.
Pictures, flows and features are ``(B, C, H, W)``; the fast forms are fast for features in
``channels_last`` order, where the C values of a pixel are adjacent.

This module imports torch and nothing else of the package that does.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsifrnet.engine.sampling import Sampling

__all__ = [
    "blend",
    "concatenate",
    "conv_prelu",
    "pair_mean",
    "prelu",
    "refine",
    "resize",
    "warp",
    "warp_both",
]

BAND = 16 << 20
"""Bytes of a convolution's output that are computed at a time on the CPU.

The C library of Linux keeps freed blocks of up to 32 MiB for the next tensor. It returns larger
blocks to the system, and getting them again page by page takes longer than filling them.
"""


def pair_mean(img0: Tensor, img1: Tensor) -> Tensor:
    """Return the mean of both pictures over all channels and pixels: (B, 1, 1, 1), float32."""

    def mean(img: Tensor) -> Tensor:
        # Rows are summed first, each by one thread, so the number of threads changes no bit.
        return img.float().mean(3, keepdim=True).mean((1, 2), keepdim=True)

    return (mean(img0) + mean(img1)) / 2


def resize(x: Tensor, factor: float) -> Tensor:
    """Resize (B, C, H, W) by ``factor``, bilinear, with pixels taken as areas."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Return x where x is positive, otherwise ``slope`` (C,) times x."""
    if x.is_cuda or not x.is_contiguous(memory_format=torch.channels_last):
        return F.prelu(x, slope)
    # PyTorch's inner loop covers the C values of one pixel. Rows of several pixels, with the slopes
    # repeated, make it longer and four times faster.
    batch, channels, height, width = x.shape
    pixels = batch * height * width
    together = next(n for n in (16, 8, 4, 2, 1) if pixels % n == 0)
    rows = x.permute(0, 2, 3, 1).reshape(pixels // together, together * channels)
    result = F.prelu(rows, slope.repeat(together))
    return result.view(batch, height, width, channels).permute(0, 3, 1, 2)


def conv_prelu(x: Tensor, conv: nn.Conv2d, slope: Tensor, residual: Tensor | None = None) -> Tensor:
    """Return ``prelu(conv(x) + residual)``."""
    kernel, stride, border = conv.kernel_size[0], conv.stride[0], conv.kernel_size[0] // 2
    height, width = (-(-side // stride) for side in x.shape[2:])
    row_bytes = width * conv.out_channels * x.element_size()
    rows = max(1, BAND // row_bytes)
    if x.is_cuda or not torch.is_inference_mode_enabled() or rows >= height:
        y = conv(x)
        if residual is not None:
            y = y.add_(residual) if torch.is_inference_mode_enabled() else y + residual
        return prelu(y, slope)
    out = torch.empty(
        (len(x), conv.out_channels, height, width), dtype=x.dtype, memory_format=torch.channels_last
    )
    for image, top in itertools.product(range(len(x)), range(0, height, rows)):
        bottom = min(top + rows, height)
        first, last = top * stride - border, (bottom - 1) * stride - border + kernel
        band = x[image : image + 1, :, max(first, 0) : last]
        missing = max(-first, 0), max(last - x.shape[2], 0)
        if any(missing):
            band = F.pad(band, (0, 0, *missing))
        y = F.conv2d(band, conv.weight, conv.bias, stride, (0, border))
        place = (slice(image, image + 1), slice(None), slice(top, bottom))
        if residual is not None:
            y += residual[place]
        out[place] = prelu(y, slope)
    return out


def refine(x: Tensor, conv: nn.Module, channels: int) -> Tensor:
    """Replace the last ``channels`` of ``x`` by ``conv`` of them; ``x`` may be overwritten."""
    rest, side = torch.split(x, [x.shape[1] - channels, channels], dim=1)
    if torch.is_inference_mode_enabled():
        side.copy_(conv(side))
        return x
    # The official code assigns to a slice; this is equal and can be differentiated and traced.
    return torch.cat((rest, conv(side)), dim=1)


def concatenate(*parts: Tensor, channels: int) -> Tensor:
    """Join parts along the channels, then zeros up to ``channels``, in the first part's dtype."""
    dtype = parts[0].dtype
    used = [part.shape[1] for part in parts]
    rest = channels - sum(used)
    if not torch.is_inference_mode_enabled():
        # With one part in another memory order the result would not be channels_last.
        order = torch.channels_last if parts[0].stride(1) == 1 else torch.contiguous_format
        cat = torch.cat([part.to(dtype, memory_format=order) for part in parts], dim=1)
        return F.pad(cat, (0, 0, 0, 0, 0, rest)) if rest else cat
    batch, _, height, width = parts[0].shape
    out = torch.empty(
        (batch, channels, height, width),
        dtype=dtype,
        device=parts[0].device,
        memory_format=torch.channels_last,
    )
    # torch.cat needs all parts in one dtype and memory order, and is not parallel on the CPU.
    places = torch.split(out, [*used, rest], dim=1)
    for part, place in zip(parts, places[:-1], strict=True):
        place.copy_(part)
    places[-1].zero_()
    return out


def warp(picture: Tensor, flow: Tensor, sampling: Sampling = "bilinear") -> Tensor:
    """Sample ``picture`` (B, C, H, W) at ``position + flow``; flow (B, 2, H, W) in pixels, float32.

    Positions outside are clamped to the border. The result has the dtype of ``picture``.
    """
    _, _, height, width = flow.shape
    x = torch.arange(width, device=flow.device, dtype=torch.float32)
    y = torch.arange(height, device=flow.device, dtype=torch.float32).view(-1, 1)
    # grid_sample takes positions in [-1, 1]; with align_corners=True these two are the centres of
    # the outermost pixels.
    step_x, step_y = 2.0 / max(width - 1, 1), 2.0 / max(height - 1, 1)
    grid_x = torch.add(x * step_x - 1.0, flow[:, 0], alpha=step_x)
    grid_y = torch.add(y * step_y - 1.0, flow[:, 1], alpha=step_y)
    grid = torch.stack((grid_x, grid_y), dim=-1)
    if flow.is_cuda or not torch.is_inference_mode_enabled():
        sampled = _grid_sample(picture.float(), grid, sampling)
    else:
        sampled = _grid_sample_in_bands(picture.float(), grid, sampling)
    return sampled.to(picture.dtype)


def _grid_sample(picture: Tensor, grid: Tensor, sampling: Sampling) -> Tensor:
    return F.grid_sample(picture, grid, mode=sampling, padding_mode="border", align_corners=True)


def _grid_sample_in_bands(picture: Tensor, grid: Tensor, sampling: Sampling) -> Tensor:
    # On the CPU grid_sample gives each thread whole pictures of the batch. So that more than two
    # threads have work, each picture is sampled as a batch of bands that all read from it.
    _, height, width, _ = grid.shape
    bands = math.gcd(height, 16)
    out = torch.empty((*picture.shape[:2], height, width), dtype=picture.dtype)
    for index, one in enumerate(picture):
        places = grid[index].view(bands, height // bands, width, 2)
        made = _grid_sample(one.expand(bands, -1, -1, -1), places, sampling)
        out[index].view(len(one), bands, -1).copy_(made.flatten(2).transpose(0, 1))
    return out


def warp_both(pictures: Tensor, flows: Tensor, sampling: Sampling = "bilinear") -> Tensor:
    """Warp pictures 0 by flow t -> 0 and pictures 1 by flow t -> 1.

    Args:
        pictures: (2 B, C, H, W): B pictures 0, then B pictures 1.
        flows: (B, 4, H, W), float32: flow t -> 0, then flow t -> 1.
        sampling: how to sample between pixels.

    Returns:
        (B, 2 C, H, W) in the dtype of ``pictures``: the warped pictures 0, then the warped
        pictures 1.
    """
    batch, _, height, width = flows.shape
    channels = pictures.shape[1]
    if sampling == "bicubic" or flows.is_cuda or not torch.is_inference_mode_enabled():
        # From (B, 4) to (2 B, 2), and back from (2 B, C) to (B, 2 C): views where B is 1.
        both = flows.reshape(batch, 2, 2, height, width).transpose(0, 1)
        warped = warp(pictures, both.reshape(2 * batch, 2, height, width), sampling)
        back = warped.reshape(2, batch, channels, height, width).transpose(0, 1)
        return back.reshape(batch, 2 * channels, height, width)
    # embedding_bag sums weighted rows of a table, in any precision; grid_sample needs float32 and
    # is slow on channels_last.
    table = pictures.permute(0, 2, 3, 1).reshape(-1, channels)
    places, weights = _corners(flows)
    warped = F.embedding_bag(
        places.view(-1, 4), table, mode="sum", per_sample_weights=weights.view(-1, 4).to(table)
    )
    return warped.view(batch, height, width, 2 * channels).permute(0, 3, 1, 2)


def blend(pictures: Tensor, flows: Tensor, mask: Tensor, sampling: Sampling = "bilinear") -> Tensor:
    """Warp both pictures and blend: ``mask * warped 0 + (1 - mask) * warped 1``.

    Args:
        pictures: (2 B, C, H, W), float32: B pictures 0, then B pictures 1.
        flows: (B, 4, H, W), float32: flow t -> 0, then flow t -> 1.
        mask: (B, 1, H, W), float32, in [0, 1].
        sampling: how to sample between pixels.

    Returns:
        (B, C, H, W), float32, within the range that each channel has in the pair.
    """
    if sampling == "bicubic" or flows.is_cuda or not torch.is_inference_mode_enabled():
        warped0, warped1 = warp_both(pictures, flows, sampling).chunk(2, dim=1)
        mixed = torch.lerp(warped1, warped0, mask)
        if sampling == "bilinear":
            return mixed
        # Bicubic sampling overshoots at hard edges. It is clamped to the range of the pair and not
        # to the pixels around the position: the true peak of a thin stroke lies between these.
        values = pictures.reshape(2, len(flows), pictures.shape[1], -1)
        least, most = (x[..., None, None] for x in (values.amin((0, 3)), values.amax((0, 3))))
        return torch.minimum(torch.maximum(mixed, least), most)
    # This is warp_both with the eight pixels of both pictures in one sum.
    batch, _, height, width = flows.shape
    table = pictures.permute(0, 2, 3, 1).reshape(-1, pictures.shape[1])
    places, weights = _corners(flows)
    weights[:, :, :, 0] *= mask[:, 0, :, :, None]
    weights[:, :, :, 1] *= 1.0 - mask[:, 0, :, :, None]
    mixed = F.embedding_bag(
        places.view(-1, 8), table, mode="sum", per_sample_weights=weights.view(-1, 8)
    )
    return mixed.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _corners(flows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the four pixels around each position that flows (B, 4, H, W) lead to.

    Returns:
        Indices of pixels of (2 B, H, W) pictures, int32, and their bilinear weights, float32, of
        sum 1. Both are (B, H, W, 2, 4), where the last dimension but one is picture 0 or 1.
    """
    batch, _, height, width = flows.shape
    x = torch.arange(width, dtype=torch.float32)
    y = torch.arange(height, dtype=torch.float32).view(-1, 1)
    x = (x + flows[:, 0::2]).clamp_(0, width - 1)  # (B, 2, H, W)
    y = (y + flows[:, 1::2]).clamp_(0, height - 1)
    left = x.to(torch.int32).clamp_(max=max(width - 2, 0))
    top = y.to(torch.int32).clamp_(max=max(height - 2, 0))
    x -= left
    y -= top
    # Index of pixel (0, 0) of each picture; picture 1 of a pair is B pictures after picture 0.
    origin = torch.arange(2 * batch, dtype=torch.int32).mul_(height * width)
    corner = top.mul_(width).add_(left).add_(origin.view(2, batch).t()[:, :, None, None])
    right, below = min(width - 1, 1), min(height - 1, 1) * width

    places = torch.empty((batch, height, width, 2, 4), dtype=torch.int32)
    weights = torch.empty((batch, height, width, 2, 4), dtype=torch.float32)
    # These views have the axes in the order of x and y.
    place, weight = places.permute(4, 0, 3, 1, 2), weights.permute(4, 0, 3, 1, 2)
    for index, step in enumerate((0, right, below, below + right)):
        torch.add(corner, step, out=place[index])
    xy = x * y
    weight[3] = xy
    torch.sub(y, xy, out=weight[2])
    torch.sub(x, xy, out=weight[1])
    torch.sub(1.0 - y, x.sub_(xy), out=weight[0])
    return places, weights
