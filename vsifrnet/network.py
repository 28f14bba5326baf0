"""IFRNet (Kong et al., CVPR 2022, arXiv 2205.14620) as one class and three configurations.

This module defines the network and nothing else; its operators are in ``engine/ops.py``.

Conventions, here and wherever tensors are handled:

* pictures are ``(B, 3, H, W)``, RGB, in ``[0, 1]``;
* a flow is ``(B, 2, H, W)``, x before y, in pixels of its own resolution, and points from the
  interpolated picture to a source picture: ``flow0`` is t -> 0, ``flow1`` is t -> 1;
* time ``t`` is in ``[0, 1]``: 0 is ``img0``, 1 is ``img1``;
* flows, sampling positions and the final blend are float32 whatever the precision of the
  weights (half precision positions are off by half a pixel at 1920 wide).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsifrnet.engine import ops
from vsifrnet.engine.operators import EAGER, Operators, Up
from vsifrnet.engine.sampling import Sampling

__all__ = ["CONFIGS", "Config", "IFRNet", "Pair", "Synthesis"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The parameters in which the sizes of the network differ."""

    name: str
    """Official name of the size: S, base or L."""
    pyramid: tuple[int, int, int, int]
    """Encoder channels, from half to a sixteenth of the resolution."""
    decoder: tuple[int, int, int, int]
    """Hidden channels of decoder 4 (the coarsest), 3, 2 and 1."""
    side: int
    """Number of channels that the side convolutions of a ResBlock read."""
    stem: int
    """Kernel size of the first convolution."""
    align: int = 1
    """Number that divides the decoders' input and hidden channels; 1 is the official layout."""
    align_encoder: int = 1
    """Number that divides the encoder's channels, including the pictures' three."""


CONFIGS: dict[str, Config] = {
    config.name: config
    for config in (
        Config(name="S", pyramid=(24, 36, 54, 72), decoder=(144, 162, 108, 72), side=24, stem=3),
        Config(name="base", pyramid=(32, 48, 72, 96), decoder=(192, 216, 144, 96), side=32, stem=3),
        Config(name="L", pyramid=(64, 96, 144, 192), decoder=(384, 432, 288, 192), side=64, stem=7),
    )
}


