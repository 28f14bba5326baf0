"""The filter: validate, plan, wire nodes.

The graph, from source to output; Python runs once a frame in the nodes marked *::

    source time                                retimed by SelectEvery (copies nothing)
    clip -> detectors -> facts* -> plan*       -> moments
    clip -> RGB (zimg) -> first*, next*        -> pair -> made* (the network, two for each worker)
    clip                                       -> left, right
                                               pick*: left, right, or made -> zimg -> left's props
                                               timed*: durations and times

Where the network is on a GPU, YUV takes the same way without zimg: see
:mod:`~vsifrnet.graph.transport`. VapourSynth runs a ModifyFrame's callback for one frame at a time,
so that pictures are made side by side by several ``made`` nodes: two for each worker, see
:class:`~vsifrnet.engine.workers.Workers`. No callback asks for frames itself; each gets what its
node requested, and what is not shown is not requested:
``pick`` is a FrameEval.

Frame n is a pure function of n and the source: nothing here remembers earlier frames, except
for caches of values that would come out the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import batched
from pathlib import Path

import torch
import vapoursynth as vs

from vsifrnet import arguments
from vsifrnet.detect import held, scenes
from vsifrnet.detect.plan import DUP_MAX, Gap, Kind, plan, props_alone, shift
from vsifrnet.engine import backend
from vsifrnet.engine.interpolator import SCALES, Interpolator, prepare
from vsifrnet.engine.workers import Workers
from vsifrnet.graph import frames, transport
from vsifrnet.graph.frames import COLOUR_PROPS, Colour
from vsifrnet.graph.timecodes import Timecodes
from vsifrnet.graph.timeline import Position, TimedTimeline, Timeline
from vsifrnet.graph.transport import RGB, Transport
from vsifrnet.weights import load as weights

__all__ = ["ifrnet"]

log = logging.getLogger("vsifrnet")

TOLERANCE = 0.25
"""How far a frame's duration may be from what a constant rate says, relative to that."""

MOST_OFFSETS = 4096
"""Of one SelectEvery."""

TIMING = ("_DurationNum", "_DurationDen", "_AbsoluteTime", "_SceneChangePrev", "_SceneChangeNext")
"""Props that say something of a frame's time, or of what comes before or after it."""

CACHE = 4
"""Source frames that are kept for the network, beside two for each pair in flight."""


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
        multi: output frames per source frame, from 1/100 to 1000.
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
            a frame shows another drawing, 0 to 255.
        timecodes: the frames' times, for a target rate on a clip of variable frame rate: a
            timecode file (v1, v2) or one time in seconds a frame. Needs ``fps_num``.
        matrix: of YUV frames that carry no ``_Matrix``: a name or a number as in ``core.resize``;
            None is 709 above 576 lines and 170m up to there.
        device: None (CUDA if there is one, else the CPU), "cpu", "cuda", "cuda:1", or an index.
        precision: "auto", "fp32", "fp16" or "bf16"; see :func:`vsifrnet.engine.backend.resolve`.
        num_streams: pairs of frames in flight, which on the CPU share out the cores; None is 2.
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
        arguments.check_up_to("dup_threshold", dup_threshold, 255)
        matrix = arguments.default_matrix(clip, matrix)
        engine = backend.resolve(device, precision, num_streams)
        loaded = weights.load(model, auto_download=auto_download)
        if loaded.t_blind:
            arguments.check_halving(timeline, dup_mode, loaded.t_blind_reason)
            if num_streams is None and engine.device.type == "cpu" and timeline.grid not in (1, 2):
                # Each half needs the one before it: a second worker would make the same again.
                engine = replace(engine, num_streams=1)
    except ValueError as error:
        raise vs.Error(f"ifrnet: {error}") from error

    log.info("ifrnet: model %s on %s", loaded.name, engine)
    try:
        network = prepare(loaded, engine)
    except RuntimeError as error:  # of the GPU: full, or its driver does not fit
        raise vs.Error(f"ifrnet: {engine}: {backend.explain(error)}") from error
    interpolators = [
        Interpolator(network, t_blind=loaded.t_blind, scale=float(scale), ensemble=ensemble)
        for _ in range(engine.num_streams)
    ]
    workers = Workers(interpolators, engine.device)
    if dup_mode == "keep":
        dup_max = 0
    gaps = plan(
        clip,
        sc_threshold=sc_threshold if sc else None,
        dup_threshold=dup_threshold,
        dup_max=dup_max,
    )
    carrier = transport.choose(clip, matrix, engine)
    # What is blended at cuts never sees a GPU.
    zimg = carrier if isinstance(carrier, RGB) else RGB(clip, matrix, engine)
    return _wire(clip, carrier, zimg, timeline, gaps, workers, matrix, sc_mode, dup_max)


