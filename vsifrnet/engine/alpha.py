"""Pictures with an alpha channel: (4, H, W), RGB and alpha, of values in [0, 1].

Colours of transparent places are arbitrary and must not spread into visible places. Therefore what
is moved and mixed is the product of colour and alpha, and alpha itself as a fourth plane.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["blend", "multiplied", "opaque", "straight"]

VISIBLE = 1 / 1024
"""The least alpha at which a colour shows. Below it the quotient would be noise, and is black."""


def opaque(picture: Tensor) -> Tensor:
    """Return a picture of RGB (3, H, W) with an alpha channel of 1; others as they are."""
    if picture.shape[0] == 4:
        return picture
    return torch.cat((picture, torch.ones_like(picture[:1])))


def multiplied(picture: Tensor) -> Tensor:
    """Return RGBA with its colours multiplied by alpha, in float32."""
    picture = picture.float()
    alpha = picture[3:].clamp(0.0, 1.0)
    return torch.cat((picture[:3] * alpha, alpha))


def straight(picture: Tensor, pair: tuple[Tensor, Tensor]) -> Tensor:
    """Undo :func:`multiplied` for a picture made between two; colours stay in their range."""
    product, alpha = picture[:3], picture[3:]
    colours = [img[:3].float() for img in pair]
    low = torch.stack([img.amin() for img in colours]).amin().clamp(max=0.0).to(picture.device)
    high = torch.stack([img.amax() for img in colours]).amax().clamp(min=1.0).to(picture.device)
    quotient = torch.where(alpha >= VISIBLE, product / alpha.clamp(min=VISIBLE), 0.0)
    return torch.cat((quotient.clamp(low, high), alpha))


def blend(img0: Tensor, img1: Tensor, t: float) -> Tensor:
    """Mix two pictures (3, H, W), or (4, H, W) with alpha, by their distance in time."""
    if img0.shape[0] == 3 == img1.shape[0]:
        return torch.lerp(img0, img1, t)
    pair = opaque(img0), opaque(img1)
    return straight(torch.lerp(multiplied(pair[0]), multiplied(pair[1]), t), pair)
