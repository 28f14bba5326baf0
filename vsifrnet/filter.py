"""The filter: validate, plan, wire nodes.

The graph, from source to output; Python runs once a frame in the nodes marked *::

    source time                                retimed by SelectEvery (copies nothing)
    clip -> detectors -> facts* -> plan*       -> moments
    clip -> RGBS (zimg) -> first*, next*       -> pair -> made* (the network, one for each lane)
    clip                                       -> left, right
                                               pick*: left, right, or made -> zimg -> left's props
                                               timed*: durations and times

VapourSynth runs a ModifyFrame's callback for one frame at a time, so the number of ``made`` nodes
is the number of pairs in flight. No callback asks for frames itself; each gets what its node
requested, and what is not shown is not requested: ``pick`` is a FrameEval.

Frame n is a pure function of n and the source: nothing here remembers earlier frames, except
for caches of values that would come out the same.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
import vapoursynth as vs

from vsifrnet import arguments, backend, frames, held, scenes, weights
from vsifrnet.frames import Colour
from vsifrnet.gaps import DUP_MAX, Gap, Kind, plan, shift
from vsifrnet.interpolator import SCALES, Interpolator, prepare
from vsifrnet.lanes import Lanes, Source
from vsifrnet.timecodes import Timecodes
from vsifrnet.timeline import TimedTimeline, Timeline

__all__ = ["ifrnet"]

log = logging.getLogger("vsifrnet")

RGB_CACHE = 4
"""Converted source frames that are kept, beside two for each pair in flight."""


def ifrnet(
    clip: vs.VideoNode,
    *,
    multi: int | Fraction = 2,
    fps_num: int | None = None,
    fps_den: int | None = None,
    model: str | Path | None = None,
    scale: float = 1.0,
    ensemble: bool = False,
    sc: bool = True,
    sc_threshold: float = scenes.DEFAULT_THRESHOLD,
    sc_mode: str = "hold",
    dup_mode: str = "keep",
    dup_max: int = 3,
    dup_threshold: float = held.DEFAULT_THRESHOLD,
    timecodes: Timecodes | None = None,
    matrix: int | str | None = None,
    device: str | int | torch.device | None = None,
    precision: str = "auto",
    num_streams: int | None = None,
    auto_download: bool = False,
) -> vs.VideoNode:
    """Interpolate frames with IFRNet.

    Output frame n shows the source at time n / multi (counted in source frames). Where that is a
    source frame, it is that frame, bit for bit; elsewhere a frame is made between two, unless
    these are equal or a cut lies between them. The result has the source's format, its
    dimensions, and floor(frames * multi) frames; past the last source frame it stays.

    Args:
        clip: constant format and size, at least 2 frames; GRAY, YUV or RGB, 8 to 16 bit integer,
            half or single float.
        multi: output frames per source frame, above 0.
        fps_num, fps_den: target frame rate in place of ``multi``; needs a clip with a frame rate.
        model: a model's name or a path to weights (.safetensors, .pth); None is the one in the
            package.
        scale: resolution of the flow relative to the picture: 0.25, 0.5, 1, 2 or 4. Below 1 it is
            faster and finds larger motion, for 4K; above 1 it is finer, for small pictures.
        ensemble: average four mirrored runs: four times the work, slightly better.
        sc: make no frames across scene changes.
        sc_threshold: how much must change for a scene change, above 0 and up to 1.
        sc_mode: what is shown there: "hold" (the left frame), "nearest", or "blend".
        dup_mode: what becomes of a drawing that is held for several frames: "keep" shows it for
            as long and makes frames in the last gap only, "bridge" moves from its first frame to
            the next drawing's in even steps.
        dup_max: with "bridge", the longest run of held frames that is a drawing, 1 to 8; longer
            ones are a picture that stands still.
        dup_threshold: with "bridge", the change, in 8-bit steps within 32x32 pixels, from which on
            a frame shows another drawing; above 0.
        timecodes: the frames' times, for a target rate on a clip of variable frame rate: a
            timecode file (v1, v2) or one time in seconds a frame. Needs ``fps_num``.
        matrix: of YUV frames that carry no ``_Matrix``: a name or a number as in ``core.resize``;
            None is 709 above 576 lines and 170m up to there.
        device: None (CUDA if there is one, else the CPU), "cpu", "cuda", "cuda:1", or an index.
        precision: "auto", "fp32", "fp16" or "bf16"; see :func:`vsifrnet.backend.resolve`.
        num_streams: pairs of frames in flight; None is 2 on CUDA, 1 on the CPU.
        auto_download: fetch a named model that is not here yet.

    Raises:
        vs.Error: an argument is not accepted; the message names it, its value and what is.
    """
    try:
        arguments.check_clip(clip)
        timeline = arguments.timeline(clip, multi, fps_num, fps_den, timecodes)
        arguments.check_choice("scale", scale, SCALES)
        arguments.check_bool("ensemble", ensemble)
        arguments.check_bool("sc", sc)
        arguments.check_bool("auto_download", auto_download)
        arguments.check_unit("sc_threshold", sc_threshold)
        arguments.check_choice("sc_mode", sc_mode, arguments.SC_MODES)
        arguments.check_choice("dup_mode", dup_mode, arguments.DUP_MODES)
        arguments.check_int("dup_max", dup_max, 1, DUP_MAX)
        arguments.check_positive("dup_threshold", dup_threshold)
        matrix = arguments.default_matrix(clip, matrix)
        engine = backend.resolve(device, precision, num_streams)
        loaded = weights.load(model, auto_download=auto_download)
        if loaded.t_blind:
            arguments.check_halving(timeline, dup_mode, loaded.t_blind_reason)
    except ValueError as error:
        raise vs.Error(f"ifrnet: {error}") from error

    log.info("ifrnet: model %s on %s", loaded.name, engine)
    network = prepare(loaded, engine)
    interpolators = [
        Interpolator(network, t_blind=loaded.t_blind, scale=scale, ensemble=ensemble)
        for _ in range(engine.num_streams)
    ]
    lanes = Lanes(interpolators, engine.device)
    if dup_mode == "keep":
        dup_max = 0
    gaps = plan(
        clip,
        sc_threshold=sc_threshold if sc else None,
        dup_threshold=dup_threshold,
        dup_max=dup_max,
    )
    return _wire(clip, timeline, gaps, lanes, matrix, sc_mode, dup_max)


def _wire(
    clip: vs.VideoNode,
    timeline: Timeline | TimedTimeline,
    gaps: vs.VideoNode,
    lanes: Lanes,
    matrix: int,
    sc_mode: str,
    dup_max: int,
) -> vs.VideoNode:
    """Build the graph that the module's docstring draws."""
    cycle, offsets = timeline.lefts()

    def retime(node: vs.VideoNode) -> vs.VideoNode:
        node = node.std.SelectEvery(cycle, offsets, modify_duration=False)
        return _uncached(node[: timeline.length])

    sources = [retime(shift(clip, k)) for k in range(timeline.reach)]
    moments = retime(gaps)

    rgb = frames.to_rgb(clip, matrix)
    kept = RGB_CACHE + 2 * len(lanes) + dup_max
    rgb.std.SetVideoCache(mode=1, fixedsize=1, maxsize=kept)
    firsts = [shift(rgb, -k) for k in range(max(dup_max, 1))]
    nexts = [shift(rgb, k) for k in range(1, max(dup_max, 1) + 1)]
    first = rgb.std.FrameEval(_First(firsts), prop_src=gaps, clip_src=firsts)
    following = rgb.std.FrameEval(_Next(nexts), prop_src=gaps, clip_src=nexts)
    pair = [retime(_uncached(first)), retime(_uncached(following)), moments]
    makers = [
        _uncached(pair[0].std.ModifyFrame(pair, _Make(timeline, lanes, index)))
        for index in range(len(lanes))
    ]
    blender = _uncached(pair[0].std.ModifyFrame(pair, _Blend(timeline)))

    picked = sources[0].std.FrameEval(
        _Pick(timeline, sources, makers, blender, matrix, sc_mode),
        prop_src=[moments, sources[0]],
        clip_src=sources[:2],
    )
    timed = _uncached(picked)
    if fps := timeline.fps(clip.fps):
        # For the clip's frame rate only; _Time writes the frames' durations.
        timed = picked.std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator)
    return timed.std.ModifyFrame([picked, *sources], _Time(timeline, clip))