def _wire(
    clip: vs.VideoNode,
    carrier: Transport,
    zimg: RGB,
    timeline: Timeline | TimedTimeline,
    gaps: vs.VideoNode,
    workers: Workers,
    matrix: int,
    sc_mode: str,
    dup_max: int,
) -> vs.VideoNode:
    """Build the graph that the module's docstring draws."""
    cycle, offsets = timeline.lefts()

    def retime(node: vs.VideoNode) -> vs.VideoNode:
        return _uncached(_select(node, cycle, offsets)[: timeline.length])

    left, right = retime(clip), retime(shift(clip, 1))
    # Of the frames around only what is said of them, not the pictures: a short burst in a
    # variable frame rate can be far more frames than VapourSynth's cache holds.
    said = props_alone(clip, [*TIMING, *COLOUR_PROPS])
    around = {k: retime(shift(said, k)) for k in range(2 - timeline.reach, timeline.reach)}
    moments = retime(gaps)

    carried = carrier.clip
    kept = CACHE + 2 * len(workers) + dup_max
    for node in {carried, zimg.clip}:
        node.std.SetVideoCache(mode=1, fixedsize=1, maxsize=kept)
    first, following = carried, shift(carried, 1)
    if dup_max:
        firsts = [shift(carried, -k) for k in range(dup_max)]
        nexts = [shift(carried, k) for k in range(1, dup_max + 1)]
        first = _uncached(carried.std.FrameEval(_First(firsts), prop_src=gaps, clip_src=firsts))
        following = _uncached(carried.std.FrameEval(_Next(nexts), prop_src=gaps, clip_src=nexts))
    pair = [retime(first), retime(following), around[0], moments]
    makers = [
        _uncached(pair[0].std.ModifyFrame(pair, _Make(timeline, carrier, workers, index)))
        for index in range(workers.queues)
    ]
    cut = [retime(zimg.clip), retime(shift(zimg.clip, 1))]
    blender = _uncached(cut[0].std.ModifyFrame(cut, _Blend(timeline)))

    picked = left.std.FrameEval(
        _Pick(timeline, left, right, workers, makers, carrier, blender, zimg, matrix, sc_mode),
        prop_src=[moments, left],
        clip_src=[left, right],
    )
    timed = _uncached(picked)
    if fps := timeline.fps(clip.fps):
        # For the clip's frame rate only; _Time writes the frames' durations.
        timed = picked.std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator)
    time = _Time(timeline, clip, list(around), sc_mode)
    return timed.std.ModifyFrame([picked, moments, *around.values()], time)


def _select(node: vs.VideoNode, cycle: int, offsets: Sequence[int]) -> vs.VideoNode:
    """``std.SelectEvery``, in parts where one cycle of many offsets is the whole clip.

    It takes the square of their number to set up, and a film has 300,000.
    """
    if len(offsets) <= MOST_OFFSETS or cycle < node.num_frames:
        return _uncached(node.std.SelectEvery(cycle, offsets, modify_duration=False))
    parts = []
    for chosen in batched(offsets, MOST_OFFSETS):
        first = min(chosen[0], node.num_frames - 2)  # a cycle has two frames at least
        end = max(chosen[-1] + 1, first + 2)
        own = [offset - first for offset in chosen]
        parts.append(_select(_uncached(node[first:end]), end - first, own))
    return _uncached(vs.core.std.Splice(parts))


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


