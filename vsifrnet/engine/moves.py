"""Moves: affine displacements of a whole picture, or of a layer of it, between two pictures.

A move is six numbers ``(dx, dy, a, b, c, d)``. A point that lies at ``x`` half-way between the
pictures lies at ``x - u / 2`` in picture 0 and at ``x + u / 2`` in picture 1, where
``u = (dx, dy) + [[a, b], [c, d]] (x - centre)``, in pixels. Points move on straight lines at a
constant speed.

Where a mean over many pixels is all that is wanted, every ``stride``-th pixel of a row and of a
column is looked at, and flows are given for these pixels only. All functions work on the device
without waiting for it, so that CUDA graphs can record them.

This module imports torch only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["align", "flows_of", "inside", "mean", "rescale", "sample", "solve"]

ROBUST = 2.0
"""Errors beyond this many mean errors count less in :func:`align`: they are of another motion."""

DAMPING = 1e-3
"""Levenberg's, relative to the diagonal; it holds what the picture has no gradients for."""


def mean(x: Tensor) -> Tensor:
    """Return the mean over height and width of (B, C, H, W): (B, C, 1, 1).

    Rows first: one thread adds each of them up, so the number of threads changes no bit.
    """
    return x.mean(3, keepdim=True).mean(2, keepdim=True)


def rescale(moves: Tensor, factor: float) -> Tensor:
    """Return moves (K, 6) for pictures of ``factor`` times the size."""
    return torch.cat((moves[:, :2] * factor, moves[:, 2:]), 1)


def grid(height: int, width: int, device: torch.device, stride: int = 1) -> tuple[Tensor, Tensor]:
    """Return the pixels' positions relative to the centre: x (1, W) and y (H, 1)."""
    x = torch.arange(0, width, stride, device=device, dtype=torch.float32) - (width - 1) / 2
    y = torch.arange(0, height, stride, device=device, dtype=torch.float32) - (height - 1) / 2
    return x[None, :], y[:, None]


def flows_of(moves: Tensor, t: Tensor, height: int, width: int, stride: int = 1) -> Tensor:
    """Return the flows t -> 0 and t -> 1 of moves (K, 6) at ``t`` (1,): (K, 4, H, W)."""
    x, y = grid(height, width, moves.device, stride)
    dx, dy, a, b, c, d = moves[:, :, None, None].unbind(1)
    # A point m half-way is at p = m + late * u(m) at time t; this is solved for m, and u for p.
    late = t.view(-1, 1, 1) - 0.5
    determinant = (1 + late * a) * (1 + late * d) - late * late * b * c
    left, top = x - late * dx, y - late * dy
    mx = ((1 + late * d) * left - late * b * top) / determinant
    my = ((1 + late * a) * top - late * c * left) / determinant
    ux, uy = dx + a * mx + b * my, dy + c * mx + d * my
    return torch.stack((-t * ux, -t * uy, (1 - t) * ux, (1 - t) * uy), 1)


def sample(picture: Tensor, flows: Tensor, *, mode: str = "bilinear", stride: int = 1) -> Tensor:
    """Sample one picture (1, C, H, W) at the ends of flows (K, 2, H, W): (K, C, H, W)."""
    count, (height, width) = len(flows), picture.shape[2:]
    x, y = grid(height, width, flows.device, stride)
    step_x, step_y = 2.0 / max(width - 1, 1), 2.0 / max(height - 1, 1)
    places = torch.stack(((x + flows[:, 0]) * step_x, (y + flows[:, 1]) * step_y), -1)
    picture = picture.expand(count, -1, -1, -1)
    return F.grid_sample(picture, places, mode=mode, padding_mode="border", align_corners=True)


