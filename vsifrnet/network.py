"""IFRNet (Kong et al., CVPR 2022, arXiv 2205.14620) as one class and three configurations.

This module owns the network and nothing else; it imports torch only.

Conventions, here and wherever tensors are handled:

* pictures are ``(B, 3, H, W)``, RGB, in ``[0, 1]``;
* a flow is ``(B, 2, H, W)``, x before y, in pixels of its own resolution, and points from the
  picture that is made to the source picture: ``flow0`` is t -> 0, ``flow1`` is t -> 1;
* time ``t`` is in ``[0, 1]``: 0 is ``img0``, 1 is ``img1``;
* flows, sampling positions and the final blend are float32 whatever the precision of the
  weights (half precision positions are off by half a pixel at 1920 wide).

The module tree has the key layout of the official checkpoints, so these load strictly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CONFIGS", "Config", "IFRNet", "Pair", "Synthesis", "resize", "warp"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What differs between the sizes of the network."""

    name: str
    """The official suffix: S, base or L."""
    pyramid: tuple[int, int, int, int]
    """Encoder channels, from half to a sixteenth of the resolution."""
    decoder: tuple[int, int, int, int]
    """Hidden channels of decoder 4 (the coarsest), 3, 2 and 1."""
    side: int
    """Channels that the side convolutions of a ResBlock see."""
    stem: int
    """Kernel size of the very first convolution."""