class _Once:
    """Warns of each thing once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, message: str, *values: object) -> None:
        if message not in self._said:
            self._said.add(message)
            log.warning(f"ifrnet: {message}", *values)


class _Pick:
    """FrameEval: the node that an output frame comes from."""

    def __init__(
        self,
        timeline: Timeline | TimedTimeline,
        left: vs.VideoNode,
        right: vs.VideoNode,
        workers: Workers,
        makers: list[vs.VideoNode],
        carrier: Transport,
        blender: vs.VideoNode,
        zimg: RGB,
        matrix: int,
        sc_mode: str,
    ) -> None:
        self._timeline = timeline
        self._left = left
        self._right = right
        self._workers = workers
        self._makers = makers
        self._carrier = carrier
        self._blender = blender
        self._zimg = zimg
        self._matrix = matrix
        self._sc_mode = sc_mode
        # The way back to the source's format, for each maker and each colour that occurs.
        self._finished: dict[tuple[vs.VideoNode, Colour], vs.VideoNode] = {}
        self._warn = _Once()

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoNode:
        moment, left = f
        gap = Gap.read(moment.props)
        position = self._timeline.position(n)
        if gap.kind is Kind.STILL or gap.time(position.time) == 0:
            return self._left
        if gap.kind is Kind.MAKE:
            queue = self._workers.choose(gap.first)
            return self._finish(n, self._makers[queue], self._carrier, left)
        if self._sc_mode == "blend":
            return self._finish(n, self._blender, self._zimg, left)
        return self._right if _is_right(gap, position, self._sc_mode) else self._left

    def _finish(
        self, n: int, made: vs.VideoNode, carrier: Transport, left: vs.VideoFrame
    ) -> vs.VideoNode:
        """Frames of ``made`` in the format and with the props of the source's."""
        form = self._left.format
        colour = Colour.of(left.props)
        if (made, colour) not in self._finished:
            try:
                colour.check(form)
            except ValueError as error:
                raise vs.Error(f"ifrnet: frame {n}: {error}") from error
            if form.color_family == vs.YUV and colour.matrix is None:
                self._warn("frames without _Matrix are taken as matrix=%d", self._matrix)
            if left.props.get("_FieldBased", 0):
                self._warn("frames are marked as interlaced, and treated as progressive")
            node = carrier.finish(made, colour)
            self._finished[made, colour] = _uncached(node.std.CopyFrameProps(self._left))
        return self._finished[made, colour]


class _Make:
    """ModifyFrame: the frame between two, by the network."""

    def __init__(
        self, timeline: Timeline | TimedTimeline, carrier: Transport, workers: Workers, queue: int
    ) -> None:
        self._timeline = timeline
        self._carrier = carrier
        self._workers = workers
        self._queue = queue

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        first, following, left, moment = f
        gap = Gap.read(moment.props)
        try:
            made = self._workers.make(
                self._queue,
                self._carrier.source(gap.first, first),
                self._carrier.source(gap.next, following),
                gap.time(self._timeline.position(n).time),
                self._carrier.from_rgb(Colour.of(left.props)),
            )
            return self._carrier.write(made, like=first)
        except Exception as error:
            raise vs.Error(f"ifrnet: frame {n}: {backend.explain(error)}") from error


class _Blend:
    """ModifyFrame: two frames mixed by their distance in time."""

    def __init__(self, timeline: Timeline | TimedTimeline) -> None:
        self._timeline = timeline

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        phase = float(self._timeline.position(n).phase)
        left, right = (frames.read(frame).float().nan_to_num_(0.0, 1.0, 0.0) for frame in f)
        return frames.write(torch.lerp(left, right, phase), like=f[0])