class _First:
    """FrameEval: frame k is the first picture of gap k's pair."""

    def __init__(self, shifted: list[vs.VideoNode]) -> None:
        self._shifted = shifted  # by 0, -1, ...

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoNode:
        return self._shifted[n - Gap.read(f.props).first]


class _Next:
    """FrameEval: frame k is the second picture of gap k's pair."""

    def __init__(self, shifted: list[vs.VideoNode]) -> None:
        self._shifted = shifted  # by 1, 2, ...

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoNode:
        return self._shifted[Gap.read(f.props).next - n - 1]


class _Pick:
    """FrameEval: the node that an output frame comes from."""

    def __init__(
        self,
        timeline: Timeline | TimedTimeline,
        sources: list[vs.VideoNode],
        makers: list[vs.VideoNode],
        blender: vs.VideoNode,
        matrix: int,
        sc_mode: str,
    ) -> None:
        self._timeline = timeline
        self._left, self._right = sources[:2]
        self._makers = makers
        self._blender = blender
        self._matrix = matrix
        self._sc_mode = sc_mode
        # The way back to the source's format, for each maker and each colour that occurs.
        self._finished: dict[tuple[vs.VideoNode, Colour], vs.VideoNode] = {}
        self._said: set[str] = set()

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoNode:
        moment, left = f
        gap = Gap.read(moment.props)
        position = self._timeline.position(n)
        if gap.kind is Kind.STILL or gap.time(position.time) == 0:
            return self._left
        if gap.kind is Kind.MAKE:
            # All times of a pair go to one maker, which then encodes the pair once.
            return self._finish(self._makers[gap.first % len(self._makers)], left)
        if self._sc_mode == "blend":
            return self._finish(self._blender, left)
        right_is_nearest = self._sc_mode == "nearest" and 2 * position.phase >= 1
        return self._right if right_is_nearest else self._left

    def _finish(self, rgb: vs.VideoNode, left: vs.VideoFrame) -> vs.VideoNode:
        """Frames of ``rgb`` in the format and with the props of the source's."""
        form = self._left.format
        colour = Colour.of(left.props)
        if (rgb, colour) not in self._finished:
            if form.color_family == vs.YUV and colour.matrix is None:
                self._say("frames without _Matrix are taken as matrix=%d", self._matrix)
            if left.props.get("_FieldBased", 0):
                self._say("frames are marked as interlaced, and treated as progressive")
            node = frames.from_rgb(rgb, form, colour, self._matrix)
            self._finished[rgb, colour] = _uncached(node.std.CopyFrameProps(self._left))
        return self._finished[rgb, colour]

    def _say(self, message: str, *values: object) -> None:
        if message not in self._said:
            self._said.add(message)
            log.warning(f"ifrnet: {message}", *values)


