"""Helpers for clips: clips that carry only props, shifts in time, caches, expressions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import batched

import vapoursynth as vs

__all__ = ["blank", "cached", "fold", "props_only", "select", "shift", "uncached"]

CACHED = 256
"""Number of one-pixel frames that a clip of props caches."""

MAX_OFFSETS = 4096
"""Maximum offsets per SelectEvery call; its setup is quadratic."""


def blank(clip: vs.VideoNode) -> vs.VideoNode:
    """Return a clip of one pixel, as long as ``clip``, whose frames can carry props."""
    return clip.std.BlankClip(width=1, height=1, format=vs.GRAY8, length=clip.num_frames, keep=1)


def props_only(clip: vs.VideoNode, names: Sequence[str]) -> vs.VideoNode:
    """Return a clip of one pixel whose frames carry the props ``names`` of ``clip``."""
    return cached(blank(clip).std.CopyFrameProps(clip, props=list(names)))


def shift(node: vs.VideoNode, frames: int) -> vs.VideoNode:
    """Return ``node`` moved so that its frame k is frame k + ``frames``.

    The first and the last frame stand in for frames beyond the ends.
    """
    last = node.num_frames - 1
    if frames > 0:
        frames = min(frames, last)
        rest, repeated = node[frames:], [last - frames] * frames
    elif frames < 0:
        frames = max(frames, -last)
        rest, repeated = node[:frames], [0] * -frames
    else:
        return node
    return uncached(uncached(rest).std.DuplicateFrames(repeated))


def select(node: vs.VideoNode, cycle: int, offsets: Sequence[int]) -> vs.VideoNode:
    """Call ``std.SelectEvery``, in parts if a cycle of many offsets spans the whole clip."""
    if len(offsets) <= MAX_OFFSETS or cycle < node.num_frames:
        return uncached(node.std.SelectEvery(cycle, offsets, modify_duration=False))
    parts = []
    for chosen in batched(offsets, MAX_OFFSETS):
        first = min(chosen[0], node.num_frames - 2)  # A cycle has at least two frames.
        end = max(chosen[-1] + 1, first + 2)
        own = [offset - first for offset in chosen]
        parts.append(select(uncached(node[first:end]), end - first, own))
    return uncached(vs.core.std.Splice(parts))


def cached(node: vs.VideoNode) -> vs.VideoNode:
    """Let ``node`` cache its last frames, because several nodes request them."""
    node.std.SetVideoCache(mode=1, fixedsize=1, maxsize=CACHED)
    return node


def uncached(node: vs.VideoNode) -> vs.VideoNode:
    """Let ``node`` cache nothing, because another node does or each frame is requested once."""
    node.std.SetVideoCache(mode=0)
    return node


def fold(operands: Sequence[str], operator: str) -> str:
    """Return the ``std.Expr`` expression that joins ``operands`` by a binary ``operator``."""
    return " ".join(operands) + f" {operator}" * (len(operands) - 1)
