"""Frames per second through vspipe, the memory that takes, and the floor of the card.

Measurements come in the order of what is asked for most; the limit cuts off the last.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gpu_check.common import Context, pictures, random_weights, shipped
from gpu_check.report import Report
from vsifrnet.engine.backend import resolve
from vsifrnet.engine.interpolator import Interpolator, prepare

__all__ = ["run"]

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}

WANTED = (
    # contender, size, weights, output frames
    ("ours, scale 1", "1080p", "S", 3000),
    ("kernels, scale 1", "1080p", "S", 3000),
    ("official", "1080p", "S", 160),
    ("ours", "1080p", "S", 800),
    ("ours, scale 1", "2160p", "S", 500),
    ("kernels, scale 1", "2160p", "S", 500),
    ("ours", "2160p", "S", 200),
    ("kernels", "1080p", "S", 800),
    ("kernels", "2160p", "S", 200),
    ("ours", "1080p", "base", 600),
    ("ours", "720p", "S", 2000),
    ("vs-rife", "1080p", "S", 300),
    ("kernels", "720p", "S", 2000),
    ("host", "1080p", "S", 1600),
    ("kernels", "1080p", "base", 600),
    ("official", "720p", "S", 200),
    ("official", "2160p", "S", 40),
)
"""For an S whose frames are asked for at 2x: half of the output frames are made."""


def run(context: Context, report: Report, seconds: float) -> None:
    """Measure what the time allows."""
    began = time.monotonic()
    report.attempt("floor", lambda: floor(context))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {"S": None, "base": str(random_weights("base", folder))}
        wanted = WANTED if context.cuda else (("ours", "1080p", "S", 4),)
        for contender, size, weights, frames in wanted:
            if time.monotonic() - began > seconds - 12:
                report.say("no time for the rest")
                return
            width, height = context.size(*SIZES[size])
            task = {
                "contender": contender,
                "width": width,
                "height": height,
                "model": models[weights],
                "device": str(context.device),
                "frames": frames,
                "folder": name,
            }
            report.attempt(f"{contender} {weights} {size}", lambda task=task: vspipe(task))


def vspipe(task: dict[str, Any]) -> dict[str, Any]:
    """Run one contender in a vspipe process that has warmed up, by vspipe's own clock."""
    warm_up = 4 if task["device"] == "cpu" else 12
    script = Path(task["folder"]) / "task.vpy"
    text = json.dumps({**task, "warm_up": warm_up})
    script.write_text(f"from gpu_check.clips import output\noutput({text!r})\n")
    beside = Path(sys.executable).with_name("vspipe")
    program = str(beside) if beside.exists() else shutil.which("vspipe")
    assert program, "vspipe is not installed"
    last = warm_up + task["frames"] - 1
    command = [program, "-s", str(warm_up), "-e", str(last), str(script), "--"]
    with _peak_memory() as peak:
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Output (\d+) frames in ([\d.]+) seconds", process.stderr)
    assert found, process.stderr[-1500:]
    rate = int(found[1]) / float(found[2])
    result: dict[str, Any] = {"output frames/s": round(rate, 1), "frames": int(found[1])}
    if peak:
        result["card's memory in use, MiB at most"] = max(peak)
    if heard := re.findall(r"ifrnet: .*", process.stderr):
        result["warnings"] = heard
    return result


@contextmanager
def _peak_memory() -> Iterator[list[int]]:
    """Collect what all processes use of the first card, ten times a second."""
    rows: list[int] = []
    if not shutil.which("nvidia-smi"):
        yield rows
        return
    command = ["nvidia-smi", "-i", "0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    process = subprocess.Popen([*command, "-lms", "100"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None

    def read() -> None:
        rows.extend(int(line) for line in process.stdout if line.strip().isdigit())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield rows
    finally:
        process.terminate()
        reader.join(5)


def floor(context: Context) -> dict[str, Any]:
    """What bounds a made frame: the card's bandwidth and arithmetic, and its work in replays."""
    device = context.device
    result: dict[str, Any] = {}
    side, count = (64, 1 << 16) if context.dry else (8192, 1 << 30)
    dtype = torch.float16 if context.cuda else torch.float32
    data = torch.empty(count, dtype=torch.uint8, device=device)
    ms = _timed(context, partial(torch.empty_like(data).copy_, data), 10)
    result["copy, GB/s read and written"] = round(2 * count / ms / 1e6)
    factor = torch.randn((side, side), device=device).to(dtype)
    ms = _timed(context, partial(torch.matmul, factor, factor), 10)
    result["matrix product, TFLOP/s"] = round(2 * side**3 / ms / 1e9, 1)
    del data, factor
    width, height = context.size(1920, 1080)
    pair = [x.to(device, dtype) for x in pictures(width, height)]
    for name, on in (("eager", False), ("kernels", True)):
        if on and not context.cuda:
            continue
        made = Interpolator(prepare(shipped().build(), resolve(device, kernels=on)))
        made(*pair, Fraction(1, 2), key="pair")
        whole = _timed(context, lambda made=made: made(*pair, Fraction(1, 2)), 20)
        again = _timed(context, lambda made=made: made(*pair, Fraction(1, 2), key="pair"), 20)
        result[f"ms of encode and decode, {name}"] = round(whole, 3)
        result[f"ms of decode, {name}"] = round(again, 3)
    return result


def _timed(context: Context, work: Callable[[], object], times: int) -> float:
    """Return the median milliseconds of ``work`` on the device."""
    rows = []
    work()
    for _ in range(1 if context.dry else times):
        if context.cuda:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            rows.append(begin.elapsed_time(end))
        else:
            since = time.perf_counter()
            work()
            rows.append(1000 * (time.perf_counter() - since))
    return statistics.median(rows)