def inside(flows: Tensor, height: float, width: float, stride: int = 1) -> Tensor:
    """Return where flows (K, 2, H, W) end in the picture's first ``height`` x ``width`` pixels.

    The result is (K, 1, H, W), 0 or 1; the flows' grid may be larger, by padding below and right.
    """
    x = stride * torch.arange(flows.shape[3], device=flows.device) + flows[:, 0]
    y = stride * torch.arange(flows.shape[2], device=flows.device)[:, None] + flows[:, 1]
    slack = 0.01  # Rounding must not push the border out of the picture.
    fits = (x >= -slack) & (x <= width - 1 + slack) & (y >= -slack) & (y <= height - 1 + slack)
    return fits[:, None].float()


def align(
    luma0: Tensor,
    luma1: Tensor,
    moves: Tensor,
    masks: Tensor,
    *,
    steps: int,
    affine: bool,
    stride: int = 1,
) -> Tensor:
    """Refine moves (K, 6) by Gauss-Newton steps on the luma where their masks are.

    A change of brightness and contrast between the pictures is fitted too, and so does not count.

    Args:
        luma0, luma1: (1, 1, H, W).
        masks: (K, 1, H / stride, W / stride), 0 or 1.
        affine: refine all six numbers; otherwise only the displacement.
    """
    height, width = luma0.shape[2:]
    x, y = grid(height, width, moves.device, stride)
    radius = max(height, width) / 2
    half = moves.new_full((1,), 0.5)
    stacks = [torch.cat((luma, *_gradients(luma)), 1) for luma in (luma0, luma1)]
    for _ in range(steps):
        flows = flows_of(moves, half, height, width, stride)
        ends = flows[:, :2], flows[:, 2:]
        seen0, seen1 = (
            sample(stack, end, stride=stride) for stack, end in zip(stacks, ends, strict=True)
        )
        within0, within1 = (inside(end, height, width, stride) for end in ends)
        weight = masks * within0 * within1
        level, gx, gy = ((seen0 + seen1) / 2).chunk(3, 1)
        error = seen1[:, :1] - seen0[:, :1]
        share = mean(weight).clamp(min=1e-6)
        offset = error - mean(error * weight) / share
        typical = mean(offset.abs() * weight) / share + 1e-4
        weight = weight / (1 + (offset / (ROBUST * typical)).square())
        columns = [gx, gy]
        if affine:
            columns += [gx * (x / radius), gx * (y / radius), gy * (x / radius), gy * (y / radius)]
        columns += [level - 0.5, torch.ones_like(gx), error]
        jacobian = torch.cat(columns, 1).transpose(1, 2)  # (K, H, n + 1, W)
        # By rows, as in mean().
        products = ((jacobian * weight.transpose(1, 2)) @ jacobian.transpose(2, 3)).double().sum(1)
        normal, right = products[:, :-1, :-1], products[:, :-1, -1]
        normal = normal + torch.diag_embed(normal.diagonal(dim1=1, dim2=2) * DAMPING + 1e-4)
        step = solve(normal, right).float()
        shift = step[:, :2].clamp(-2, 2)
        linear = step[:, 2:6].clamp(-2, 2) / radius if affine else torch.zeros_like(moves[:, 2:])
        moves = moves - torch.cat((shift, linear), 1)
    return moves


def solve(matrices: Tensor, right: Tensor) -> Tensor:
    """Solve positive definite systems (K, n, n) x = (K, n) by Gauss-Jordan elimination.

    PyTorch's own solvers may wait for the device, which a CUDA graph does not allow.
    """
    system = torch.cat((matrices, right[..., None]), 2)
    for k in range(matrices.shape[1]):
        row = system[:, k : k + 1] / system[:, k : k + 1, k : k + 1]
        factor = system[:, :, k : k + 1].clone()
        factor[:, k] = 0.0
        system = system - factor * row
        system[:, k : k + 1] = row
    return system[..., -1]


def _gradients(luma: Tensor) -> tuple[Tensor, Tensor]:
    """Return central differences along x and y."""
    wide = F.pad(luma, (1, 1, 1, 1), mode="replicate")
    gx = (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / 2
    gy = (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) / 2
    return gx, gy
