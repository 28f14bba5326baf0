"""The moves that a pair's layers may have made: few, and likely enough to be worth comparing.

Displacements are proposed by phase correlation, of the whole picture and of tiles of it. Those that
make the two pictures agree where no move before them did are kept; an affine move, which a camera
that zooms or turns makes, is fitted coarse to fine. All of it runs on small luma pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vsifrnet.engine.agreement import differences, disagreement
from vsifrnet.engine.moves import align, flows_of, mean, rescale
from vsifrnet.engine.phase_correlation import displacements, tiles

__all__ = ["STRIDE", "Pyramid", "find_moves"]

SHIFTS = 3
"""Displacements that are kept; as many layers can move each in its own way."""

PEAKS, TILE_PEAKS = 3, 1
"""Displacements that phase correlation proposes of the whole picture and of each tile."""

AREA = 130_000
"""Most pixels of the working size: 1920x1080 is divided by four."""

SMALL = 65_000
"""Pixels of a picture up to which the working size is its own; 640x360 is halved."""

STRIDE = 2
"""Of the pixels of the working size that are compared."""

SMALLEST = 16
"""Least side of the working size at which displacements are looked for."""

GAIN = 0.0002, 0.03
"""A move must lower the mean disagreement by the first, plus this share of that of no move."""

WHOLE = 0.15
"""Pixels of the full size by which a displacement may miss a whole number that it stands for."""

NEAR = 0.5
"""Pixels of the full size within which two moves are taken for one."""

AFFINE_COST = 0.0003
"""Added to the disagreement of an affine move, which fits noise better than a shift does."""


type Lumas = tuple[Tensor, Tensor]
"""Of picture 0 and of picture 1, (1, 1, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """A picture at the working size, padded below and right for three halvings of the size."""

    colour: Tensor
    """(1, 3, h, w), float32."""
    lumas: tuple[Tensor, Tensor, Tensor]
    """(1, 1, ...) at the working size, half and a quarter of it."""
    factor: int
    """Pixels of the full size on a side of one of the working size."""

    @classmethod
    def of(cls, picture: Tensor) -> Pyramid:
        """Of a picture (1, 3, H, W)."""
        height, width = picture.shape[2:]
        factor = 1
        while height * width > (SMALL if factor == 1 else AREA * factor * factor):
            factor *= 2
        multiple = 4 * factor
        pad = 0, -width % multiple, 0, -height % multiple
        small = F.pad(picture.float(), pad, mode="replicate") if any(pad) else picture.float()
        small = _shrink(small, factor)
        red, green, blue = small.chunk(3, 1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        half = _shrink(luma, 2)
        return cls(colour=small, lumas=(luma, half, _shrink(half, 2)), factor=factor)


def find_moves(pyramid0: Pyramid, pyramid1: Pyramid) -> tuple[Tensor, Tensor]:
    """Find the moves of a pair, in pixels of the full size.

    Returns:
        moves (2 + SHIFTS, 6): first none at all, then displacements, then an affine one.
        valid (2 + SHIFTS,): 1 for moves that are worth comparing, otherwise 0.
    """
    device = pyramid0.colour.device
    factor = float(pyramid0.factor)
    fine, half, quarter = zip(pyramid0.lumas, pyramid1.lumas, strict=True)
    still = torch.zeros((1, 6), dtype=torch.float32, device=device)
    if min(fine[0].shape[2:]) < SMALLEST:
        return still.expand(2 + SHIFTS, 6), still.new_zeros(2 + SHIFTS)

    whole = displacements(*fine, PEAKS)[0]
    proposed, start = _propose(half, whole / 2)
    camera = rescale(_fit_camera(half, quarter, start), 2.0)
    shifts = torch.cat((still, rescale(proposed, 2.0)))
    costs = _costs(fine, torch.cat((shifts, camera)), cell=2)
    costs, camera_cost = costs[:-1], costs[-1:] + AFFINE_COST

    # Where a camera that zooms or turns explains more than any displacement, these only have to
    # explain the rest, and otherwise the other way round.
    radius = max(fine[0].shape[2:]) * factor / 2
    bends = camera[:, 2:].abs().amax() * radius > NEAR
    leads = bends & (mean(camera_cost) < mean(costs).amin())
    with_camera = torch.minimum(camera_cost, costs[:1])
    least = GAIN[0] + GAIN[1] * mean(costs[:1])
    before = torch.where(leads, with_camera, costs[:1])
    chosen, useful = _choose(costs, before, SHIFTS, least=least)
    picked = costs.index_select(0, chosen)
    others = torch.minimum(picked.amin(0, keepdim=True), costs[:1])
    camera_gain = mean((torch.where(leads, costs[:1], others) - camera_cost).clamp(min=0))
    camera_useful = ((camera_gain > least) & bends).flatten().float()

    own = _grow(_owned(torch.cat((picked, camera_cost)), costs[:1]), fine[0])
    shifts = shifts.index_select(0, chosen)
    shifts = align(*fine, shifts, own[:-1], steps=2, affine=False, stride=STRIDE)
    camera = align(*fine, camera, own[-1:], steps=2, affine=True, stride=STRIDE)
    shifts = _made_whole(rescale(shifts, factor), whole * factor)
    valid = torch.cat((useful, camera_useful))
    moves = torch.cat((still, shifts, rescale(camera, factor)))
    return moves, torch.cat((valid.amax(0, keepdim=True), valid))


def _propose(half: Lumas, whole: Tensor) -> tuple[Tensor, Tensor]:
    """Return displacements (K, 6), and the better of the likeliest and none at all (1, 6).

    Args:
        half: the lumas at half the working size, in whose pixels everything is given.
        whole: displacements of the whole picture, likeliest first.
    """
    local = displacements(tiles(half[0]), tiles(half[1]), TILE_PEAKS).flatten(0, 1)
    proposed = F.pad(torch.cat((torch.zeros_like(whole[:1]), whole, local)), (0, 4))
    costs = _costs(half, proposed, cell=1)
    chosen, _ = _choose(costs, costs[:1], SHIFTS)
    kept = proposed.index_select(0, chosen)
    # A tile's displacement is less precise than the whole picture's.
    own = _grow(_owned(costs.index_select(0, chosen), costs[:1]), half[0])
    aligned = align(*half, kept, own, steps=3, affine=False, stride=STRIDE)
    kept = torch.where((chosen <= len(whole))[:, None], kept, aligned)
    # The whole picture's stay in any case, because fine texture is lost at this size.
    kept = torch.cat((proposed[1 : 1 + len(whole)], kept))
    best = mean(costs[:2]).argmin()[None]
    return kept, proposed.index_select(0, best)


def _fit_camera(half: Lumas, quarter: Lumas, start: Tensor) -> Tensor:
    """Return affine moves from ``start`` (K, 6), fitted coarse to fine."""
    everywhere = start.new_ones((len(start), 1, 1, 1))
    camera = align(*quarter, rescale(start, 0.5), everywhere, steps=5, affine=True)
    return align(*half, rescale(camera, 2.0), everywhere, steps=3, affine=True, stride=STRIDE)


def _made_whole(shifts: Tensor, peaks: Tensor) -> Tensor:
    """Return displacements (K, 6) of the full size, those of digital pans and rolls whole.

    Such a peak (N, 2) of phase correlation lies at whole pixels to a hundredth, where the aliasing
    of sharp texture draws an alignment off by some tenths.
    """
    places = peaks.round()
    distance = torch.cdist(shifts[:, :2], places)
    off = (peaks - places).abs().amax(1) > WHOLE
    distance = distance + 1e6 * off.float()
    least, nearest = distance.min(1)
    exact = torch.where((least < NEAR)[:, None], places.index_select(0, nearest), shifts[:, :2])
    rounded = exact.round()
    exact = torch.where((exact - rounded).abs() < WHOLE, rounded, exact)
    return torch.cat((exact, shifts[:, 2:]), 1)


def _shrink(picture: Tensor, factor: int) -> Tensor:
    return F.avg_pool2d(picture, factor) if factor > 1 else picture


def _costs(lumas: Lumas, moves: Tensor, *, cell: int) -> Tensor:
    """Return the disagreement of a pair under moves (K, 6), half-way: (K, 1, h, w) in cells."""
    height, width = lumas[0].shape[2:]
    half = moves.new_full((1,), 0.5)
    flows = flows_of(moves, half, height, width, STRIDE)
    difference, seen = differences(lumas[0], lumas[1], flows, stride=STRIDE)
    return disagreement(difference, seen, cell=cell, radius=1)


def _choose(
    costs: Tensor,
    none: Tensor,
    count: int,
    *,
    first: int | None = None,
    least: Tensor | float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Choose moves one by one, each for what it gains on ``none`` and those before it.

    Returns:
        indices (count,), and 1 where the mean gain was more than ``least`` (count,), otherwise 0.
    """
    best, indices, useful = none, [], []
    for number in range(count):
        gains = mean((best - costs).clamp(min=0))
        index = gains.argmax()[None]
        if first is not None and number == 0:
            index = torch.full_like(index, first)
        indices.append(index)
        useful.append((gains.index_select(0, index) > least).flatten().float())
        best = torch.minimum(best, costs.index_select(0, index))
    return torch.cat(indices), torch.cat(useful)


def _owned(costs: Tensor, none: Tensor) -> Tensor:
    """Return where each move is among the best: (K, 1, h, w), 0 or 1."""
    best = torch.minimum(costs.amin(0, keepdim=True), none)
    return (costs <= best + 0.001).float()


def _grow(cells: Tensor, like: Tensor) -> Tensor:
    """Return values of cells for the pixels of ``like`` that are compared."""
    size = [-(-side // STRIDE) for side in like.shape[2:]]
    return F.interpolate(cells, size, mode="nearest")
