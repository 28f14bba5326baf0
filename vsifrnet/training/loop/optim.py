"""Optimisers: AdamW as in the official recipe, and Muon for convolutions.

Muon (Keller Jordan, 2024, https://kellerjordan.github.io/posts/muon) makes each weight matrix's
momentum orthogonal before it is added, so that every direction in it is learned at one pace. A
convolution weight counts as a matrix of its first axis by all others. ``torch.optim.Muon`` takes
two-dimensional parameters only, hence this one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

__all__ = ["Muon", "learning_rate", "make_optimizers", "orthogonalize", "set_learning_rate"]


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """The orthogonal factor of (B, rows, columns) matrices, roughly: Newton-Schulz iteration.

    The singular values of what comes out lie between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315  # as published: steepest at zero
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    if tall := x.shape[1] > x.shape[2]:
        x = x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x.mT if tall else x


class Muon(Optimizer):
    """Momentum, made orthogonal; for parameters of two dimensions or more.

    Args:
        params: the parameters.
        lr: size of a step relative to an AdamW step.
        momentum: Nesterov's.
        weight_decay: decoupled, as in AdamW.
        dtype: of the Newton-Schulz iteration, which bears bfloat16.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 2e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step along the gradients that the parameters hold; ``closure`` is not supported."""
        if closure is not None:
            raise ValueError("Muon.step takes no closure")
        for group in self.param_groups:
            # Matrices of one shape are made orthogonal together.
            shapes: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter.grad)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)
                shapes[update.shape[0], update.shape[1]].append((parameter, update))
            for (rows, columns), entries in shapes.items():
                updates = orthogonalize(
                    torch.stack([update for _, update in entries]).to(self.dtype)
                )
                size = 0.2 * math.sqrt(max(rows, columns)) * group["lr"]
                for (parameter, _), update in zip(entries, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update.view_as(parameter).to(parameter), alpha=size)


def make_optimizers(
    network: nn.Module, kind: Literal["adamw", "muon"], *, weight_decay: float, dtype: torch.dtype
) -> list[Optimizer]:
    """The optimisers of a network; learning rates are set by :func:`set_learning_rate`.

    ``dtype`` is Muon's for its iteration. With ``muon`` biases and PReLU slopes are AdamW's, at
    0.4 times the learning rate.
    """
    if kind == "adamw":
        return [AdamW(network.parameters(), lr=0.0, weight_decay=weight_decay)]
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return [
        Muon(matrices, lr=0.0, weight_decay=weight_decay, dtype=dtype),
        AdamW([{"params": others, "share": 0.4}], lr=0.0, weight_decay=0.0),
    ]


def set_learning_rate(optimizers: Iterable[Optimizer], lr: float) -> None:
    """Set the learning rate of every parameter group."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("share", 1.0)


def learning_rate(step: int, steps: int, *, peak: float, last: float, warmup: int) -> float:
    """Linear from 0 to ``peak`` in ``warmup`` steps, then a half cosine down to ``last``."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return last + (peak - last) * (1 + math.cos(math.pi * min(1.0, share))) / 2