class _Make:
    """ModifyFrame: the frame between two, by the network."""

    def __init__(self, timeline: Timeline | TimedTimeline, lanes: Lanes, index: int) -> None:
        self._timeline = timeline
        self._lanes = lanes
        self._index = index

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        first, following, moment = f
        gap = Gap.read(moment.props)
        try:
            picture = self._lanes.make(
                self._index,
                self._source(gap.first, first),
                self._source(gap.next, following),
                gap.time(self._timeline.position(n).time),
            )
            return frames.write(picture, like=first)
        except Exception as error:
            raise vs.Error(f"ifrnet: frame {n}: {backend.explain(error)}") from error

    def _source(self, number: int, frame: vs.VideoFrame) -> Source:
        return Source(number, partial(frames.read, frame, pinned=self._lanes.pinned))


class _Blend:
    """ModifyFrame: two frames mixed by their distance in time."""

    def __init__(self, timeline: Timeline | TimedTimeline) -> None:
        self._timeline = timeline

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        first, following, _ = f
        phase = float(self._timeline.position(n).phase)
        mixed = torch.lerp(frames.read(first), frames.read(following), phase)
        return frames.write(mixed, like=first)


class _Time:
    """ModifyFrame: when and for how long an output frame is shown, from the source's own times."""

    def __init__(self, timeline: Timeline | TimedTimeline, clip: vs.VideoNode) -> None:
        self._timeline = timeline
        self._default = 1 / clip.fps if clip.fps else None
        self._rgb = clip.format.color_family == vs.RGB

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        picked, *sources = f
        position = self._timeline.position(n)
        frame = picked.copy()
        props = frame.props
        if self._rgb:
            props["_Matrix"] = vs.MATRIX_RGB
        if position.phase and "_SceneChangePrev" in props:
            props["_SceneChangePrev"] = 0  # that cut is before the left frame, not before this one
        durations = [self._duration(source.props) for source in sources]
        duration = self._timeline.duration(n, durations)
        if duration is None:
            # A part of it is unknown; the left frame's would be wrong.
            for name in ("_DurationNum", "_DurationDen"):
                props.pop(name, None)
        else:
            props["_DurationNum"], props["_DurationDen"] = duration.as_integer_ratio()
        if position.phase and "_AbsoluteTime" in props:
            begin = sources[0].props.get("_AbsoluteTime")
            if begin is None or durations[0] is None:
                del props["_AbsoluteTime"]
            else:
                props["_AbsoluteTime"] = begin + float(position.phase * durations[0])
        return frame

    def _duration(self, props: vs.FrameProps) -> Fraction | None:
        num, den = props.get("_DurationNum"), props.get("_DurationDen")
        return Fraction(num, den) if num and den else self._default


def _uncached(node: vs.VideoNode) -> vs.VideoNode:
    """For nodes whose frames are kept elsewhere, or are asked for once."""
    node.std.SetVideoCache(mode=0)
    return node
