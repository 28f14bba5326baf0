"""The network's cost in parameters, operations and bytes, and the time of each stage of a frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vsifrnet.arguments import default_matrix
from vsifrnet.engine.cuda_graphs import CudaGraphRecorder, CudaGraphRunner
from vsifrnet.engine.interpolator import prepare
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.evaluation.task import Task, source
from vsifrnet.graph import transport
from vsifrnet.graph.frames import Colour
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.weights.load import load_weights

__all__ = ["count", "profile", "table"]

PARTS = ("encoder", "decoder4", "decoder3", "decoder2", "decoder1")
"""Parts of the network, in the order in which they run."""


def count(name: str, width: int, height: int) -> dict[str, dict[str, float]]:
    """Count the operations and bytes of one made frame in bf16, by part of the network.

    A multiplication and an addition are two operations; bytes are what the convolutions read and
    write, each tensor once.
    """
    network = IFRNet(CONFIGS[name]).to("meta", torch.bfloat16)
    traffic = dict.fromkeys(PARTS, 0)

    def hook(part: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
            sizes = [inputs[0].nbytes, output.nbytes, *(p.nbytes for p in module.parameters())]
            traffic[part] += sum(sizes)

        return add

    for part in PARTS:
        for module in network.get_submodule(part).modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.register_forward_hook(hook(part))
    picture = torch.empty((1, 3, height, width), device="meta")
    with torch.no_grad(), FlopCounterMode(display=False, depth=2) as counter:
        network(picture, picture, torch.empty(1, device="meta"))
    flops = counter.get_flop_counts()
    return {
        part: {
            "flops": float(sum(flops[f"IFRNet.{part}"].values())),
            "bytes": float(traffic[part]),
        }
        for part in PARTS
    }


def table() -> str:
    """Format parameters and cost of every size, as the official speed_parameters prints them."""
    lines = []
    for name, config in CONFIGS.items():
        parameters = sum(p.numel() for p in IFRNet(config).parameters())
        lines.append(f"IFRNet {name}: {parameters / 1e6:.2f} M parameters")
        for width, height in ((448, 256), (1280, 720)):
            parts = count(name, width, height)
            total = {key: sum(part[key] for part in parts.values()) for key in ("flops", "bytes")}
            lines.append(f"  {width}x{height}")
            for part, cost in (*parts.items(), ("all", total)):
                lines.append(
                    f"    {part:<9} {cost['flops'] / 1e9:8.1f} GFLOP {cost['bytes'] / 1e6:8.1f} MB"
                )
    return "\n".join(lines)


def profile(task: Task, frames: int) -> str:
    """Format the milliseconds that each stage of a made frame takes when it runs alone."""
    engine = task.backend()
    network = prepare(load_weights(task.model).build(), engine)
    eager = EagerRunner(network, scale=task.flow_scale)
    clip = source(task, frames + 1)
    carrier = transport.choose(clip, default_matrix(clip, None), engine)
    stages: dict[str, list[float]] = {}

    def timed[**P, R](stage: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        _wait(engine.device)
        begin = time.perf_counter()
        result = work(*args, **kwargs)
        _wait(engine.device)
        stages.setdefault(stage, []).append(1000 * (time.perf_counter() - begin))
        return result

    for part in PARTS:
        module = network.get_submodule(part)
        module.forward = partial(timed, part, module.forward)
    device = engine.device
    with torch.inference_mode():
        for n in range(frames):
            timed("source frame", clip.get_frame, n).close()
            # The frame is RGB from zimg or, for a GPU, YUV that the GPU converts.
            pair = [timed("frame to carry", carrier.clip.get_frame, k) for k in (n, n + 1)]
            sources = [carrier.source(k, frame) for k, frame in enumerate(pair)]
            for frame in sources:
                timed("read", getattr, frame, "samples")
            uploaded = [timed("upload, to RGB", frame.picture, device) for frame in sources]
            timed("encode, all of it", eager.encode, *uploaded)
            made = timed("decode, all of it", eager.decode, 0.5)
            if from_rgb := carrier.from_rgb(Colour.of(pair[0].props)):
                made = timed("from RGB", from_rgb, made)
            timed("write", carrier.write, timed("download", Tensor.cpu, made), like=pair[0])
        for part in PARTS:
            # The timed forward synchronises, which a CUDA graph cannot record.
            del network.get_submodule(part).forward
        if device.type == "cuda":
            graphed = CudaGraphRunner(eager, partial(CudaGraphRecorder, device))
            graphed.encode(*uploaded)
            for _ in range(frames):
                timed("encode, recorded", graphed.encode, *uploaded)
                timed("decode, recorded", graphed.decode, 0.5)
    lines = [f"{task.width}x{task.height}, {engine}; median and range of {frames}, in ms"]
    for stage, times in stages.items():
        times = sorted(times[len(times) // frames :])  # The first frame is the warm-up.
        middle = times[len(times) // 2]
        lines.append(f"  {stage:<24} {middle:9.2f}   {times[0]:.2f} .. {times[-1]:.2f}")
    lines.append("encode and decode also include warps, resizing and blending.")
    return "\n".join(lines)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
