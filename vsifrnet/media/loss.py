"""Checks that a written video file carries the colour and shape that its frames have."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import vapoursynth as vs

from vsifrnet.files import location
from vsifrnet.media.formats import RANGES

__all__ = ["warn_of_loss"]

log = logging.getLogger("vsifrnet")

UNSPECIFIED = 2
"""The value of FFmpeg (and ITU-T H.273) for an unspecified matrix, primaries or transfer."""


def warn_of_loss(path: Path, name: str, props: Mapping[str, Any]) -> None:
    """Log what of ``props`` neither the container nor the codec of a video tells.

    Args:
        path: the finished file.
        name: what to call it.
        props: of its first frame.
    """
    with av.open(location(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        rgb = context.format is not None and context.format.is_rgb
        aspect = stream.sample_aspect_ratio
        said = {
            "_Primaries": context.color_primaries,
            "_Transfer": context.color_trc,
            "_Matrix": context.colorspace,
        }
        full = context.color_range == RANGES[vs.RANGE_FULL]
    num, den = props.get("_SARNum", 0), props.get("_SARDen", 0)
    lost = []
    if num > 0 and den > 0 and num != den and (not aspect or abs(aspect * den / num - 1) > 0.02):
        lost.append(f"a sample aspect ratio of {Fraction(num, den)}")
    lost += [
        f"{prop}={int(props[prop])}"
        for prop, value in said.items()
        if props.get(prop, UNSPECIFIED) not in (UNSPECIFIED, value)
        and not (rgb and prop == "_Matrix")
    ]
    if props.get("_Range") == vs.RANGE_FULL and not full and not rgb:
        lost.append("full range")
    if lost:
        log.warning("%s does not say what the source does: %s", name, ", ".join(lost))
