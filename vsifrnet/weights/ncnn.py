"""Weights of ifrnet-ncnn-vulkan (``ifrnet.param`` and ``ifrnet.bin``) as an official state dict.

ncnn's ``.param`` is the graph as text, one layer per line; its ``.bin`` holds the layers' weights
one after the other, without names, shapes or a checksum. Only the graph tells which weight belongs
where. It is therefore checked strictly: it must be IFRNet's, layer by layer. References:
``param-and-model-file-structure`` and ``operation-param-weight-table`` in the ncnn wiki.

The weights are used as the official code uses them: :mod:`vsifrnet.network` subtracts the mean of
the pair before encoding, whereas ifrnet-ncnn-vulkan always subtracts 0.5. Its pictures therefore
differ slightly from those made here with the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsifrnet.network import CONFIGS, Config
from vsifrnet.weights.ncnn_graph import Parameters, expected, expression

__all__ = ["read_ncnn"]

_MAGIC = "7767517"
_MAX_TEXT = 1 << 20
_FP32, _FP16 = 0, 0x01306B47  # Tags in front of the weights of a convolution.


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One line of a ``.param`` file."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Parameters


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
        parameters: Parameters = {}
        for pair in rest[last:]:
            index, value = pair.split("=")
            if int(index) <= -23300:  # An array is its length, then its items.
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
    # The program's own layers are named with their namespace, as in ifrnet.Warp.
    kind = "Warp" if kind.split(".")[-1] == "Warp" else kind
    return _Layer(
        kind=kind,
        name=name,
        inputs=tuple(rest[:first]),
        outputs=tuple(rest[first:last]),
        parameters=parameters,
    )


class _Bin:
    """A ``.bin`` file, read from beginning to end."""

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
        """Read weights of a convolution, after the tag that says how they are stored."""
        tag = int.from_bytes(self.take(4), "little")
        if tag == _FP32:
            return self.floats(count)
        if tag == _FP16:
            padded = self.take((2 * count + 3) // 4 * 4)  # Padded to a multiple of 4 bytes.
            return np.frombuffer(padded, "<f2", count).astype(np.float32)
        raise ValueError(
            f"weights with tag 0x{tag:08X} are neither fp32 nor fp16 (0x{_FP16:08X}); "
            "quantised weights are not read"
        )


def _weights(layer: _Layer, key: str, binary: _Bin) -> dict[str, Tensor]:
    """Read the weights of one layer, which the graph check has matched with ``key``."""
    size = {index: int(v) for index, v in layer.parameters.items() if isinstance(v, float)}
    out = size[0]
    if layer.kind == "PReLU":
        return {f"{key}.weight": torch.from_numpy(binary.floats(out))}
    kernel, count = size[1], size[6]
    weight = binary.tagged(count).reshape(out, -1, kernel, kernel)
    if layer.kind == "Deconvolution":  # PyTorch has the input channels first.
        weight = np.ascontiguousarray(weight.swapaxes(0, 1))
    bias = binary.floats(out)
    return {f"{key}.weight": torch.from_numpy(weight), f"{key}.bias": torch.from_numpy(bias)}


def read_ncnn(param: Path, binary: Path) -> dict[str, Tensor]:
    """Read an IFRNet in the form of ifrnet-ncnn-vulkan, of any variant, fp32 or fp16.

    Returns:
        A float32 state dict in the official key layout, whose values are not checked.

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
    graph, inputs, output = expected(config)
    content = _Bin(binary.read_bytes())

    blobs: dict[str, int] = {}
    state: dict[str, Tensor] = {}
    for layer in layers:
        try:
            if blobs.keys() & layer.outputs:
                raise ValueError("a blob is made twice")
            if layer.kind == "Input":
                blobs[layer.outputs[0]] = inputs[layer.outputs[0]]
                continue
            ids = [blobs[blob] for blob in layer.inputs]
            if layer.kind == "Split":  # ncnn copies a blob that is used more than once.
                blobs |= dict.fromkeys(layer.outputs, ids[0])
                continue
            made, key = graph.layers[expression(layer.kind, layer.parameters, ids)]
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
            # The graph contains the encoder twice, once for each picture.
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
