"""Random initial weights for training from scratch."""

from __future__ import annotations

import torch
from torch import nn

from vsifrnet.network import CONFIGS, IFRNet

__all__ = ["fresh_network"]


def fresh_network(size: str, seed: int) -> IFRNet:
    """Return a network with random weights that depend on the seed alone.

    Convolutions are Kaiming normal for PReLU with its initial slope of 0.25. The transposed
    convolutions, which make the flows, start small. With PyTorch's own initialisation, training
    stalls for hundreds of steps.
    """
    network = IFRNet(CONFIGS[size])
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.01, generator=random)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.25, generator=random)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return network
