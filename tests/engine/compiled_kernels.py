"""Compiles every launch of the kernels for NVIDIA GPUs of several generations, without one.

The interpreter accepts more than the compiler does. ``test_kernels.py`` runs this as a process of
its own; it prints one line for each kernel and compute capability (90 is an H100's).
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from vsifrnet.engine.align import aligned
from vsifrnet.engine.kernels import Kernels, launch
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.engine.sampling import SAMPLINGS
from vsifrnet.graph.yuv import Layout
from vsifrnet.graph.yuv_kernels import KernelConverter
from vsifrnet.network import CONFIGS, IFRNet

TYPES = {
    torch.float32: "*fp32",
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.uint8: "*u8",
    torch.int16: "*i16",
    torch.int32: "*i32",
}
seen: set[str] = set()


def compiling(kernel: Any, _grid: object, *arguments: object, **constants: object) -> None:
    """Stands in for the launch: what the JIT would compile for these arguments."""
    signature, fixed, attributes = {}, {}, {}
    for place, name in enumerate(kernel.arg_names):
        if place >= len(arguments):
            signature[name], fixed[(place,)] = "constexpr", constants[name]
            continue
        argument = arguments[place]
        if isinstance(argument, Tensor):
            signature[name] = TYPES[argument.dtype]
            attributes[(place,)] = [["tt.divisibility", 16]]
        elif isinstance(argument, float):
            signature[name] = "fp32"
        elif argument == 1:  # the JIT makes a constant of it
            signature[name], fixed[(place,)] = "constexpr", 1
        else:
            signature[name] = "i32"
    key = f"{kernel.__name__} {signature} {sorted(constants.items())}"
    if key in seen:
        return
    seen.add(key)
    for capability in map(int, sys.argv[1:]):
        source = ASTSource(kernel, signature, fixed, attributes)
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        code = "cubin" if "cubin" in made.asm else "ptx"
        sys.stdout.write(f"{kernel.__name__} {capability} {code} {len(made.asm[code])}\n")


def main() -> None:
    """Go through the network at two sizes, and through both conversions of three formats."""
    launch.launch = compiling
    with torch.inference_mode():
        for sampling in SAMPLINGS:
            network = IFRNet(CONFIGS["S"], sampling=sampling).eval()
            wide = aligned(network, 8, encoder=True).half()
            runner = EagerRunner(wide.to(memory_format=torch.channels_last).use(Kernels()))
            runner.encode(*torch.rand((2, 3, 16, 32)).half())
            runner.decode(0.5)
        for bits, subsampling in ((8, 1), (10, 1), (16, 0)):
            layout = Layout(
                width=32,
                height=16,
                bits=bits,
                subsampling_w=subsampling,
                subsampling_h=subsampling,
                matrix=1,
                full=False,
                chromaloc=0,
            )
            converter = KernelConverter(layout, torch.device("cpu"))
            count = sum(height * width for height, width in layout.shapes)
            dtype = torch.uint8 if bits == 8 else torch.int16
            converter.to_rgb(torch.zeros(count, dtype=dtype), torch.float16)
            converter.from_rgb(torch.zeros((3, 16, 32)))


if __name__ == "__main__":
    main()
