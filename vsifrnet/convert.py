"""Weights of ifrnet-ncnn-vulkan (``ifrnet.param`` and ``ifrnet.bin``) as an official state dict.

ncnn's ``.param`` is the graph as text, one layer a line; its ``.bin`` is the layers' weights one
after the other, without names, shapes or a checksum. So the graph says which number is which, and
it is checked strictly: it must be IFRNet's, layer by layer, or nothing is read. References:
``param-and-model-file-structure`` and ``operation-param-weight-table`` in the ncnn wiki.

What is imported are the weights, with the official code's meaning: the network in
:mod:`vsifrnet.network` subtracts the pair's mean before encoding, where ifrnet-ncnn-vulkan
subtracts 0.5 whatever the pair, so its pictures differ slightly from what the same weights make
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsifrnet.network import CONFIGS, Config

__all__ = ["read_ncnn"]

_MAGIC = "7767517"
_MAX_TEXT = 1 << 20
_FP32, _FP16 = 0, 0x01306B47  # tags before the weights of a convolution

type _Value = float | tuple[float, ...]
type _Parameters = dict[int, _Value]
type _Expression = tuple[str, tuple[_Value, ...], tuple[int, ...]]
"""A layer by what it computes: its type, all its parameters and the blobs it reads."""

# The parameters of each layer type by index, with ncnn's defaults; _Same is another's value.
_Same = {11: 1, 12: 2, 13: 3, 14: 4, 15: 4, 16: 14}
_CONVOLUTION = {0: 0.0, 1: 0.0, 2: 1.0, 3: 1.0, 4: 0.0, 5: 0.0, 6: 0.0, 9: 0.0}
_DEFAULTS: dict[str, Mapping[int, _Value]] = {
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
_REST = -233.0  # Slice: what is left


def _expression(kind: str, given: _Parameters, inputs: Sequence[int]) -> _Expression:
    """Every parameter written out, so that equal layers compare equal."""
    defaults = _DEFAULTS[kind]
    same = _Same if kind in ("Convolution", "Deconvolution") else {}
    unknown = given.keys() - defaults.keys() - same.keys()
    if unknown:
        raise ValueError(f"has unknown parameter {min(unknown)}")
    values = dict(defaults)
    for index, other in same.items():
        values[index] = given.get(other, values[other])
    values |= given
    ordered = sorted(inputs) if kind == "BinaryOp" else inputs  # both in use are commutative
    return kind, tuple(value for _, value in sorted(values.items())), tuple(ordered)


@dataclass
class _Graph:
    """The graph that is expected: every layer, with the keys of its weights."""

    layers: dict[_Expression, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    """What a layer computes -> its output blobs and the key of its weights ("": none)."""
    blobs: int = 0

    def input(self) -> int:
        self.blobs += 1
        return self.blobs

    def add(
        self, kind: str, given: _Parameters, *inputs: int, outputs: int = 1, key: str = ""
    ) -> tuple[int, ...]:
        made = tuple(self.input() for _ in range(outputs))
        self.layers[_expression(kind, given, inputs)] = made, key
        return made

    def slice(self, x: int, *channels: int) -> tuple[int, ...]:
        """The last size may be written out or as "the rest"."""
        sizes = tuple(map(float, channels))
        made = self.add("Slice", {0: sizes}, x, outputs=len(sizes))
        rest = _expression("Slice", {0: (*sizes[:-1], _REST)}, (x,))
        self.layers[rest] = made, ""
        return made

    def convolution(
        self, x: int, key: str, channels: tuple[int, int], kernel: int = 3, stride: int = 1
    ) -> int:
        into, out = channels
        kind = "Deconvolution" if kernel == 4 else "Convolution"
        size = into * out * kernel * kernel
        pad = 1 if kernel == 4 else kernel // 2
        given: _Parameters = {0: out, 1: kernel, 3: stride, 4: pad, 5: 1, 6: size}
        return self.add(kind, given, x, key=key)[0]

    def prelu(self, x: int, key: str, channels: int) -> int:
        return self.add("PReLU", {0: channels}, x, key=key)[0]

    def block(
        self, x: int, key: str, channels: tuple[int, int], kernel: int = 3, stride: int = 1
    ) -> int:
        """Convolution and PReLU."""
        x = self.convolution(x, f"{key}.0", channels, kernel, stride)
        return self.prelu(x, f"{key}.1", channels[1])

    def encoder(self, x: int, config: Config) -> list[int]:
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
        """flow + 2 * coarse at twice its resolution."""
        (up,) = self.add("Interp", {0: _BILINEAR, 1: 2.0, 2: 2.0}, coarse)
        return self.add("Eltwise", {0: _SUM, 1: (1.0, 2.0)}, flow, up)[0]

    def warp(self, flow: int, picture: int) -> int:
        return self.add("Warp", {}, flow, picture)[0]


def _expected(config: Config) -> tuple[_Graph, dict[str, int], int]:
    """IFRNet as ifrnet-ncnn-vulkan has it: the graph, its inputs by name, its output.

    The pictures go in with the mean taken off and come out without it; t is a plane in the
    resolution of the coarsest features.
    """
    graph = _Graph()
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


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """A line of a ``.param``."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: _Parameters


def _parse(text: str) -> list[_Layer]:
    lines = text.splitlines()
    if not lines or lines[0].strip() != _MAGIC:
        raise ValueError(f"is not an ncnn .param text: it does not begin with {_MAGIC}")
    try:
        count, _ = map(int, lines[1].split())
        layers = [_parse_line(line) for line in lines[2:] if line.strip()]
    except (ValueError, IndexError) as error:
        raise ValueError(f"is not an intact ncnn .param text: {error}") from None
    if len(layers) != count:
        raise ValueError(f"has {len(layers)} layers and says that it has {count}")
    return layers


