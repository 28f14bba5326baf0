"""Turns frames upright that their file asks to show turned, and their metadata with them."""

from __future__ import annotations

from typing import Any

import vapoursynth as vs

__all__ = ["upright"]


def upright(clip: vs.VideoNode) -> vs.VideoNode:
    """Turn a clip of BestSource, opened with ``apply_rotation=0``, as its file says.

    BestSource itself turns the planes alone: neither ``_Alpha`` nor the sample aspect ratio.
    """
    with clip.get_frame(0) as first:
        props: dict[str, Any] = dict(first.props)
    rotation, flip = props.get("Rotation", 0), props.get("FlipVertical", 0)
    num, den = props.get("_SARNum"), props.get("_SARDen")
    if not rotation and not flip:
        return clip
    turned = _turned(clip, rotation, flip)
    if "_Alpha" in props:
        planes = _turned(clip.std.PropToClip("_Alpha"), rotation, flip)
        turned = turned.std.ClipToProp(planes, prop="_Alpha")
    if rotation % 180 and num and den:
        turned = turned.std.SetFrameProps(_SARNum=den, _SARDen=num)
    return turned.std.SetFrameProps(Rotation=0, FlipVertical=0)


def _turned(clip: vs.VideoNode, rotation: int, flip: int) -> vs.VideoNode:
    """Flip upside down where ``flip`` is not 0, then turn by ``rotation`` degrees clockwise."""
    if flip:
        clip = clip.std.FlipVertical()
    if rotation == 90:
        clip = clip.std.Transpose().std.FlipHorizontal()
    elif rotation == 180:
        clip = clip.std.Turn180()
    elif rotation == 270:
        clip = clip.std.Transpose().std.FlipVertical()
    return clip
