"""Training losses: the paper's, and one for motion whose flow is exact.

Pictures are (B, 3, H, W) in [0, 1], flows (B, 2, H, W) in pixels of their own resolution. The two
loss modules take the network and a batch and return weighted terms by name; training minimises
their sum.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsifrnet.engine.ops import resize
from vsifrnet.network import IFRNet
from vsifrnet.training.data.sample import Batch

__all__ = [
    "OfficialLoss",
    "SyntheticLoss",
    "census",
    "charbonnier",
    "flow_distillation",
    "flow_error",
    "geometry",
    "gradient_difference",
    "log_error",
    "robust_weight",
]


def charbonnier(difference: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the mean of ``sqrt(difference^2 + epsilon^2)``."""
    return (difference.square() + epsilon**2).sqrt().mean()


def census(picture: Tensor, target: Tensor) -> Tensor:
    """Return the ternary census distance of grey values over 7x7 windows (Meister et al. 2018).

    The border of 3 pixels, where windows are incomplete, counts as equal.
    """
    grey, wanted = picture.mean(dim=1, keepdim=True), target.mean(dim=1, keepdim=True)
    return _census_distance(grey, wanted, window=7)


def geometry(feature: Tensor, target: Tensor) -> Tensor:
    """Return the geometry consistency of features (equation 10): a census over 3x3 windows.

    Features are (B, C, H, W); each channel is compared by itself.
    """
    return _census_distance(feature, target, window=3)


def _census_distance(x: Tensor, y: Tensor, window: int) -> Tensor:
    border = window // 2
    difference = _soft_census(x, window) - _soft_census(y, window)
    distance = difference.square() / (0.1 + difference.square())
    inner = distance.mean(dim=1)[:, border:-border, border:-border]
    # The mean is over the whole picture, in which the border counts as zeros.
    return inner.sum() / (x.shape[0] * x.shape[2] * x.shape[3])


def _soft_census(x: Tensor, window: int) -> Tensor:
    """Return each neighbour minus the centre, squashed into (-1, 1): (B, C * window^2, H, W)."""
    batch, channels, height, width = x.shape
    neighbours = F.unfold(x, window, padding=window // 2)
    difference = neighbours.view(batch, channels, window**2, height, width) - x.unsqueeze(2)
    return (difference / (0.81 + difference.square()).sqrt()).flatten(1, 2)


def robust_weight(flow: Tensor, target: Tensor, beta: float = 0.3) -> Tensor:
    """Return the confidence in a flow label, ``exp(-beta * endpoint error)`` (B, 1, H, W).

    This is equation 8 of the paper. Where the network, which learns to make pictures, disagrees
    with the label, the label may be wrong for the picture. The weight has no gradient.
    """
    error = (flow.detach() - target).square().sum(dim=1, keepdim=True).sqrt()
    return torch.exp(-beta * error)


def flow_distillation(flow: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of ``(difference^2 + epsilon^2)^(weight / 2)`` of each sample, (B,).

    ``epsilon`` is ``10^(-(10 weight - 1) / 3)`` (equation 9 of the paper); the lower ``weight``
    (B, 1, H, W), the more robust is the error.
    """
    epsilon = 10 ** (-(10 * weight - 1) / 3)
    return ((flow - target).square() + epsilon.square()).pow(weight / 2).mean(dim=(1, 2, 3))


def gradient_difference(picture: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of horizontal and vertical gradients."""
    difference = picture - target
    across = (difference[..., :, 1:] - difference[..., :, :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    return (across + down) / 2


def log_error(picture: Tensor, target: Tensor, floor: float = 1e-6) -> Tensor:
    """Return the mean over the samples of the logarithm of the mean squared error.

    A decibel counts the same in a still sample as in a moving one. Errors below ``floor`` (60 dB)
    hardly count.
    """
    error = (picture - target).square().mean(dim=(1, 2, 3))
    return (error + floor).log().mean()


def flow_error(flows: tuple[Tensor, ...], target: Tensor, known: Tensor) -> Tensor:
    """Return the mean over levels, pixels and samples of ``(endpoint error + 0.01)^0.4``.

    ``flows`` run from fine to coarse, each half the size of the one before. ``target`` has the
    size of the first. ``known`` (B,) is 1 if a sample's flow is known. The exponent gives small
    errors weight: an error of 0.05 pixels costs a third of what an error of one pixel costs.
    """
    total = target.new_zeros(())
    for level, flow in enumerate(flows):
        wanted = F.avg_pool2d(target, 2**level) / 2**level if level else target
        # The small constant keeps the root's gradient finite where the error is 0.
        distance = ((flow - wanted).square().sum(dim=1) + 1e-6).sqrt()
        total = total + ((distance + 0.01).pow(0.4).mean(dim=(1, 2)) * known).mean()
    return total / len(flows)


class OfficialLoss(nn.Module):
    """The loss of the paper: reconstruction, geometry consistency, flow distillation.

    Reconstruction is Charbonnier plus census on the picture. Geometry consistency compares the
    intermediate features with those of the true picture at three levels. Task-oriented flow
    distillation compares the three coarser flows with the sample's label, if it has one.
    """

    def __init__(self, *, geometry: float = 0.01, distillation: float = 0.01) -> None:
        super().__init__()
        self.weights = {"geo": geometry, "dis": distillation}

    def forward(self, network: IFRNet, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms ``rec``, ``geo`` and ``dis``."""
        pair = network.encode(batch.img0, batch.img1)
        made = network.decode(pair, batch.t)
        wanted = network.encoder((batch.imgt - pair.mean).to(network.dtype))
        geo = [geometry(a.float(), b.float()) for a, b in zip(made.features, wanted, strict=False)]
        dis = batch.flow.new_zeros(())
        labels = (batch.flow[:, :2], batch.flow[:, 2:])
        for flows, label in zip((made.flows0, made.flows1), labels, strict=True):
            weight = robust_weight(flows[0], label)
            for level, flow in enumerate(flows[1:], start=1):
                full_size = 2.0**level * resize(flow, 2.0**level)
                error = flow_distillation(full_size, label, weight)
                dis = dis + (error * batch.flow_known).mean()
        return {
            "rec": charbonnier(made.image - batch.imgt) + census(made.image, batch.imgt),
            "geo": self.weights["geo"] * torch.stack(geo).sum(),
            "dis": self.weights["dis"] * dis,
        }


class SyntheticLoss(nn.Module):
    """The loss for exact flow: Charbonnier, gradients, logarithm of the error, and flow."""

    def __init__(self, *, gradient: float = 0.5, log: float = 0.005, flow: float = 0.04) -> None:
        super().__init__()
        self.weights = {"rec": 1.0, "gradient": gradient, "log": log, "flow": flow}

    def forward(self, network: IFRNet, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms ``rec``, ``gradient``, ``log`` and ``flow``."""
        made = network.decode(network.encode(batch.img0, batch.img1), batch.t)
        target0, target1 = batch.flow[:, :2], batch.flow[:, 2:]
        flow = flow_error(made.flows0, target0, batch.flow_known)
        flow = flow + flow_error(made.flows1, target1, batch.flow_known)
        terms = {
            "rec": charbonnier(made.image - batch.imgt),
            "gradient": gradient_difference(made.image, batch.imgt),
            "log": log_error(made.image, batch.imgt),
            "flow": flow,
        }
        return {name: self.weights[name] * term for name, term in terms.items()}
