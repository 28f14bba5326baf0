"""How well a pair's pictures agree under a motion, region by region, and the choice by it.

Where a flow is right, both pictures show the same at its two ends. What is compared is each
picture's deviation from its local mean, so that fades and flashes do not count. Regions are cells
of some pixels on a side; a disagreement is the mean of the squared deviation's difference over the
cells around, its square root taken.

This module imports torch only, beside :mod:`~vsifrnet.engine.moves`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vsifrnet.engine.moves import inside, mean, sample

__all__ = ["by_pixel", "differences", "disagreement", "preferences", "together"]

WIDE = 0.25
"""Weight of the disagreement in the wider surroundings: it decides where nearby all agree, as in
the black between letters."""

BORROWED = 0.02, 0.0004
"""Weights of the wider surroundings and of the whole picture where a cell itself tells nothing:
where a flow leads out of a picture."""

FLOOR = 0.002
"""Disagreement that rounding and compression leave even where the motion is right."""

SHARPNESS = 6.0
"""Exponent of the preference: half the disagreement is preferred 64 times."""

PIXEL_FLOOR, PIXEL_SHARPNESS = 0.01, 2.0
"""The same by pixel among the moves of a region, where single differences tell less."""

IN_DOUBT = 0.8, 0.0005
"""A move counts as in disagreement this much less, and more, than the network's own flow."""


def differences(
    picture0: Tensor,
    picture1: Tensor,
    flows: Tensor,
    *,
    stride: int = 1,
    size: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Compare two pictures (1, C, H, W) at the ends of flows (K, 4, H, W).

    Args:
        stride: see :mod:`~vsifrnet.engine.moves`.
        size: height and width of what is not padding; None is all.

    Returns:
        difference (K, C, H, W), 0 where an end lies outside; seen (K, 1, H, W), 0 there, else 1.
    """
    height, width = size or picture0.shape[2:]
    ends = flows[:, :2], flows[:, 2:]
    within0, within1 = (inside(end, height, width, stride) for end in ends)
    seen = within0 * within1
    # Bicubic, because bilinear sampling shifts fine texture by a different amount on each side.
    shown0, shown1 = (
        sample(picture, end, mode="bicubic", stride=stride)
        for picture, end in zip((picture0, picture1), ends, strict=True)
    )
    return (shown0 - shown1) * seen, seen


def disagreement(difference: Tensor, seen: Tensor, *, cell: int, radius: int) -> Tensor:
    """Return the disagreement under K flows, from their :func:`differences`.

    Args:
        cell: side of a cell, in pixels of the differences.
        radius: cells on each side of a cell that belong to its surroundings.

    Returns:
        (K, 1, H / cell, W / cell), rounded up.
    """
    moments = [_pool(part, cell) for part in (seen, difference, difference.square())]
    near = [_box(part, radius) for part in moments]
    far = [_box(part, 4 * radius + 2) for part in moments]
    everywhere = [mean(part) for part in moments]
    wider = [f + BORROWED[0] * e for f, e in zip(far, everywhere, strict=True)]
    local = [
        n + BORROWED[0] * f + BORROWED[1] * e for n, f, e in zip(near, far, everywhere, strict=True)
    ]
    return _deviation(*local) + WIDE * _deviation(*wider)


def together(difference: Tensor, costs: Tensor, valid: Tensor, *, cell: int, radius: int) -> Tensor:
    """Return the disagreement (1, 1, h, w) where each pixel has the move that suits it.

    Letters that stand before a moving picture are of two motions in any region, and neither alone
    agrees there.

    Args:
        difference, costs: of K moves; see :func:`differences` and :func:`disagreement`.
        valid: (K,), 0 or 1.
    """
    usable = valid.view(-1, 1, 1, 1)
    errors = _box(difference.square().mean(1, keepdim=True), 1)
    shares = by_pixel(errors.sqrt()) * usable
    shares = shares / shares.sum(0, keepdim=True).clamp(min=1e-9)
    mixed = _box(_pool((shares * errors).sum(0, keepdim=True), cell), radius)
    alone = _box(_pool(errors, cell), radius) + 1e3 * (1 - usable)
    ratio = (mixed + 1e-6) / (alone.amin(0, keepdim=True) + 1e-6)
    best = (costs + 1e3 * (1 - usable)).amin(0, keepdim=True)
    return ratio.clamp(max=1.0).sqrt() * best


def by_pixel(errors: Tensor) -> Tensor:
    """Return how much a move counts at a pixel, by its error there; any shape."""
    return (errors + PIXEL_FLOOR) ** -PIXEL_SHARPNESS


def preferences(network: Tensor, moves: Tensor, valid: Tensor) -> Tensor:
    """Return weights of sum 1 for the network's flow and K moves, by their disagreement.

    Args:
        network, moves: (1, 1, h, w) and (K, 1, h, w), of :func:`disagreement`.
        valid: (K,), 0 or 1; other moves get no weight.
    """
    factor, penalty = IN_DOUBT
    scores = (torch.cat((network, factor * moves + penalty)) + FLOOR) ** -SHARPNESS
    usable = torch.cat((torch.ones_like(valid[:1]), valid)).view(-1, 1, 1, 1)
    scores = scores * usable
    return scores / scores.sum(0, keepdim=True)


def _deviation(count: Tensor, total: Tensor, squares: Tensor) -> Tensor:
    """Return the standard deviation, mean over the channels, from summed moments."""
    count = count.clamp(min=1e-6)
    variance = squares / count - (total / count).square()
    return variance.mean(1, keepdim=True).clamp(min=0).sqrt()


def _pool(x: Tensor, cell: int) -> Tensor:
    pad = 0, -x.shape[3] % cell, 0, -x.shape[2] % cell
    return F.avg_pool2d(F.pad(x, pad) if any(pad) else x, cell)


def _box(x: Tensor, radius: int) -> Tensor:
    """Means over squares of ``2 radius + 1`` on a side; the border is repeated."""
    size = 2 * radius + 1
    x = F.avg_pool2d(F.pad(x, (radius, radius, 0, 0), mode="replicate"), (1, size), 1)
    return F.avg_pool2d(F.pad(x, (0, 0, radius, radius), mode="replicate"), (size, 1), 1)
