"""The classical interpolators that IFRNet is compared with: each doubles a clip's frame rate."""

from __future__ import annotations

from collections.abc import Callable

import vapoursynth as vs

__all__ = ["METHODS", "Method", "blend", "installed", "mvtools", "svpflow"]

Method = Callable[[vs.VideoNode], vs.VideoNode]
"""Returns a clip of twice the frame rate, whose even frames are those of the clip it is given."""


def blend(clip: vs.VideoNode) -> vs.VideoNode:
    """Double the frame rate by the mean of neighbouring frames."""
    following = clip[1:] + clip[-1]
    return vs.core.std.Interleave([clip, clip.std.Merge(following)])


def mvtools(clip: vs.VideoNode) -> vs.VideoNode:
    """Double the frame rate by the script of mvtools' documentation."""
    mv = vs.core.mv
    planes = mv.Super(clip)
    backward, forward = (mv.Analyse(planes, isb=isb, blksize=16, overlap=8) for isb in (1, 0))
    return mv.FlowFPS(clip, planes, backward, forward, num=2 * clip.fps_num, den=clip.fps_den)


def svpflow(clip: vs.VideoNode) -> vs.VideoNode:
    """Double the frame rate by SVP's usual script, on the CPU."""
    planes = vs.core.svp1.Super(clip, "{gpu:0}")
    vectors = vs.core.svp1.Analyse(planes["clip"], planes["data"], clip, "{}")
    made: vs.VideoNode = vs.core.svp2.SmoothFps(
        clip,
        planes["clip"],
        planes["data"],
        vectors["clip"],
        vectors["data"],
        "{rate:{num:2,den:1},algo:23}",
    )
    return made


METHODS: dict[str, Method] = {"blend": blend, "mvtools": mvtools, "svpflow": svpflow}
"""Every method by its name on the command line and in the tables."""

PLUGINS = {"mvtools": ("mv",), "svpflow": ("svp1", "svp2")}
"""Namespaces of the VapourSynth plugins that a method needs."""


def installed() -> dict[str, Method]:
    """Return the methods whose plugins VapourSynth has loaded."""
    return {
        name: method
        for name, method in METHODS.items()
        if all(hasattr(vs.core, plugin) for plugin in PLUGINS.get(name, ()))
    }