def _parse_line(line: str) -> _Layer:
    try:
        kind, name, inputs, outputs, *rest = line.split()
        first, last = int(inputs), int(inputs) + int(outputs)
        parameters: _Parameters = {}
        for pair in rest[last:]:
            index, value = pair.split("=")
            if int(index) <= -23300:  # an array: its length, then its items
                length, *items = map(float, value.split(","))
                if length != len(items):
                    raise ValueError
                parameters[-23300 - int(index)] = tuple(items)
            else:
                parameters[int(index)] = float(value)
    except ValueError:
        raise ValueError(f"line {line[:80]!r} cannot be read") from None
    if len(rest) < last or not 0 <= first <= last:
        raise ValueError(f"line {line[:80]!r} cannot be read")
    # A layer of the program itself is named with its namespace, as ifrnet.Warp.
    kind = "Warp" if kind.split(".")[-1] == "Warp" else kind
    return _Layer(
        kind=kind,
        name=name,
        inputs=tuple(rest[:first]),
        outputs=tuple(rest[first:last]),
        parameters=parameters,
    )


class _Bin:
    """A ``.bin``, read from its beginning to its end."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0

    def take(self, size: int) -> bytes:
        block = self.content[self.position : self.position + size]
        if len(block) < size:
            raise ValueError("the .bin ends here: it is truncated, or belongs to another .param")
        self.position += size
        return block

    def floats(self, count: int) -> npt.NDArray[np.float32]:
        return np.frombuffer(self.take(4 * count), "<f4").astype(np.float32)

    def tagged(self, count: int) -> npt.NDArray[np.float32]:
        """Weights of a convolution: a tag that says how they are stored, and they."""
        tag = int.from_bytes(self.take(4), "little")
        if tag == _FP32:
            return self.floats(count)
        if tag == _FP16:
            padded = self.take((2 * count + 3) // 4 * 4)  # to a multiple of 4 bytes
            return np.frombuffer(padded, "<f2", count).astype(np.float32)
        raise ValueError(
            f"weights with tag 0x{tag:08X} are neither fp32 nor fp16 (0x{_FP16:08X}); "
            "quantised weights are not read"
        )


def _weights(layer: _Layer, key: str, binary: _Bin) -> dict[str, Tensor]:
    """The weights of one layer, which the graph has shown to be what ``key`` says."""
    size = {index: int(v) for index, v in layer.parameters.items() if isinstance(v, float)}
    out = size[0]
    if layer.kind == "PReLU":
        return {f"{key}.weight": torch.from_numpy(binary.floats(out))}
    kernel, count = size[1], size[6]
    weight = binary.tagged(count).reshape(out, -1, kernel, kernel)
    if layer.kind == "Deconvolution":  # PyTorch has the input channels first
        weight = np.ascontiguousarray(weight.swapaxes(0, 1))
    bias = binary.floats(out)
    return {f"{key}.weight": torch.from_numpy(weight), f"{key}.bias": torch.from_numpy(bias)}


def read_ncnn(param: Path, binary: Path) -> dict[str, Tensor]:
    """Read an IFRNet as ifrnet-ncnn-vulkan ships it, of any variant, fp32 or fp16.

    Returns a state dict in the official key layout, float32; values are not checked.

    Raises:
        ValueError: the graph is not IFRNet's, or the weights do not fit it.
        OSError: a file is missing or cannot be read.
    """
    if param.stat().st_size > _MAX_TEXT:
        raise ValueError(f"{param.name} is too long for an ncnn .param text")
    try:
        layers = _parse(param.read_bytes().decode())
    except UnicodeDecodeError:
        raise ValueError(f"{param.name} is not text; expected an ncnn .param text") from None
    except ValueError as error:
        raise ValueError(f"{param.name} {error}") from None
    config = _variant(layers)
    graph, inputs, output = _expected(config)
    content = _Bin(binary.read_bytes())

    blobs: dict[str, int] = {}
    state: dict[str, Tensor] = {}
    for layer in layers:
        try:
            if layer.kind == "Input":
                blobs[layer.outputs[0]] = inputs[layer.outputs[0]]
                continue
            ids = [blobs[blob] for blob in layer.inputs]
            if layer.kind == "Split":  # ncnn copies what is used more than once
                blobs |= dict.fromkeys(layer.outputs, ids[0])
                continue
            made, key = graph.layers[_expression(layer.kind, layer.parameters, ids)]
            blobs |= zip(layer.outputs, made, strict=True)
        except (KeyError, IndexError, ValueError):
            raise ValueError(
                f"{param.name}: layer {layer.kind} {layer.name} is not where or as IFRNet "
                f"{config.name} of ifrnet-ncnn-vulkan has one"
            ) from None
        if not key:
            continue
        try:
            weights = _weights(layer, key, content)
        except ValueError as error:
            raise ValueError(f"{binary.name}: layer {layer.name}: {error}") from None
        for name, tensor in weights.items():
            # The encoder is there twice, once for each picture.
            if name in state and not torch.equal(state[name], tensor):
                raise ValueError(f"{binary.name}: {name} differs between the two encoders")
            state[name] = tensor
    if blobs.get("out0") != output:
        raise ValueError(f"{param.name}: out0 is not the interpolated picture")
    if content.position != len(content.content):
        left = len(content.content) - content.position
        raise ValueError(f"{binary.name} has {left} bytes more than {param.name} says")
    return state


def _variant(layers: list[_Layer]) -> Config:
    first = next((layer for layer in layers if layer.kind == "Convolution"), None)
    for config in CONFIGS.values():
        if first is not None and first.parameters.get(0) == config.pyramid[0]:
            return config
    raise ValueError("the graph is not IFRNet's: no variant has its first convolution")
