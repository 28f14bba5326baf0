"""What the CUDA path must do. ``tests/cuda`` runs the same checks as tests.

A check returns what it measured and raises AssertionError where that is not good enough.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
import vapoursynth as vs
from reference_weights import formula_weights

from gpu_check import kernels
from gpu_check.common import (
    REFERENCE,
    Context,
    bytes_of,
    exact,
    pictures,
    psnr,
    real_pairs,
    release,
    shipped,
    warnings,
)
from vsifrnet import ifrnet
from vsifrnet.engine.backend import resolve
from vsifrnet.engine.interpolator import Interpolator, prepare
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.evaluation.task import moving
from vsifrnet.graph.yuv import Converter
from vsifrnet.network import CONFIGS, IFRNet

type Check = Callable[[Context], dict[str, Any]]

HALF = Fraction(1, 2)


def parity(context: Context) -> dict[str, Any]:
    """S, base and L in single precision give what the official code gave: within 2e-5."""
    result = {}
    for name, config in CONFIGS.items():
        model = IFRNet(config).eval()
        formula_weights(model)
        model = model.to(context.device)
        with np.load(REFERENCE / f"ifrnet_{name}.npz") as npz:
            arrays = {key: torch.from_numpy(npz[key]).to(context.device) for key in npz.files}
        for key, t, scale in (("out_t0.25", 0.25, 1.0), ("out_t0.5_scale0.5", 0.5, 0.5)):
            time_ = torch.tensor([t], device=context.device)
            with torch.inference_mode(), exact():
                made = model(arrays["img0"], arrays["img1"], time_, scale)
            result[f"{name} {key}"] = float((made - arrays[key]).abs().max())
    assert max(result.values()) <= 2e-5, result
    return result


def precision(context: Context) -> dict[str, Any]:
    """Half precision is within 50 dB of single precision on real frames."""
    low = "fp16" if context.cuda else "bf16"
    pairs = real_pairs(context.size(1280, 720))[: 1 if context.dry else None]
    made = {}
    for name in ("fp32", low):
        network = Interpolator(prepare(shipped().build(), resolve(context.device, name)))
        with exact():
            made[name] = [network(*(x.to(context.device) for x in pair), HALF) for pair in pairs]
    values = [psnr(a, b) for a, b in zip(made["fp32"], made[low], strict=True)]
    assert min(values) >= 50, values
    return {f"{low} dB": values}


def graphs(context: Context) -> dict[str, Any]:
    """Recorded graphs give what the eager network gives, at changing sizes and times."""
    network = prepare(shipped().build(), resolve(context.device))
    recorded, eager = Interpolator(network), EagerRunner(network)
    sizes = ((640, 360), (640, 360), (1280, 720), (90, 122), (640, 360))
    worst = 0.0
    with warnings() as heard, torch.inference_mode():
        for number, size in enumerate(sizes):
            pair = [x.to(context.device) for x in pictures(*context.size(*size), seed=number)]
            pair = [x.half() if context.cuda else x for x in pair]
            eager.encode(*pair)
            for t in (Fraction(1, 2), Fraction(1, 8)):
                made = recorded(*pair, t, key=number)
                worst = max(worst, float((made - eager.decode(float(t))).abs().max()))
    assert not heard, heard
    assert worst <= 1 / 1024, worst
    return {"max difference": worst}


def order(context: Context) -> dict[str, Any]:
    """Frames in random order are those in linear order, to the bit, with 1, 2 and 4 workers."""
    width, height = context.size(640, 360)
    clip = moving(width, height, 3 if context.dry else 24)
    result = {}
    for workers in (1, 2) if context.dry else (1, 2, 4):
        options = {"multi": 3, "sc": False, "device": str(context.device), "num_streams": workers}
        linear = [bytes_of(f) for f in ifrnet(clip, **options).frames(prefetch=8)]
        numbers = list(range(len(linear)))
        random.Random(workers).shuffle(numbers)
        out = ifrnet(clip, **options)
        result[f"{workers} workers"] = sum(bytes_of(out.get_frame(n)) != linear[n] for n in numbers)
    assert not any(result.values()), f"frames that differ: {result}"
    return result


def yuv(context: Context) -> dict[str, Any]:
    """YUV converted on the device is what ``core.resize`` makes of it, to a step."""
    result = {}
    for form in (vs.YUV420P8, vs.YUV420P10, vs.YUV444P16, vs.YUV411P8):
        result[vs.core.get_video_format(form).name] = kernels.steps_from_zimg(
            context, form, Converter
        )
    assert max(result.values()) <= 1, result
    return result


def two_filters(context: Context) -> dict[str, Any]:
    """Two filters in one script, read at the same time, make all their frames."""
    clip = moving(*context.size(640, 360), 4 if context.dry else 30)
    options = {"device": str(context.device), "sc": False}
    outs = [ifrnet(clip, **options), ifrnet(clip[::2], multi=5, **options)]
    alone = [[bytes_of(f) for f in ifrnet(clip, **options).frames()]]
    alone.append([bytes_of(f) for f in ifrnet(clip[::2], multi=5, **options).frames()])
    made: dict[int, list[bytes]] = {}

    def read(k: int) -> None:
        made[k] = [bytes_of(frame) for frame in outs[k].frames(prefetch=8)]

    threads = [threading.Thread(target=read, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [made.get(k) == alone[k] for k in range(2)] == [True, True], "frames differ or lack"
    return {"frames": sum(map(len, made.values()))}


def two_processes(context: Context) -> dict[str, Any]:
    """Two processes at once make the same frames."""
    width, height = context.size(640, 360)
    length = 3 if context.dry else 60
    code = (
        "import hashlib, sys; from vsifrnet import ifrnet\n"
        "from gpu_check.common import bytes_of; from vsifrnet.evaluation.task import moving\n"
        f"out = ifrnet(moving({width}, {height}, {length}), device={str(context.device)!r})\n"
        "print(hashlib.sha256(b''.join(bytes_of(f) for f in out.frames())).hexdigest())\n"
    )
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].strip() for process in both]
    assert said[0], "no frames"
    assert said[0] == said[1], said
    return {"sha256": said[0]}


def memory_ladder(context: Context) -> dict[str, Any]:
    """3840x2160 in 6, 4 and 3 GiB of the card; in 2 GiB it may say that memory is out.

    With scale="auto", which needs more, it may say so in 3 and 4 GiB too.
    """
    width, height = context.size(3840, 2160)
    clip = moving(width, height, 2 if context.dry else 5)
    result: dict[str, Any] = {}
    failed = []
    scales: tuple[float | Literal["auto"], ...] = (1.0, "auto")
    for scale, gib in itertools.product(scales, (6,) if context.dry else (6, 4, 3, 2)):
        name = f"{gib} GiB, scale {scale}"
        if context.cuda:
            release(context)
            total = torch.cuda.get_device_properties(context.device).total_memory
            torch.cuda.set_per_process_memory_fraction(gib * 2**30 / total, context.device)
        with warnings() as heard:
            try:
                out = ifrnet(clip, scale=scale, device=str(context.device), sc=False)
                result[name] = f"{sum(1 for _ in out.frames(prefetch=6))} frames, {heard}"
            except vs.Error as error:
                result[name] = str(error)[-300:]
                fits = gib > (4 if scale == "auto" else 2)
                if fits or "out of memory" not in str(error):
                    failed.append(name)
            finally:
                out = None
                release(context)
                if context.cuda:
                    torch.cuda.set_per_process_memory_fraction(1.0, context.device)
    assert not failed, result
    return result


def reloads(context: Context) -> dict[str, Any]:
    """Up to fifty reloads, as many as 15 seconds allow, leave the card's memory as it was."""
    free = []
    ends = time.monotonic() + (1 if context.dry else 15)
    clip = moving(*context.size(320, 192), 6)
    while len(free) < 50 and time.monotonic() < ends:
        out = ifrnet(clip, device=str(context.device), sc=False)
        for frame in out.frames(prefetch=4):
            frame.close()
        del out, frame
        release(context)
        free.append(torch.cuda.mem_get_info(context.device)[0] / 2**20 if context.cuda else 0.0)
    grown = free[min(4, len(free) - 1)] - free[-1]
    assert grown <= 32, f"{grown:.0f} MiB less after {len(free)} reloads"
    return {"reloads": len(free), "MiB less since the fifth": round(grown, 1)}


CHECKS: dict[str, Check] = {
    "parity": parity,
    "precision": precision,
    "graphs": graphs,
    "order": order,
    "yuv": yuv,
    "two filters": two_filters,
    "two processes": two_processes,
    "memory ladder": memory_ladder,
    "kernels": kernels.network,
    "kernels' colour": kernels.colour,
    "kernels' frames": kernels.filter_frames,
    "reloads": reloads,
}
