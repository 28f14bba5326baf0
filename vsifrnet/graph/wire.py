"""The graph of the filter: it connects the nodes.

The graph from source to output; Python runs once per frame in the nodes marked with *::

    source time                                retimed by SelectEvery (copies nothing)
    clip -> detectors -> plan*                 -> planned
    clip -> transport -> first*, next*         -> pair -> made* (the network, by the workers)
    clip                                       -> left, right
                                               pick*: left, right, or made -> left's format, props
                                               timing*: durations, times, scene change tags

VapourSynth runs a ModifyFrame's callback for one frame at a time, so there are several ``made``
nodes: one for each slot of :class:`~vsifrnet.engine.workers.Workers`. ``pick`` is a FrameEval,
which requests only frames that are shown.

Frame n is a pure function of n and the source. Caches hold only values that would be computed the
same again.
"""

from __future__ import annotations

from dataclasses import dataclass

import vapoursynth as vs

from vsifrnet.detect.clips import props_only, select, shift, uncached
from vsifrnet.detect.plan import Gap, pairs, plan
from vsifrnet.engine.workers import Workers
from vsifrnet.graph.frames import COLOUR_PROPS
from vsifrnet.graph.nodes import Blend, Finish, Make, Pick, WarnOnce
from vsifrnet.graph.timeline import Timeline
from vsifrnet.graph.timing import TIMING_PROPS, Timing
from vsifrnet.graph.transport import RGB, Transport

__all__ = ["Options", "build"]

CACHED = 4
"""Source frames that are cached for the network, in addition to two for each worker."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that decide what each output frame shows."""

    timeline: Timeline
    matrix: int
    """The matrix of YUV frames without ``_Matrix``, as a number of ITU-T H.273."""
    sc_threshold: float | None
    """The score from which a gap is a scene change; None detects none."""
    sc_mode: str
    """What is shown at a scene change: "hold", "nearest" or "blend"."""
    dup_threshold: float
    """The change from which a frame is another drawing; used if ``dup_max`` is above 0."""
    dup_max: int
    """The longest run of held frames that is bridged; 0 bridges none."""


def build(
    clip: vs.VideoNode, options: Options, transport: Transport, workers: Workers
) -> vs.VideoNode:
    """Connect the nodes as the module's docstring shows, and return the last one."""
    timeline, warn = options.timeline, WarnOnce()
    # Frames that are blended at a cut are mixed on the CPU, as RGB.
    rgb = transport if isinstance(transport, RGB) else RGB(clip, options.matrix)
    for node in {transport.clip, rgb.clip}:
        size = CACHED + 2 * len(workers) + options.dup_max
        node.std.SetVideoCache(mode=1, fixedsize=1, maxsize=size)

    cycle, offsets = timeline.lefts()

    def retime(node: vs.VideoNode) -> vs.VideoNode:
        return uncached(select(node, cycle, offsets)[: timeline.length])

    plan_clip = plan(
        clip,
        sc_threshold=options.sc_threshold,
        dup_threshold=options.dup_threshold,
        dup_max=options.dup_max,
    )
    planned = retime(plan_clip)
    left, right = retime(clip), retime(shift(clip, 1))
    # Request only the neighbours' props, not their planes: a short burst in a variable frame rate
    # can be far more frames than VapourSynth's cache holds.
    props = props_only(clip, [*TIMING_PROPS, *COLOUR_PROPS])
    around = {k: retime(shift(props, k)) for k in range(2 - timeline.reach, timeline.reach)}

    pair = [*map(retime, pairs(transport.clip, plan_clip, options.dup_max)), around[0], planned]
    made = [
        uncached(pair[0].std.ModifyFrame(pair, Make(timeline, transport, workers, slot)))
        for slot in range(len(workers.slots))
    ]
    cut = [retime(rgb.clip), retime(shift(rgb.clip, 1))]
    blended = uncached(cut[0].std.ModifyFrame(cut, Blend(timeline, rgb)))
    finish_made = Finish(transport, left, options.matrix, warn)
    finish_blended = Finish(rgb, left, options.matrix, warn)

    def make(n: int, gap: Gap, left_frame: vs.VideoFrame) -> vs.VideoNode:
        return finish_made(n, made[workers.slots.choose(gap.first)], left_frame)

    def blend(n: int, gap: Gap, left_frame: vs.VideoFrame) -> vs.VideoNode:
        return finish_blended(n, blended, left_frame)

    picked = left.std.FrameEval(
        Pick(timeline, options.sc_mode, (left, right), make, blend),
        prop_src=[planned, left],
        clip_src=[left, right],
    )
    output = uncached(picked)
    if fps := timeline.fps(clip.fps):
        # AssumeFPS sets the clip's frame rate; Timing replaces the durations that it writes.
        output = picked.std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator)
    timing = Timing(timeline, clip, list(around), options.sc_mode, warn)
    return output.std.ModifyFrame([picked, planned, *around.values()], timing)
