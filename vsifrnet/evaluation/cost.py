"""What the network costs: parameters, operations and bytes; and where a frame's time goes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import vapoursynth as vs
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vsifrnet.engine import backend
from vsifrnet.engine.cuda_graphs import CudaGraphRecorder, CudaGraphRunner
from vsifrnet.engine.interpolator import prepare
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.evaluation import contenders
from vsifrnet.graph import transport
from vsifrnet.graph.frames import Colour
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.weights.load import load_weights

__all__ = ["count", "profile", "table"]

PARTS = ("encoder", "decoder4", "decoder3", "decoder2", "decoder1")


def count(name: str, width: int, height: int) -> dict[str, dict[str, float]]:
    """Floating-point operations (two a multiplication) and bytes, bf16, of one made frame.

    Bytes are those that the convolutions read and write at least once each.
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
    """Parameters and cost of every variant, as the official speed_parameters prints them."""
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
    return "\n".join(lines) + "\n"


def profile(arguments: argparse.Namespace, width: int, height: int) -> str:
    """Milliseconds that each stage of a made frame takes when it runs alone."""
    engine = backend.resolve(arguments.device, arguments.precision, arguments.num_streams)
    network = prepare(load_weights(arguments.model).build(), engine)
    eager = EagerRunner(network, scale=arguments.scale)
    clip = contenders.moving(width, height, 32)
    if arguments.clip:
        clip = vs.core.bs.VideoSource(str(arguments.clip))
        clip = clip.resize.Bicubic(width, height, format=vs.YUV420P8)
    carrier = transport.choose(clip, 1, engine)
    numbers = [n % (clip.num_frames - 1) for n in range(arguments.frames or 8)]
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
        for n in numbers:
            timed("source frame", clip.get_frame, n).close()
            # RGB that zimg made; or, for a GPU, YUV as it is, which is converted there.
            pair = [timed("frame to carry", carrier.clip.get_frame, k) for k in (n, n + 1)]
            sources = [carrier.source(k, frame) for k, frame in enumerate(pair)]
            for source in sources:
                timed("read", getattr, source, "samples")
            uploaded = [timed("upload, to RGB", source.picture, device) for source in sources]
            timed("encode, all of it", eager.encode, *uploaded)
            made = timed("decode, all of it", eager.decode, 0.5)
            if from_rgb := carrier.from_rgb(Colour.of(pair[0].props)):
                made = timed("from RGB", from_rgb, made)
            timed("write", carrier.write, timed("download", Tensor.cpu, made), like=pair[0])
        for part in PARTS:
            del network.get_submodule(part).forward  # which waits: a recording must not
        if device.type == "cuda":
            graphed = CudaGraphRunner(eager, partial(CudaGraphRecorder, device))
            graphed.encode(*uploaded)
            for _ in numbers:
                timed("encode, recorded", graphed.encode, *uploaded)
                timed("decode, recorded", graphed.decode, 0.5)
    lines = [f"{width}x{height}, {engine}; median and range of {len(numbers)}, in ms"]
    for stage, times in stages.items():
        times = sorted(times[len(times) // len(numbers) :])  # without the first frame
        middle = times[len(times) // 2]
        lines.append(f"  {stage:<24} {middle:9.2f}   {times[0]:.2f} .. {times[-1]:.2f}")
    lines.append("What encode and decode take beyond their parts is warps, resizing and blending.")
    return "\n".join(lines) + "\n"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