CONFIGS: dict[str, Config] = {
    config.name: config
    for config in (
        Config(name="S", pyramid=(24, 36, 54, 72), decoder=(144, 162, 108, 72), side=24, stem=3),
        Config(name="base", pyramid=(32, 48, 72, 96), decoder=(192, 216, 144, 96), side=32, stem=3),
        Config(name="L", pyramid=(64, 96, 144, 192), decoder=(384, 432, 288, 192), side=64, stem=7),
    )
}


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """Sample ``picture`` (B, C, H, W) at ``position + flow``; flow (B, 2, H, W) in pixels, float32.

    Bilinear, positions outside are clamped to the border. Keeps the dtype of ``picture``.
    """
    _, _, height, width = flow.shape
    x = torch.arange(width, device=flow.device, dtype=torch.float32)
    y = torch.arange(height, device=flow.device, dtype=torch.float32)
    # grid_sample wants [-1, 1]; with align_corners=True these are the centres of the outer pixels.
    grid_x = (x.view(1, 1, width) + flow[:, 0]) * (2.0 / max(width - 1, 1)) - 1.0
    grid_y = (y.view(1, height, 1) + flow[:, 1]) * (2.0 / max(height - 1, 1)) - 1.0
    grid = torch.stack((grid_x, grid_y), dim=-1)
    sampled = F.grid_sample(
        picture.float(), grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled.to(picture.dtype)


def resize(x: Tensor, factor: float) -> Tensor:
    """Resize (B, C, H, W) by ``factor``, bilinear, pixel centres aligned as areas."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _conv(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2),
        nn.PReLU(out_channels),
    )


class _ResBlock(nn.Module):
    """Five convolutions; the second and fourth refine the last ``side`` channels only."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.split = (channels - side, side)
        self.conv1 = _conv(channels, channels)
        self.conv2 = _conv(side, side)
        self.conv3 = _conv(channels, channels)
        self.conv4 = _conv(side, side)
        self.conv5 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.prelu = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self._refine(self.conv1(x), self.conv2)
        out = self._refine(self.conv3(out), self.conv4)
        result: Tensor = self.prelu(x + self.conv5(out))
        return result

    def _refine(self, x: Tensor, conv: nn.Module) -> Tensor:
        # The official code assigns into a slice; split and concatenate is equal and can be
        # differentiated and traced.
        rest, side = torch.split(x, list(self.split), dim=1)
        return torch.cat((rest, conv(side)), dim=1)


class _Encoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        in_channels, kernel = 3, config.stem
        for level, channels in enumerate(config.pyramid, start=1):
            block = nn.Sequential(
                _conv(in_channels, channels, kernel, stride=2), _conv(channels, channels)
            )
            self.add_module(f"pyramid{level}", block)
            in_channels, kernel = channels, 3

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) to four feature maps, at 1/2, 1/4, 1/8 and 1/16 of the size."""
        features = []
        for level in self.children():
            x = level(x)
            features.append(x)
        return tuple(features)


class _Decoder(nn.Module):
    def __init__(self, in_channels: int, hidden: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.convblock = nn.Sequential(
            _conv(in_channels, hidden),
            _ResBlock(hidden, side),
            nn.ConvTranspose2d(hidden, out_channels, 4, 2, 1),
        )

    def forward(self, *parts: Tensor) -> Tensor:
        """Concatenate the parts along the channels; twice the resolution comes out."""
        out: Tensor = self.convblock(torch.cat(parts, dim=1))
        return out


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two encoded pictures: all that :meth:`IFRNet.decode` needs, for any number of times t.

    Features depend on the pair (its mean is subtracted first), not on one picture alone.
    """

    img0: Tensor
    """(B, 3, H, W), float32, the pair's mean subtracted."""
    img1: Tensor
    mean: Tensor
    """(B, 1, 1, 1), float32."""
    features0: tuple[Tensor, ...]
    """Encoder features of ``img0``, at 1/2, 1/4, 1/8, 1/16 of ``scale`` times the size."""
    features1: tuple[Tensor, ...]
    scale: float


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What the decoders made. Lists run from fine to coarse."""

    image: Tensor
    """(B, 3, H, W), float32, in [0, 1]."""
    flows0: tuple[Tensor, ...]
    """Flow t -> 0, float32: at full size in its pixels, then at 1/2, 1/4, 1/8 of scale times it."""
    flows1: tuple[Tensor, ...]
    """Flow t -> 1, likewise."""
    features: tuple[Tensor, ...]
    """Intermediate features of the made picture, at 1/2, 1/4, 1/8 of ``scale`` times the size."""
    mask: Tensor
    """(B, 1, H, W), in [0, 1]: the weight of the warped ``img0``."""
    residual: Tensor
    """(B, 3, H, W), added after the blend."""


class IFRNet(nn.Module):
    """The network. ``IFRNet(CONFIGS["S"])`` has 104 tensors in the official key layout."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        p1, p2, p3, p4 = config.pyramid
        d4, d3, d2, d1 = config.decoder
        side = config.side
        # Inputs: decoder 4 sees both features and t; the others the features made by the level
        # below, both warped features and both flows. Outputs: both flows and features; at the
        # end both flows, mask and residual.
        self.encoder = _Encoder(config)
        self.decoder4 = _Decoder(2 * p4 + 1, d4, 4 + p3, side)
        self.decoder3 = _Decoder(3 * p3 + 4, d3, 4 + p2, side)
        self.decoder2 = _Decoder(3 * p2 + 4, d2, 4 + p1, side)
        self.decoder1 = _Decoder(3 * p1 + 4, d1, 4 + 1 + 3, side)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.decoder1.convblock[2].weight.dtype  # type: ignore[return-value]

    def encode(
        self, img0: Tensor, img1: Tensor, *, scale: float = 1.0, mean: Tensor | None = None
    ) -> Pair:
        """Encode two pictures (B, 3, H, W) in [0, 1], H and W multiples of 16 / ``scale``.

        ``scale`` is the resolution at which the flow is estimated, relative to the pictures.
        ``mean`` (B, 1, 1, 1) stands in for the mean over both pictures where these carry
        padding that is not to count.
        """
        img0, img1 = img0.float(), img1.float()
        if mean is None:
            mean = pair_mean(img0, img1)
        img0, img1 = img0 - mean, img1 - mean
        both = torch.cat((img0, img1))
        if scale != 1.0:
            both = resize(both, scale)
        features = self.encoder(both.to(self.dtype))
        batch = len(img0)
        return Pair(
            img0=img0,
            img1=img1,
            mean=mean,
            features0=tuple(f[:batch] for f in features),
            features1=tuple(f[batch:] for f in features),
            scale=scale,
        )

    def decode(self, pair: Pair, t: Tensor) -> Synthesis:
        """The picture at time ``t`` (B,) between the pair's, with the flows that made it."""
        f0, f1 = pair.features0, pair.features1
        embt = t.to(f0[3]).view(-1, 1, 1, 1).expand(-1, 1, *f0[3].shape[2:])

        out = self.decoder4(f0[3], f1[3], embt)
        flow0, flow1 = out[:, 0:2].float(), out[:, 2:4].float()
        ft = out[:, 4:]
        flows0, flows1, features = [flow0], [flow1], [ft]
        for level, decoder in ((2, self.decoder3), (1, self.decoder2), (0, self.decoder1)):
            out = decoder(
                ft,
                warp(f0[level], flow0),
                warp(f1[level], flow1),
                flow0.to(ft.dtype),
                flow1.to(ft.dtype),
            )
            flow0 = out[:, 0:2].float() + 2.0 * resize(flow0, 2.0)
            flow1 = out[:, 2:4].float() + 2.0 * resize(flow1, 2.0)
            ft = out[:, 4:]
            flows0.insert(0, flow0)
            flows1.insert(0, flow1)
            features.insert(0, ft)
        # What the last decoder gives in place of features is the mask and the residual.
        last = features.pop(0).float()
        mask, residual = torch.sigmoid(last[:, 0:1]), last[:, 1:4]

        if pair.scale != 1.0:
            up = 1.0 / pair.scale
            flows0[0], flows1[0] = resize(flow0, up) * up, resize(flow1, up) * up
            mask, residual = resize(mask, up), resize(residual, up)
        warped0, warped1 = warp(pair.img0, flows0[0]), warp(pair.img1, flows1[0])
        image = mask * warped0 + (1.0 - mask) * warped1 + pair.mean + residual
        return Synthesis(
            image=image.clamp(0.0, 1.0),
            flows0=tuple(flows0),
            flows1=tuple(flows1),
            features=tuple(features),
            mask=mask,
            residual=residual,
        )

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor, scale: float = 1.0) -> Tensor:
        """Pictures (B, 3, H, W) at time ``t`` (B,) between ``img0`` and ``img1``."""
        return self.decode(self.encode(img0, img1, scale=scale), t).image


def pair_mean(img0: Tensor, img1: Tensor) -> Tensor:
    """The mean over both pictures, all channels and pixels: (B, 1, 1, 1), float32."""
    dims = (1, 2, 3)
    return (img0.float().mean(dims, keepdim=True) + img1.float().mean(dims, keepdim=True)) / 2
