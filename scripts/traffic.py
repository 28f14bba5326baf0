"""Count the kernels and bytes of a made frame on a GPU, without a GPU.

Every operator runs on fake tensors that claim to be on CUDA. An operator counts as one kernel that
reads its inputs and writes its results once; views do not count. A convolution also counts what
PyTorch does around cuDNN: a copy of an input whose pixels are not contiguous, and the bias. A
Triton kernel counts the tensors that it is given. Copies between host and GPU, and from one source
frame to two pairs, are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vsifrnet.engine.align import aligned
from vsifrnet.engine.kernels import Kernels, launch
from vsifrnet.engine.operators import Up
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.graph.yuv import Converter, Layout
from vsifrnet.graph.yuv_kernels import KernelConverter
from vsifrnet.network import IFRNet
from vsifrnet.weights.load import load_weights

CUDA = torch.device("cuda", 0)

KINDS = {
    "convolution": "convolutions",
    "grid_sampler_2d": "warps",
    "upsample_bilinear2d": "resizing",
    "_prelu_kernel": "bias, residual, PReLU",
    "bias": "bias, residual, PReLU",
    "residual": "bias, residual, PReLU",
    "_bias_prelu": "bias, residual, PReLU",
    "_place": "bias, residual, PReLU",
    "_join_warped": "warps",
    "_add_flow": "resizing",
    "_synthesize": "warps",
    "_survey": "mean, limits, colour",
    "_conclude": "mean, limits, colour",
    "_arrange": "mean, limits, colour",
    "_yuv_to_rgb": "mean, limits, colour",
    "_rgb_to_yuv": "mean, limits, colour",
    "colour": "mean, limits, colour",
}
"""Kinds by operator; the others are copies, casts and what works element by element."""

ELSE = "copies, casts, elementwise"

VIEWS = {
    "view",
    "_unsafe_view",
    "reshape",
    "permute",
    "transpose",
    "t",
    "expand",
    "slice",
    "select",
    "split",
    "split_with_sizes",
    "unbind",
    "unsqueeze",
    "squeeze",
    "alias",
    "detach",
    "as_strided",
    "empty",
    "new_empty",
    "empty_like",
    "chunk",
    "_reshape_alias",
    "lift_fresh",
    "unfold",
    "diagonal",
    "empty_strided",
    "new_empty_strided",
}


class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts kernels and bytes by kind."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels: dict[str, int] = defaultdict(int)
        self.bytes: dict[str, int] = defaultdict(int)
        self.colour = False
        """Whether the running operators convert colour or compute statistics of pictures."""

    def add(self, name: str, size: int) -> None:
        """Count one kernel."""
        kind = KINDS.get("colour" if self.colour else name, ELSE)
        self.kernels[kind] += 1
        self.bytes[kind] += size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one operator."""
        # Inference mode does not decompose composite operators.
        made_of_others = (
            func.namespace == "aten"
            and torch._C._dispatch_has_kernel_for_dispatch_key(
                func.name(), torch._C.DispatchKey.CompositeImplicitAutograd
            )
        )
        if made_of_others and func.overloadpacket.__name__ != "upsample_bilinear2d":
            with self:
                return func.decompose(*args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in VIEWS:
            return result
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor) and x.device == CUDA]
        used = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if name == "convolution":
            self._convolution(args[0], args[1], args[2], result)
        elif made:
            # A result that is an argument (out=, in place) is read too, unless it is only filled.
            ours = {id(x) for x in made}
            fills = name in ("copy_", "zero_", "fill_") or "out" in (kwargs or {})
            read = sum(_size(x) for x in used if not (fills and id(x) in ours))
            kind = "residual" if name == "add_" and len(used) == 2 and used[0].ndim == 4 else name
            self.add(kind, read + sum(_size(x) for x in made))
        return result

    def _convolution(self, x: Tensor, weight: Tensor, bias: Tensor | None, y: Tensor) -> None:
        dense = x.is_contiguous(memory_format=torch.channels_last) or x.is_contiguous()
        if not dense:
            self.add("copy_", 2 * _size(x))
        self.add("convolution", _size(x) + _size(weight) + _size(y))
        if bias is not None:
            self.add("bias", 2 * _size(y))


