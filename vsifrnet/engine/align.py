"""Widens a network to channel counts that the hardware likes, without changing its pictures."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from vsifrnet.network import IFRNet

__all__ = ["aligned"]


def aligned(network: IFRNet, multiple: int, *, encoder: bool = False) -> IFRNet:
    """Return an equal network whose decoders work on multiples of ``multiple`` channels.

    The added channels are zero: at the end of the inputs, where
    :func:`~vsifrnet.engine.ops.concatenate` puts zeros, and in front of the hidden channels,
    because the last ones are a ResBlock's side. With ``encoder`` its channels are multiples as
    well; the added ones are at the end, and the features leave them out.
    """
    align_encoder = multiple if encoder else 1
    config = replace(network.config, align=multiple, align_encoder=align_encoder)
    with torch.device("meta"):  # neither initialised nor, so, random numbers drawn
        wide = IFRNet(config, sampling=network.sampling)
    state = network.state_dict()
    for key, target in wide.state_dict().items():
        padding: list[int] = []
        for axis in reversed(range(target.ndim)):  # F.pad counts from the last
            extra = target.shape[axis] - state[key].shape[axis]
            is_input = key.endswith("convblock.0.0.weight") and axis == 1
            padding += (0, extra) if is_input or key.startswith("encoder") else (extra, 0)
        state[key] = F.pad(state[key], padding)
    wide.load_state_dict(state, assign=True)
    return wide.eval().requires_grad_(False)
