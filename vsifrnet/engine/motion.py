"""``scale="auto"``: the network's picture, and beside it what whole layers that move show.

The network is at its best where motion is small and complex. Where a layer moves as a whole (a pan,
a roll of lettering, a zoom), the two pictures moved by exactly that are better: letters do not
tear, nothing wobbles. :class:`MotionRunner` makes both and mixes them region by region, by how well
the two source pictures agree.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vsifrnet.engine.agreement import (
    by_pixel,
    differences,
    disagreement,
    preferences,
    together,
)
from vsifrnet.engine.candidates import STRIDE, Pyramid, find_moves
from vsifrnet.engine.moves import flows_of, inside, mean, rescale, sample
from vsifrnet.engine.runner import EagerRunner

__all__ = ["MotionRunner", "shifted"]

CELL, RADIUS = 4, 2
"""Of the regions, in pixels of the working size and in cells."""

LEAST = 0.3
"""A move with less weight than this everywhere is left out."""

UNSEEN = 0.02
"""What stands for the difference of two pictures where only one shows anything."""

TAPS = 3
"""Pixels on each side that a displaced picture's samples are made from."""

SHARPEN = 0.15
"""How much of the difference between Lanczos' kernel and the linear one is added to Lanczos'."""


class MotionRunner:
    """Wraps an eager runner at scale 1; see :class:`~vsifrnet.engine.runner.Runner`.

    Nothing in it waits for a GPU, so that it can be recorded as the eager runner can.
    """

    def __init__(self, eager: EagerRunner) -> None:
        self.device = eager.device
        self._eager = eager
        self._pyramids: tuple[Pyramid, ...]
        self.clear()

    def encode(self, img0: Tensor, img1: Tensor) -> None:
        """See :class:`~vsifrnet.engine.runner.Runner`."""
        self._eager.encode(img0, img1)
        # Half floats stay at half the bytes until one of the pictures is moved.
        pair = img0[None].to(self.device), img1[None].to(self.device)
        low, high = torch.stack([torch.stack(img.aminmax()) for img in pair]).float().aminmax()
        self._limits = low.clamp(max=0.0), high.clamp(min=1.0)
        self._pictures = pair
        self._pyramids = tuple(Pyramid.of(img[:, :3].clamp(0.0, 1.0)) for img in pair)
        self._moves, self._valid = find_moves(self._pyramids[0], self._pyramids[1])
        self._affine = len(self._moves) - 1
        if self.device.type == "cpu":  # It can be asked without a wait, and need not compare all.
            valid = self._valid > 0
            self._moves, self._valid = self._moves[valid], self._valid[valid]
            self._affine = len(self._moves) - 1 if valid[-1] else -1

    def decode(self, t: float) -> Tensor:
        """See :class:`~vsifrnet.engine.runner.Runner`."""
        return self.decode_at(torch.full((1,), t, dtype=torch.float32, device=self.device))

    def decode_at(self, t: Tensor) -> Tensor:
        """See :meth:`EagerRunner.decode_at`."""
        picture, flow = self._eager.estimate_at(t)
        on_cpu = self.device.type == "cpu"
        if not len(self._moves):
            return picture
        weights = self._weights(flow, t)
        # Left out for all devices alike; the CPU need not make what is left out.
        weights = weights * (weights.amax((2, 3), keepdim=True) >= LEAST)
        height, width = picture.shape[1:]
        total = self._full_size(weights.sum(0, keepdim=True), height, width)
        # Which of the moves a pixel has is decided by pixel; weights say it of regions.
        moved, divisor = torch.zeros_like(picture), torch.full_like(total, 1e-12)
        for number in range(len(self._moves)):
            if on_cpu and not bool(weights[number].any()):
                continue
            made, error = self._moved(number, t)
            share = self._full_size(weights[number : number + 1], height, width)
            share = share * by_pixel(F.avg_pool2d(error, 3, 1, 1, count_include_pad=False))[0]
            moved += made[0].mul_(share)
            divisor += share
        return torch.lerp(picture, moved / divisor, total).clamp(*self._limits)

    def clear(self) -> None:
        """See :class:`~vsifrnet.engine.runner.Runner`."""
        none = torch.empty(0)
        self._pictures = self._limits = (none, none)
        self._pyramids = ()
        self._moves = self._valid = none
        self._affine = -1
        self._eager.clear()

    def _weights(self, flow: Tensor, t: Tensor) -> Tensor:
        """Return the moves' weights (K, 1, h, w), by cells of the working size."""
        pyramid0, pyramid1 = self._pyramids
        factor, (height, width) = pyramid0.factor, pyramid0.colour.shape[2:]
        pad = 0, width * factor - flow.shape[3], 0, height * factor - flow.shape[2]
        small = F.pad(flow, pad, mode="replicate") if any(pad) else flow
        small = (F.avg_pool2d(small, factor) if factor > 1 else small) / factor
        moves = flows_of(rescale(self._moves, 1 / factor), t, height, width, STRIDE)
        difference, seen = differences(
            pyramid0.colour,
            pyramid1.colour,
            torch.cat((small[:, :, ::STRIDE, ::STRIDE], moves)),
            stride=STRIDE,
            size=(flow.shape[2] / factor, flow.shape[3] / factor),
        )
        regions = {"cell": CELL // STRIDE, "radius": RADIUS}
        costs = disagreement(difference, seen, **regions)
        weights = preferences(costs[:1], costs[1:], self._valid)[1:]
        mixed = together(difference[1:], costs[1:], self._valid, **regions)
        share = preferences(costs[:1], mixed, self._valid.amax(0, keepdim=True))[1:]
        total = weights.sum(0, keepdim=True)
        return weights * (torch.maximum(share, total) / total.clamp(min=1e-9))

    def _full_size(self, cells: Tensor, height: int, width: int) -> Tensor:
        """Return values of cells (1, 1, h, w) for every pixel (1, H, W), mixed between cells."""
        factor = float(CELL * self._pyramids[0].factor)
        fine = F.interpolate(cells, scale_factor=factor, mode="bilinear", align_corners=False)
        return fine[0, :, :height, :width]

    def _moved(self, number: int, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean (1, C, H, W) of both pictures, moved, and their difference (1, 1, H, W).

        Where one picture ends, the other is shown alone.
        """
        if number == 0:
            first, last = (picture.float() for picture in self._pictures)
            return torch.lerp(first, last, t), _distance(first, last)
        height, width = self._pictures[0].shape[2:]
        pyramid = self._pyramids[0]
        padded = [side * pyramid.factor for side in pyramid.colour.shape[2:]]
        move = self._moves[number : number + 1]
        flows = flows_of(move, t, padded[0], padded[1])[:, :, :height, :width]
        within0, within1 = (inside(flows[:, k : k + 2], height, width) for k in (0, 2))
        if number == self._affine:
            made0, made1 = (
                sample(picture.float(), flows[:, k : k + 2], mode="bicubic")
                for picture, k in zip(self._pictures, (0, 2), strict=True)
            )
        else:
            made0 = shifted(self._pictures[0].float(), -t * move[0, :2])
            made1 = shifted(self._pictures[1].float(), (1 - t) * move[0, :2])
        del flows
        both = within0 * within1
        error = torch.where(both > 0, _distance(made0, made1), UNSEEN)
        # In a fade the brightness at the border follows from what both pictures show.
        level0, level1 = mean(made0 * both) + 1e-6, mean(made1 * both) + 1e-6
        between = torch.lerp(level0, level1, t)
        weight0, weight1 = (1 - t) * within0 + 1e-6, t * within1 + 1e-6
        total = weight0 + weight1
        made0 *= torch.where(both > 0, 1.0, (between / level0).clamp(0.5, 2.0)) * (weight0 / total)
        made1 *= torch.where(both > 0, 1.0, (between / level1).clamp(0.5, 2.0)) * (weight1 / total)
        return made0.add_(made1), error


def _distance(picture0: Tensor, picture1: Tensor) -> Tensor:
    """Return the mean absolute difference over the channels."""
    return (picture0 - picture1).abs().mean(1, keepdim=True)


def shifted(picture: Tensor, shift: Tensor) -> Tensor:
    """Sample a picture (1, C, H, W) at ``position + shift``, the border repeated.

    ``shift`` (2,), x before y, is on the picture's device. Whole numbers are exact; between
    pixels a kernel of six samples is sharper than bicubic sampling.
    """
    for axis, offset in ((3, shift[0]), (2, shift[1])):
        length = picture.shape[axis]
        whole = offset.floor()
        around = torch.arange(1 - TAPS, length + TAPS, device=picture.device) + whole.long()
        wide = picture.index_select(axis, around.clamp(0, length - 1))
        # Not a convolution, whose factors CUDA may round.
        kernel = _kernel(offset - whole)
        picture = torch.zeros_like(picture)
        for place in range(2 * TAPS):
            picture += kernel[place] * wide.narrow(axis, place, length)
    return picture


def _kernel(fraction: Tensor) -> Tensor:
    """Return the weights of ``2 TAPS`` pixels, of sum 1; ``fraction`` is in [0, 1)."""
    x = torch.arange(1 - TAPS, 1 + TAPS, device=fraction.device).double() - fraction.double()
    lanczos = torch.sinc(x) * torch.sinc(x / TAPS) * (x.abs() < TAPS)
    lanczos = lanczos / lanczos.sum()
    linear = (1 - x.abs()).clamp(min=0)
    return (lanczos + SHARPEN * (lanczos - linear)).float()
