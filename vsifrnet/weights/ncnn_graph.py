"""The graph of IFRNet in ifrnet-ncnn-vulkan, which imported graphs are compared with.

A layer is identified by what it computes: its type, all its parameters and the blobs that it reads.
Two graphs are equal if every layer of one is found in the other, whatever their layers and blobs
are called and in whatever order they are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vsifrnet.network import Config

__all__ = ["Expression", "Graph", "Parameters", "Value", "expected", "expression"]

type Value = float | tuple[float, ...]
type Parameters = dict[int, Value]
type Expression = tuple[str, tuple[Value, ...], tuple[int, ...]]
"""What a layer computes: its type, all its parameters and the blobs that it reads."""

# Parameters of each layer type by index, with ncnn's defaults. The default of a parameter in _SAME
# is the value of another parameter.
_SAME = {11: 1, 12: 2, 13: 3, 14: 4, 15: 4, 16: 14}
_CONVOLUTION = {0: 0.0, 1: 0.0, 2: 1.0, 3: 1.0, 4: 0.0, 5: 0.0, 6: 0.0, 9: 0.0}
_DEFAULTS: dict[str, Mapping[int, Value]] = {
    "BinaryOp": {0: 0.0, 1: 0.0, 2: 0.0},
    "Concat": {0: 0.0},
    "Convolution": _CONVOLUTION | {8: 0.0, 18: 0.0, 19: 0.0},
    "Deconvolution": _CONVOLUTION | {18: 0.0, 19: 0.0, 20: 0.0, 21: 0.0, 28: 0.0},
    "Eltwise": {0: 0.0, 1: ()},
    "Interp": {0: 0.0, 1: 1.0, 2: 1.0, 3: 0.0, 4: 0.0, 5: 0.0, 6: 0.0},
    "PReLU": {0: 0.0},
    "Sigmoid": {},
    "Slice": {0: (), 1: 0.0},
    "Warp": {},
}
_ADD, _MULTIPLY, _SUBTRACT_FROM = 0, 2, 7  # BinaryOp
_SUM = 1  # Eltwise
_BILINEAR = 2  # Interp
_REST = -233.0  # Slice: the remaining channels


def expression(kind: str, given: Parameters, inputs: Sequence[int]) -> Expression:
    """Return a layer with every parameter written out, so that equal layers compare equal."""
    defaults = _DEFAULTS[kind]
    same = _SAME if kind in ("Convolution", "Deconvolution") else {}
    unknown = given.keys() - defaults.keys() - same.keys()
    if unknown:
        raise ValueError(f"has unknown parameter {min(unknown)}")
    values = dict(defaults)
    for index, other in same.items():
        values[index] = given.get(other, values[other])
    values |= given
    ordered = sorted(inputs) if kind == "BinaryOp" else inputs
    return kind, tuple(value for _, value in sorted(values.items())), tuple(ordered)


@dataclass
class Graph:
    """The expected graph: every layer, with the keys of its weights."""

    layers: dict[Expression, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    """Output blobs of each layer and the key of its weights, which is "" if it has none."""
    blobs: int = 0
    """Number of blobs so far."""

    def input(self) -> int:
        """Add a blob and return its id."""
        self.blobs += 1
        return self.blobs

    def add(
        self, kind: str, given: Parameters, *inputs: int, outputs: int = 1, key: str = ""
    ) -> tuple[int, ...]:
        """Add a layer and return the ids of its outputs."""
        made = tuple(self.input() for _ in range(outputs))
        self.layers[expression(kind, given, inputs)] = made, key
        return made

    def slice(self, x: int, *channels: int) -> tuple[int, ...]:
        """Add a Slice, whose last size may be written out or as "the rest"."""
        sizes = tuple(map(float, channels))
        made = self.add("Slice", {0: sizes}, x, outputs=len(sizes))
        rest = expression("Slice", {0: (*sizes[:-1], _REST)}, (x,))
        self.layers[rest] = made, ""
        return made

    def convolution(
        self, x: int, key: str, channels: tuple[int, int], kernel: int = 3, stride: int = 1
    ) -> int:
        """Add a convolution, or with kernel 4 a transposed one, of (input, output) channels."""
        into, out = channels
        kind = "Deconvolution" if kernel == 4 else "Convolution"
        size = into * out * kernel * kernel
        pad = 1 if kernel == 4 else kernel // 2
        given: Parameters = {0: out, 1: kernel, 3: stride, 4: pad, 5: 1, 6: size}
        return self.add(kind, given, x, key=key)[0]

    def prelu(self, x: int, key: str, channels: int) -> int:
        """Add a PReLU."""
        return self.add("PReLU", {0: channels}, x, key=key)[0]

    def block(
        self, x: int, key: str, channels: tuple[int, int], kernel: int = 3, stride: int = 1
    ) -> int:
        """Add a convolution and its PReLU."""
        x = self.convolution(x, f"{key}.0", channels, kernel, stride)
        return self.prelu(x, f"{key}.1", channels[1])

    def encoder(self, x: int, config: Config) -> list[int]:
        """Add the encoder of one picture and return its features, from fine to coarse."""
        features = []
        into, kernel = 3, config.stem
        for level, out in enumerate(config.pyramid, start=1):
            key = f"encoder.pyramid{level}"
            x = self.block(x, f"{key}.0", (into, out), kernel, stride=2)
            x = self.block(x, f"{key}.1", (out, out))
            features.append(x)
            into, kernel = out, 3
        return features

    def decoder(
        self,
        level: int,
        parts: Sequence[int],
        channels: tuple[int, int],
        side: int,
        outputs: Sequence[int],
    ) -> tuple[int, ...]:
        """Add a decoder and return its output, split into ``outputs`` channels."""
        key = f"decoder{level}.convblock"
        hidden = channels[1]
        (x,) = self.add("Concat", {}, *parts)
        x = start = self.block(x, f"{key}.0", channels)
        for on_all, on_side in ((1, 2), (3, 4)):
            x = self.block(x, f"{key}.1.conv{on_all}", (hidden, hidden))
            kept, part = self.slice(x, hidden - side, side)
            part = self.block(part, f"{key}.1.conv{on_side}", (side, side))
            (x,) = self.add("Concat", {}, kept, part)
        x = self.convolution(x, f"{key}.1.conv5", (hidden, hidden))
        (x,) = self.add("BinaryOp", {0: _ADD}, start, x)
        x = self.prelu(x, f"{key}.1.prelu", hidden)
        x = self.convolution(x, f"{key}.2", (hidden, sum(outputs)), kernel=4, stride=2)
        return self.slice(x, *outputs)

    def refined(self, flow: int, coarse: int) -> int:
        """Add ``flow + 2 * coarse``, with the coarse flow at twice its resolution."""
        (up,) = self.add("Interp", {0: _BILINEAR, 1: 2.0, 2: 2.0}, coarse)
        return self.add("Eltwise", {0: _SUM, 1: (1.0, 2.0)}, flow, up)[0]

    def warp(self, flow: int, picture: int) -> int:
        """Add a warp of ``picture`` by ``flow``."""
        return self.add("Warp", {}, flow, picture)[0]


def expected(config: Config) -> tuple[Graph, dict[str, int], int]:
    """Return IFRNet as ifrnet-ncnn-vulkan has it: the graph, its inputs by name, its output.

    The input pictures have their mean subtracted, and so has the output; t is a plane in the
    resolution of the coarsest features.
    """
    graph = Graph()
    inputs = {name: graph.input() for name in ("in0", "in1", "in2")}
    img0, img1, t = inputs.values()
    p, side = config.pyramid, config.side
    features0, features1 = graph.encoder(img0, config), graph.encoder(img1, config)

    parts = [features0[3], features1[3], t]
    made = graph.decoder(4, parts, (2 * p[3] + 1, config.decoder[0]), side, [2, 2, p[2]])
    flow0, flow1, ft = made
    for level, hidden in zip((3, 2, 1), config.decoder[1:], strict=True):
        warped0 = graph.warp(flow0, features0[level - 1])
        warped1 = graph.warp(flow1, features1[level - 1])
        parts = [ft, warped0, warped1, flow0, flow1]
        outputs = [2, 2, p[level - 2]] if level > 1 else [2, 2, 1, 3]
        made = graph.decoder(level, parts, (3 * p[level - 1] + 4, hidden), side, outputs)
        flow0, flow1, ft = graph.refined(made[0], flow0), graph.refined(made[1], flow1), made[2]

    (mask,) = graph.add("Sigmoid", {}, made[2])
    (inverse,) = graph.add("BinaryOp", {0: _SUBTRACT_FROM, 1: 1, 2: 1.0}, mask)
    (part0,) = graph.add("BinaryOp", {0: _MULTIPLY}, mask, graph.warp(flow0, img0))
    (part1,) = graph.add("BinaryOp", {0: _MULTIPLY}, inverse, graph.warp(flow1, img1))
    (blend,) = graph.add("BinaryOp", {0: _ADD}, part0, part1)
    (out,) = graph.add("BinaryOp", {0: _ADD}, blend, made[3])
    return graph, inputs, out
