"""The network run as the official code runs it, for the speed benchmark to compare with.

It does the arithmetic of the published code in the same way: planar tensors in one precision, both
pictures encoded one after the other, assignment to a slice in the ResBlocks, resizing by ``scale``
even if it is 1, one pair at a time, and nothing reused. It shares no code with
:mod:`vsifrnet.network`, so the two also check each other. It always samples bilinearly.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Official"]


class Official:
    """The network as functions of a state dict in the official key layout."""

    def __init__(self, state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype):
        self._state = {key: value.to(device, dtype) for key, value in state.items()}
        self._side = state["decoder1.convblock.1.conv2.0.weight"].shape[0]

    @torch.inference_mode()
    def __call__(self, img0: Tensor, img1: Tensor, t: float = 0.5, scale: float = 1.0) -> Tensor:
        """Return the picture at ``t`` between two (1, 3, H, W); 16 / scale divides the sides."""
        mean = torch.cat((img0, img1), 2).mean(1, True).mean(2, True).mean(3, True)
        img0, img1 = img0 - mean, img1 - mean
        features0 = self._encode(_resize(img0, scale))
        features1 = self._encode(_resize(img1, scale))
        time = img0.new_full((1, 1, 1, 1), t).repeat(1, 1, *features0[3].shape[2:])

        out = self._decode("decoder4", torch.cat((features0[3], features1[3], time), 1))
        flow0, flow1, made = out[:, 0:2], out[:, 2:4], out[:, 4:]
        for level, name in ((2, "decoder3"), (1, "decoder2"), (0, "decoder1")):
            warped0, warped1 = _warp(features0[level], flow0), _warp(features1[level], flow1)
            out = self._decode(name, torch.cat((made, warped0, warped1, flow0, flow1), 1))
            flow0 = out[:, 0:2] + 2.0 * _resize(flow0, 2.0)
            flow1 = out[:, 2:4] + 2.0 * _resize(flow1, 2.0)
            made = out[:, 4:]
        mask, residual = torch.sigmoid(made[:, 0:1]), made[:, 1:4]

        up = 1.0 / scale
        flow0, flow1 = _resize(flow0, up) * up, _resize(flow1, up) * up
        mask, residual = _resize(mask, up), _resize(residual, up)
        warped0, warped1 = _warp(img0, flow0), _warp(img1, flow1)
        merged = mask * warped0 + (1 - mask) * warped1 + mean
        return torch.clamp(merged + residual, 0, 1)

    def _encode(self, x: Tensor) -> list[Tensor]:
        features = []
        for level in (1, 2, 3, 4):
            x = self._conv_prelu(f"encoder.pyramid{level}.0", x, stride=2)
            x = self._conv_prelu(f"encoder.pyramid{level}.1", x)
            features.append(x)
        return features

    def _decode(self, name: str, x: Tensor) -> Tensor:
        x = self._conv_prelu(f"{name}.convblock.0", x)
        block, side = f"{name}.convblock.1", self._side
        out = self._conv_prelu(f"{block}.conv1", x)
        out[:, -side:] = self._conv_prelu(f"{block}.conv2", out[:, -side:].clone())
        out = self._conv_prelu(f"{block}.conv3", out)
        out[:, -side:] = self._conv_prelu(f"{block}.conv4", out[:, -side:].clone())
        x = F.prelu(x + self._conv(f"{block}.conv5", out), self._state[f"{block}.prelu.weight"])
        weight, bias = (self._state[f"{name}.convblock.2.{end}"] for end in ("weight", "bias"))
        return F.conv_transpose2d(x, weight, bias, 2, 1)

    def _conv_prelu(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        return F.prelu(self._conv(f"{name}.0", x, stride), self._state[f"{name}.1.weight"])

    def _conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self._state[f"{name}.weight"]
        return F.conv2d(x, weight, self._state[f"{name}.bias"], stride, weight.shape[-1] // 2)


def _resize(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _warp(picture: Tensor, flow: Tensor) -> Tensor:
    _, _, height, width = picture.shape
    x = torch.linspace(-1.0, 1.0, width, device=flow.device, dtype=flow.dtype)
    y = torch.linspace(-1.0, 1.0, height, device=flow.device, dtype=flow.dtype)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
    scaled = torch.cat(
        (flow[:, 0:1] / ((width - 1.0) / 2.0), flow[:, 1:2] / ((height - 1.0) / 2.0)), 1
    )
    where = (grid + scaled).permute(0, 2, 3, 1)
    return F.grid_sample(picture, where, mode="bilinear", padding_mode="border", align_corners=True)
