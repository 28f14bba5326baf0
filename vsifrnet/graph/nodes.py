"""The callbacks of the graph's nodes; :mod:`~vsifrnet.graph.wire` connects them.

VapourSynth calls them from its own threads. Each gets the frames that its node requested and
requests none itself, so that frame n depends on n and the source alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import vapoursynth as vs

from vsifrnet.detect.clips import uncached
from vsifrnet.detect.plan import Gap, Kind
from vsifrnet.engine.alpha import blend
from vsifrnet.engine.backend import explain
from vsifrnet.engine.workers import Workers
from vsifrnet.graph.frames import Colour
from vsifrnet.graph.timeline import Position, Timeline
from vsifrnet.graph.transport import RGB, Transport

__all__ = ["Blend", "Finish", "Make", "Pick", "WarnOnce", "shows_right"]

log = logging.getLogger("vsifrnet")


class WarnOnce:
    """Logs each warning once per filter instance, not once per frame."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def __call__(self, message: str, *values: object) -> None:
        """Log ``message`` with ``values`` unless it has been logged."""
        if message not in self._logged:
            self._logged.add(message)
            log.warning(f"ifrnet: {message}", *values)


@contextmanager
def _naming(n: int) -> Iterator[None]:
    """Turn any error into a ``vs.Error`` that names the output frame ``n``."""
    try:
        yield
    except Exception as error:
        raise vs.Error(f"ifrnet: frame {n}: {explain(error)}") from error


class Make:
    """ModifyFrame callback that makes the frame between two source frames with the network."""

    def __init__(
        self, timeline: Timeline, transport: Transport, workers: Workers, slot: int
    ) -> None:
        """``slot`` is the slot of ``workers`` in which this node requests its pictures."""
        self._timeline = timeline
        self._transport = transport
        self._workers = workers
        self._slot = slot

    def __call__(self, n: int, f: Sequence[vs.VideoFrame]) -> vs.VideoFrame:
        """Make frame ``n``; ``f`` is the pair, the left frame's props, and the plan's frame."""
        first, following, left, planned = f
        gap = Gap.read(planned.props)
        with _naming(n):
            made = self._workers.make(
                self._slot,
                self._transport.source(gap.first, first),
                self._transport.source(gap.next, following),
                gap.time(self._timeline.position(n).time),
                self._transport.from_rgb(Colour.of(left.props)),
            )
            return self._transport.write(made, like=first)


class Blend:
    """ModifyFrame callback that blends the two frames around a cut, weighted by time."""

    def __init__(self, timeline: Timeline, transport: RGB) -> None:
        self._timeline = timeline
        self._transport = transport

    def __call__(self, n: int, f: Sequence[vs.VideoFrame]) -> vs.VideoFrame:
        """Blend frame ``n``; ``f`` is the left and the right frame as RGB."""
        phase = float(self._timeline.position(n).phase)
        with _naming(n):
            left, right = (self._transport.source(n, frame).samples for frame in f)
            pair = [img.float().nan_to_num_(0.0, 1.0, 0.0) for img in (left, right)]
            return self._transport.write(blend(pair[0], pair[1], phase), like=f[0])


class Finish:
    """Converts made frames to the source's format and gives them the left frame's props."""

    def __init__(
        self, transport: Transport, left: vs.VideoNode, matrix: int, warn: WarnOnce
    ) -> None:
        """``left`` is the clip of the output frames' left frames.

        ``matrix`` stands in where a YUV frame has no ``_Matrix``.
        """
        self._transport = transport
        self._left = left
        self._matrix = matrix
        self._warn = warn
        self._finished: dict[tuple[vs.VideoNode, Colour, bool], vs.VideoNode] = {}

    def __call__(self, n: int, made: vs.VideoNode, left: vs.VideoFrame) -> vs.VideoNode:
        """Return the node for output frame ``n``; each ``made`` and kind of frame has its own.

        Raises:
            vs.Error: the colour of ``left`` cannot be converted.
        """
        colour, alpha = Colour.of(left.props), "_Alpha" in left.props
        if (made, colour, alpha) not in self._finished:
            with _naming(n):
                colour.check(self._left.format)
            if self._left.format.color_family == vs.YUV and colour.matrix is None:
                self._warn("frames without _Matrix are taken as matrix=%d", self._matrix)
            if left.props.get("_FieldBased", 0):
                self._warn("frames are marked as interlaced, and treated as progressive")
            node = self._transport.finish(made, colour)
            if alpha:
                node = node.std.ModifyFrame([node, self._left], _keep_alpha)
            else:
                node = node.std.CopyFrameProps(self._left)
            self._finished[made, colour, alpha] = uncached(node)
        return self._finished[made, colour, alpha]


def _keep_alpha(n: int, f: Sequence[vs.VideoFrame]) -> vs.VideoFrame:
    """ModifyFrame callback that gives ``f[0]`` the props of ``f[1]``, except for its alpha."""
    made, left = f
    frame = made.copy()
    frame.props.clear()
    frame.props.update(left.props)
    frame.props["_Alpha"] = made.props["_Alpha"]
    return frame


class Pick:
    """FrameEval callback that selects the node an output frame comes from.

    A FrameEval requests its frame from the selected node only, so the network runs only for
    frames that are made.
    """

    def __init__(
        self,
        timeline: Timeline,
        sc_mode: str,
        sources: tuple[vs.VideoNode, vs.VideoNode],
        make: Callable[[int, Gap, vs.VideoFrame], vs.VideoNode],
        blend: Callable[[int, Gap, vs.VideoFrame], vs.VideoNode],
    ) -> None:
        """``sources`` are the clips of the output frames' left and right frames.

        ``make`` and ``blend`` return the node for output frame n, given n, its gap and its left
        frame.
        """
        self._timeline = timeline
        self._sc_mode = sc_mode
        self._left, self._right = sources
        self._make = make
        self._blend = blend

    def __call__(self, n: int, f: Sequence[vs.VideoFrame]) -> vs.VideoNode:
        """Select the node for frame ``n``; ``f`` is the plan's frame and the left frame."""
        planned, left = f
        gap = Gap.read(planned.props)
        position = self._timeline.position(n)
        if gap.kind is Kind.STILL or gap.time(position.time) == 0:
            return self._left
        if gap.kind is Kind.MAKE:
            return self._make(n, gap, left)
        if self._sc_mode == "blend":
            return self._blend(n, gap, left)
        return self._right if shows_right(gap, position, self._sc_mode) else self._left


def shows_right(gap: Gap, position: Position, sc_mode: str) -> bool:
    """Return whether the right frame of a cut is shown, which is before its own time."""
    return gap.kind is Kind.CUT and sc_mode == "nearest" and 2 * position.phase >= 1
