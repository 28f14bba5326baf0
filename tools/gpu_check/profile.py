"""Where the card's time of a made frame goes, by kind of kernel, without and with the kernels."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from gpu_check.common import Context, pictures, shipped, switched
from gpu_check.report import Report
from vsifrnet import ifrnet
from vsifrnet.engine.backend import resolve
from vsifrnet.engine.interpolator import prepare
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.evaluation.task import moving

__all__ = ["KINDS", "kind_of", "run"]

FRAMES = 40

KINDS = {
    "our kernels": r"^_(bias_prelu|place|join_warped|add_flow|synthesize|survey|conclude|arrange"
    r"|yuv_to_rgb|rgb_to_yuv)\b",
    "convolution": r"conv|xmma|cutlass|gemm|wgmma|sm\d\d_|implicit|dgrad|fprop|nchwTo|nhwcTo"
    r"|winograd",
    "grid_sample": r"grid_sampl",
    "resize": r"upsample|interp",
    "prelu": r"prelu",
    "copy between host and card": r"memcpy (htod|dtoh|pinned)|memcpyh|memcpyd.*h",
    "concatenation": r"catarray|cat_",
    "copy or cast": r"copy|memcpy|cast|contiguous|direct_copy",
    "reduction": r"reduce|mean|aminmax",
    "fill": r"fill|memset|arange",
    "pad": r"pad",
    "elementwise": r"elementwise|vectorized|unrolled|add|mul|sub|lerp|clamp|sigmoid|round|index",
}
"""Kinds of kernels by their names, the first that matches; case does not matter."""


def kind_of(name: str) -> str:
    """Return the kind of a kernel, "other" where none matches."""
    for kind, pattern in KINDS.items():
        if re.search(pattern, name, re.IGNORECASE):
            return kind
    return "other"


def run(context: Context, report: Report, seconds: float) -> None:
    """Write the table of each to the results, and all kernels to ``profile.tsv``."""
    lines = ["kernels\tkind\tus a made frame\tcalls a made frame\tname"]
    for on in (False, True) if context.cuda else (False,):
        name = "kernels" if on else "eager"
        rows = measure(context, on)
        lines += [
            f"{name}\t{kind_of(key)}\t{us:.2f}\t{calls:.2f}\t{key}" for key, us, calls in rows
        ]
        partly = report.out / "profile.partly"
        partly.write_text("\n".join(lines) + "\n")
        partly.replace(report.out / "profile.tsv")
        report.add(name, by_kind(rows))
        report.say("\n" + table(rows))


def measure(context: Context, on: bool) -> list[tuple[str, float, float]]:
    """Return each kernel's name, microseconds and calls a made frame."""
    count = 2 if context.dry else FRAMES
    clip = moving(*context.size(1920, 1080), count + 6)
    with switched(on):
        out = ifrnet(clip, sc=False, device=str(context.device))
    for n in range(9):  # each worker records its graphs
        out.get_frame(n).close()
    if context.dry:
        # The profiler sees the operators of this thread alone, so that none is a worker's.
        runner = EagerRunner(prepare(shipped().build(), resolve("cpu")))
        field, activity = "self_cpu_time_total", ProfilerActivity.CPU
        with torch.inference_mode(), profile(activities=[activity]) as profiled:
            runner.encode(*pictures(64, 48))
            runner.decode(0.5)
    else:
        field, activity = "self_device_time_total", ProfilerActivity.CUDA
        with profile(activities=[activity]) as profiled:
            for n in range(9, 9 + 2 * count, 2):
                out.get_frame(n).close()
            torch.cuda.synchronize()
    rows = [
        (event.key, getattr(event, field) / count, event.count / count)
        for event in profiled.key_averages()
    ]
    return sorted((row for row in rows if row[1] > 0), key=lambda row: -row[1])


def by_kind(rows: list[tuple[str, float, float]]) -> dict[str, Any]:
    """Return microseconds and calls a made frame of each kind, the longest first."""
    times: dict[str, float] = defaultdict(float)
    calls: dict[str, float] = defaultdict(float)
    for name, us, count in rows:
        times[kind_of(name)] += us
        calls[kind_of(name)] += count
    order = sorted(times, key=lambda kind: -times[kind])
    return {kind: {"us": round(times[kind], 1), "calls": round(calls[kind], 1)} for kind in order}


def table(rows: list[tuple[str, float, float]]) -> str:
    """Format the kinds, with their shares."""
    kinds = by_kind(rows)
    total = sum(row["us"] for row in kinds.values()) or 1.0
    lines = [f"{'kind':<28} {'us':>9} {'share':>6} {'calls':>7}   a made frame"]
    for kind, row in kinds.items():
        share = row["us"] / total
        lines.append(f"{kind:<28} {row['us']:>9.1f} {share:>6.1%} {row['calls']:>7.1f}")
    calls = sum(row["calls"] for row in kinds.values())
    lines.append(f"{'all':<28} {total:>9.1f} {'':>6} {calls:>7.1f}")
    return "\n".join(lines)
