"""Optimisers and learning rates: AdamW as in the official recipe, and Muon for convolutions.

Muon (Keller Jordan, 2024, https://kellerjordan.github.io/posts/muon) orthogonalises each weight
matrix's momentum before it is added, so that all directions are learned at the same pace. A
convolution weight counts as a matrix of its first axis by all others. ``torch.optim.Muon`` refuses
parameters that are not two-dimensional, so this module has its own Muon.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["Muon", "make_optimizers", "orthogonalize", "rate_at", "schedule"]


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Return roughly the orthogonal factor of (B, rows, columns) matrices, by Newton-Schulz.

    The singular values of the result lie between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315  # This is the published polynomial, steepest at zero.
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    if tall := x.shape[1] > x.shape[2]:
        x = x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x.mT if tall else x


class Muon(Optimizer):
    """Adds orthogonalised momentum to parameters of two dimensions or more.

    Args:
        params: the parameters.
        lr: the size of a step, on the scale of AdamW's.
        momentum: the decay of Nesterov's momentum.
        weight_decay: the decoupled weight decay, as in AdamW.
        dtype: the precision of the Newton-Schulz iteration, for which bfloat16 is enough.
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
        """Make one step along the gradients of the parameters; ``closure`` is not supported."""
        if closure is not None:
            raise ValueError("Muon.step takes no closure")
        for group in self.param_groups:
            # Matrices of the same shape are orthogonalised together, which is faster.
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
    """Return the optimisers of a network; :func:`schedule` sets their learning rates.

    With ``muon``, biases and PReLU slopes are optimised by AdamW at 0.4 times the learning rate.
    ``dtype`` is the precision of Muon's iteration.
    """
    if kind == "adamw":
        return [AdamW(network.parameters(), lr=0.0, weight_decay=weight_decay)]
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return [
        Muon(matrices, lr=0.0, weight_decay=weight_decay, dtype=dtype),
        AdamW([{"params": others, "share": 0.4}], lr=0.0, weight_decay=0.0),
    ]


def schedule(
    optimizers: Iterable[Optimizer],
    *,
    peak: float,
    last: float,
    warmup: int,
    steps: int,
    step: int = 0,
) -> list[LambdaLR]:
    """Return the optimisers' learning rate schedules, each at ``step`` of ``steps``.

    The learning rate depends on the step alone, so a resumed run has the same rates as one that
    was never stopped.
    """
    shares = partial(rate_at, steps=steps, last=last / peak, warmup=warmup)
    schedules = []
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = peak * group.get("share", 1.0)
        schedules.append(LambdaLR(optimizer, shares, last_epoch=step - 1))
    return schedules


def rate_at(step: int, *, steps: int, last: float, warmup: int) -> float:
    """Return the learning rate at ``step`` relative to its peak.

    It rises linearly to 1 in ``warmup`` steps, and then falls along half a cosine to ``last``.
    """
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return last + (1 - last) * (1 + math.cos(math.pi * min(1.0, share))) / 2