class _ConvPReLU(nn.Sequential):
    operators = EAGER

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1):
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2)
        super().__init__(conv, nn.PReLU(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        conv, activation = self
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(activation, nn.PReLU)
        return self.operators.conv_prelu(x, conv, activation.weight)


class _ResBlock(nn.Module):
    """Five convolutions; the second and fourth refine the last ``side`` channels only."""

    operators = EAGER

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.conv1 = _ConvPReLU(channels, channels)
        self.conv2 = _ConvPReLU(side, side)
        self.conv3 = _ConvPReLU(channels, channels)
        self.conv4 = _ConvPReLU(side, side)
        self.conv5 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.prelu = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self.operators.conv_refine(x, self.conv1, self.conv2)
        out = self.operators.conv_refine(out, self.conv3, self.conv4)
        return self.operators.conv_prelu(out, self.conv5, self.prelu.weight, residual=x)


class _Encoder(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self._channels = config.pyramid
        self.in_channels = in_channels = _up(3, config.align_encoder)
        kernel = config.stem
        for level, channels in enumerate(config.pyramid, start=1):
            channels = _up(channels, config.align_encoder)
            block = nn.Sequential(
                _ConvPReLU(in_channels, channels, kernel, stride=2), _ConvPReLU(channels, channels)
            )
            self.add_module(f"pyramid{level}", block)
            in_channels, kernel = channels, 3

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return four feature maps of (B, 3, H, W), at 1/2, 1/4, 1/8 and 1/16 of its size."""
        if missing := self.in_channels - x.shape[1]:
            x = F.pad(x, (0, 0, 0, 0, 0, missing))
        features = []
        for level, channels in zip(self.children(), self._channels, strict=True):
            x = level(x)
            features.append(x if x.shape[1] == channels else x[:, :channels])
        return tuple(features)


class _Decoder(nn.Module):
    def __init__(self, in_channels: int, hidden: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.convblock = nn.Sequential(
            _ConvPReLU(in_channels, hidden),
            _ResBlock(hidden, side),
            Up(hidden, out_channels),
        )

    def _decode(self, x: Tensor) -> Tensor:
        # Calling the block as a whole would hold its input until the end, and at the finest level
        # each tensor is a tenth of the memory that a frame needs.
        for step in self.convblock:
            x = step(x)
        return x


class _CoarsestDecoder(_Decoder):
    def forward(self, f0: Tensor, f1: Tensor, embt: Tensor) -> Tensor:
        """Decode features (B, C, H, W) and the time (B, 1, H, W) to (B, out, 2 H, 2 W)."""
        return self._decode(ops.concatenate(f0, f1, embt, channels=self.in_channels))


class _WarpingDecoder(_Decoder):
    operators = EAGER

    def forward(self, ft: Tensor, level: Tensor, flow: Tensor) -> Tensor:
        """Decode ``ft`` and ``level`` (2 B, C, H, W), warped by flow (B, 4, H, W)."""
        return self._decode(self.operators.join_warped(ft, level, flow, self.in_channels))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two encoded pictures, from which :meth:`IFRNet.decode` makes pictures at any times t.

    Features depend on both pictures, because their common mean is subtracted first. Tensors of
    both pictures have a batch of 2 B: B pictures 0, then B pictures 1.
    """

    pictures: Tensor
    """Pictures (2 B, 3, H, W), float32, with the mean of the pair subtracted."""
    mean: Tensor
    """Mean of the pair (B, 1, 1, 1), float32."""
    features: tuple[Tensor, ...]
    """Encoder features (2 B, C, ...), at 1/2, 1/4, 1/8, 1/16 of ``scale`` times the size."""
    scale: float
    """Resolution of the flow, relative to the pictures."""
    limits: tuple[Tensor, Tensor] | None = None
    """Minimum and maximum of an interpolated picture, as scalars; None is 0 and 1."""


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """The result of the decoders. Tuples are ordered from fine to coarse."""

    image: Tensor
    """Interpolated picture (B, 3, H, W), float32, in [0, 1] or the limits of the pair."""
    flows0: tuple[Tensor, ...]
    """Flows t -> 0, float32: at full size, then at 1/2, 1/4 and 1/8 of ``scale`` times that."""
    flows1: tuple[Tensor, ...]
    """Flows t -> 1, in the same sizes."""
    features: tuple[Tensor, ...]
    """Features of the interpolated picture, at 1/2, 1/4 and 1/8 of ``scale`` times the size."""
    mask: Tensor
    """Weight (B, 1, H, W), in [0, 1], of the warped ``img0`` in the blend."""
    residual: Tensor
    """Residual (B, 3, H, W), which is added after the blend."""


class IFRNet(nn.Module):
    """The network; its state dict has the official key layout (104 tensors).

    ``sampling`` is how the final blend samples the pictures; features are sampled bilinearly.
    """

    operators = EAGER

    def __init__(self, config: Config, *, sampling: Sampling = "bilinear") -> None:
        super().__init__()
        self.config, self.sampling = config, sampling
        p1, p2, p3, p4 = config.pyramid
        side = config.side
        up = partial(_up, multiple=config.align)
        d4, d3, d2, d1 = map(up, config.decoder)
        # Inputs: decoder 4 sees both features and t; the others the features made by the level
        # below, both warped features and both flows. Outputs: both flows and features; at the
        # end both flows, mask and residual.
        self.encoder = _Encoder(config)
        self.decoder4 = _CoarsestDecoder(up(2 * p4 + 1), d4, 4 + p3, side)
        self.decoder3 = _WarpingDecoder(up(3 * p3 + 4), d3, 4 + p2, side)
        self.decoder2 = _WarpingDecoder(up(3 * p2 + 4), d2, 4 + p1, side)
        self.decoder1 = _WarpingDecoder(up(3 * p1 + 4), d1, 4 + 1 + 3, side)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self.decoder1.convblock[2].weight.dtype  # type: ignore[return-value]

    def encode(
        self, img0: Tensor, img1: Tensor, *, scale: float = 1.0, mean: Tensor | None = None
    ) -> Pair:
        """Encode two pictures (B, 3, H, W) in [0, 1], H and W multiples of 16 / ``scale``.

        ``scale`` is the resolution at which the flow is estimated, relative to the pictures.
        ``mean`` (B, 1, 1, 1) replaces the mean of both pictures where their padding must not count.
        """
        pictures = torch.cat((img0, img1)).float()
        if mean is None:
            mean = ops.pair_mean(*pictures.chunk(2))
        pictures = pictures.sub_(mean.repeat(2, 1, 1, 1))  # torch.cat has made a copy.
        resized = pictures if scale == 1.0 else ops.resize(pictures, scale)
        resized = resized.to(self.dtype, memory_format=torch.channels_last)
        return Pair(pictures=pictures, mean=mean, features=self.encoder(resized), scale=scale)

    def decode(self, pair: Pair, t: Tensor) -> Synthesis:
        """Return the picture at time ``t`` (B,) between those of the pair, and its flows."""
        flows, features = self._estimate(pair, t)
        flow, out = flows[0], features.pop(0)
        flows.insert(0, self.operators.add_flow(out, flow))
        # The last decoder returns the mask and the residual in place of features.
        last = out[:, 4:].to(torch.float32, memory_format=torch.contiguous_format)
        mask, residual = torch.sigmoid(last[:, 0:1]), last[:, 1:4]

        if pair.scale != 1.0:
            up = 1.0 / pair.scale
            flows[0] = ops.resize(flows[0], up) * up
            mask, residual = ops.resize(mask, up), ops.resize(residual, up)
        image = residual + ops.blend(pair.pictures, flows[0], mask, self.sampling).add_(pair.mean)
        return Synthesis(
            image=image.clamp(0.0, 1.0) if pair.limits is None else image.clamp(*pair.limits),
            flows0=tuple(flow[:, 0:2] for flow in flows),
            flows1=tuple(flow[:, 2:4] for flow in flows),
            features=tuple(features),
            mask=mask,
            residual=residual,
        )

    def picture(self, pair: Pair, t: Tensor) -> Tensor:
        """Return the image of :meth:`decode` alone."""
        if pair.scale == 1.0 and self.operators is not EAGER:
            flows, features = self._estimate(pair, t)
            image = self.operators.synthesize(features[0], flows[0], pair, self.sampling)
            if image is not None:
                return image
        return self.decode(pair, t).image

    def _estimate(self, pair: Pair, t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Run the decoders; return flows and features, from fine to coarse.

        Decoder 1 has no flow in the list. Its entry in the features is its whole output: the
        change of the flow, the mask and the residual.
        """
        *fine, coarsest = pair.features
        f0, f1 = coarsest.chunk(2)
        embt = t.to(coarsest).view(-1, 1, 1, 1).expand(-1, 1, *coarsest.shape[2:])
        out = self.decoder4(f0, f1, embt)
        flow = out[:, :4].to(torch.float32, memory_format=torch.contiguous_format)
        flows, features = [flow], [out[:, 4:]]
        for level, decoder in ((fine[2], self.decoder3), (fine[1], self.decoder2)):
            out = decoder(features[0], level, flow)
            flow = self.operators.add_flow(out, flow)
            flows.insert(0, flow)
            features.insert(0, out[:, 4:])
        features.insert(0, self.decoder1(features[0], fine[0], flow))
        return flows, features

    def use(self, operators: Operators) -> IFRNet:
        """Replace the operators in all modules; the weights stay. Return the network itself."""
        for module in self.modules():
            if hasattr(module, "operators"):
                module.operators = operators  # type: ignore[assignment]
        return self

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor, scale: float = 1.0) -> Tensor:
        """Return the pictures (B, 3, H, W) at time ``t`` (B,) between ``img0`` and ``img1``."""
        return self.decode(self.encode(img0, img1, scale=scale), t).image


def _up(channels: int, multiple: int) -> int:
    return channels + -channels % multiple