def _is_right(gap: Gap, position: Position, sc_mode: str) -> bool:
    """Whether the frame after a cut is shown already."""
    return gap.kind is Kind.CUT and sc_mode == "nearest" and 2 * position.phase >= 1


class _Time:
    """ModifyFrame: what is to be said of an output frame's time, from the source's own times."""

    def __init__(
        self,
        timeline: Timeline | TimedTimeline,
        clip: vs.VideoNode,
        window: list[int],
        sc_mode: str,
    ) -> None:
        self._timeline = timeline
        self._sc_mode = sc_mode
        self._default = 1 / clip.fps if clip.fps else None
        self._rgb = clip.format.color_family == vs.RGB
        self._window = window
        # A rate was asked for, and the source's frames are taken to be all of one length.
        self._steady = isinstance(timeline, Timeline) and timeline.rate is not None
        self._warn = _Once()

    def __call__(self, n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        picked, moment, *sources = f
        around = {k: source.props for k, source in zip(self._window, sources, strict=True)}
        frame = picked.copy()
        props = frame.props
        if self._rgb:
            props["_Matrix"] = vs.MATRIX_RGB
        self._durations(n, props, around)
        if not _is_right(Gap.read(moment.props), self._timeline.position(n), self._sc_mode):
            self._scene_changes(n, props, around)
        return frame

    def _durations(self, n: int, props: vs.FrameProps, around: dict[int, vs.FrameProps]) -> None:
        durations = [self._duration(around[k]) for k in range(self._timeline.reach)]
        self._check_rate(n, durations[0])
        duration = self._timeline.duration(n, durations)
        if duration is None:
            # A part of it is unknown; the left frame's would be wrong.
            for name in ("_DurationNum", "_DurationDen"):
                props.pop(name, None)
        else:
            props["_DurationNum"], props["_DurationDen"] = duration.as_integer_ratio()
        if "_AbsoluteTime" in props:
            begin = around[0].get("_AbsoluteTime")
            time = None if begin is None else self._timeline.begins(n, begin, durations[0])
            if time is None:
                del props["_AbsoluteTime"]
            else:
                props["_AbsoluteTime"] = time

    def _check_rate(self, n: int, duration: Fraction | None) -> None:
        """Warn where the source's frames are not of one length though they should be."""
        if not self._steady or duration is None or self._default is None:
            return
        number = self._timeline.position(n).left
        # Matroska rounds to a millisecond, and what the last frame is given is often a guess.
        if abs(duration / self._default - 1) > TOLERANCE and number < self._timeline.frames - 1:
            self._warn(
                "source frame %d lasts %.4g s, where the clip's frame rate says %.4g: with "
                "a variable frame rate, fps_num needs timecodes, or picture and sound drift apart",
                number,
                duration,
                self._default,
            )

    def _scene_changes(
        self, n: int, props: vs.FrameProps, around: dict[int, vs.FrameProps]
    ) -> None:
        """Tags say what lies between output frames, also where source frames were dropped."""
        left = self._timeline.position(n).left
        before = self._timeline.position(n - 1).left if n else left - 1
        following = self._timeline.position(n + 1)
        # At a cut the frame behind it is shown early; elsewhere its gap's tag is 0.
        early = self._sc_mode == "nearest" and 2 * following.phase >= 1
        after = following.left + early
        come = range(before + 1 - left, 1)  # source frames that have come since frame n - 1
        go = range(max(after - left, 1))  # and that go by until frame n + 1
        for name, passed in (("_SceneChangePrev", come), ("_SceneChangeNext", go)):
            if name in props:
                tags = [around[k].get(name, 0) for k in passed if k in around]
                props[name] = int(any(tags))

    def _duration(self, props: vs.FrameProps) -> Fraction | None:
        num, den = props.get("_DurationNum"), props.get("_DurationDen")
        return Fraction(num, den) if num and den else self._default


def _uncached(node: vs.VideoNode) -> vs.VideoNode:
    """For nodes whose frames are kept elsewhere, or are asked for once."""
    node.std.SetVideoCache(mode=0)
    return node