def _size(x: Tensor) -> int:
    """Return the bytes of a tensor; elements that expand repeats count once."""
    count = 1
    for length, stride in zip(x.shape, x.stride(), strict=True):
        count *= length if stride else 1
    return count * x.element_size()


@contextmanager
def counted(count: Count) -> Iterator[None]:
    """Count Triton kernels instead of running them."""
    original = launch.launch

    def instead(kernel: Any, _grid: object, *arguments: object, **constants: object) -> None:
        tensors = {id(x): x for x in arguments if isinstance(x, Tensor)}
        size = sum(_size(x) for x in tensors.values())
        y, out, side = (arguments[place] if place < len(arguments) else None for place in (0, 4, 5))
        if kernel.__name__ == "_bias_prelu" and y is out:
            assert isinstance(y, Tensor)
            size += _size(y)  # The kernel works in place: it reads and writes this tensor.
            if side is not y:
                # The side channels are written to another tensor.
                assert isinstance(side, Tensor)
                size -= _size(side)
        if kernel.__name__ == "_place":
            size -= _border(arguments)
        count.add(kernel.__name__, size)

    launch.launch = instead  # type: ignore[assignment]
    try:
        yield
    finally:
        launch.launch = original


def _border(arguments: tuple[object, ...]) -> int:
    """Return the bytes of the outermost rows and columns, which ``_place`` does not read."""
    y, _, out = arguments[:3]
    assert isinstance(y, Tensor)
    assert isinstance(out, Tensor)
    return _size(y) - _size(out)


def measure(network: IFRNet, width: int, height: int, *, kernels: bool) -> Count:
    """Count a made frame at 2x: one frame to RGB, one pair, one picture, one frame to YUV."""
    network = aligned(network, 8, encoder=kernels)
    layout = Layout(
        width=width,
        height=height,
        bits=8,
        subsampling_w=1,
        subsampling_h=1,
        matrix=1,
        full=False,
        chromaloc=0,
    )
    count = Count()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode(), counted(count):
        state = {}
        for key, value in network.state_dict().items():
            order = torch.channels_last if value.ndim == 4 else torch.contiguous_format
            state[key] = torch.empty(
                value.shape, dtype=torch.float16, device=CUDA, memory_format=order
            )
        network.load_state_dict(state, assign=True)
        for module in network.modules():
            if isinstance(module, Up):
                module.freeze()
        if kernels:
            network.use(Kernels())
        converter = (KernelConverter if kernels else Converter)(layout, CUDA)
        runner = EagerRunner(network)
        samples = torch.empty(width * height * 3 // 2, dtype=torch.uint8, device=CUDA)
        with count:
            count.colour = True
            picture = converter.to_rgb(samples, torch.float16)
            if not kernels:
                picture.nan_to_num_(0.0, 1.0, 0.0)
            count.colour = False
            runner.encode(picture, torch.empty_like(picture))
            made = runner.decode(0.5)
            count.colour = True
            converter.from_rgb(made)
    return count


def table(width: int, height: int) -> str:
    """Return the counts without and with kernels, as a table in Markdown."""
    counts = [
        measure(load_weights().build(), width, height, kernels=kernels) for kernels in (False, True)
    ]
    kinds = [*dict.fromkeys(KINDS.values()), ELSE]
    lines = [
        "| | kernels, eager | GB, eager | kernels, Triton | GB, Triton |",
        "|---|---|---|---|---|",
    ]
    for kind in kinds:
        cells = [f"{c.kernels[kind]} | {c.bytes[kind] / 1e9:.2f}" for c in counts]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    cells = [f"{sum(c.kernels.values())} | {sum(c.bytes.values()) / 1e9:.2f}" for c in counts]
    lines.append(f"| all | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Handle the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1920x1080")
    width, height = map(int, parser.parse_args().size.split("x"))
    sys.stdout.write(table(width, height) + "\n")


if __name__ == "__main__":
    main()
