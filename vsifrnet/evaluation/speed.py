"""Frames per second of this filter and of others, end to end, and memory over random seeks.

Every measurement is a separate ``vspipe`` process, which warms up before vspipe starts its clock.
Contenders take turns, so that other work on the machine slows all of them alike.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from tqdm import tqdm

from vsifrnet.errors import InputError
from vsifrnet.evaluation import contenders
from vsifrnet.evaluation.task import Task, source

__all__ = ["Result", "compare", "describe_memory", "seek", "table"]

WARM_UP = 4
"""Least number of output frames before the clock starts."""


@dataclass(kw_only=True)
class Result:
    """The runs of one contender on one task."""

    contender: str
    task: Task
    frames: int
    """Output frames of a run."""
    seconds: list[float] = field(default_factory=list)
    """Duration of each run."""
    cpu_seconds: list[float] = field(default_factory=list)
    """Processor time of each run, over all threads, without start and warm-up."""
    peak_ram_mib: float = 0.0
    missing: str | None = None
    """The command that installs what the contender needs, where it could not run."""
    error: str | None = None
    """Why the contender failed."""

    @property
    def fps(self) -> float | None:
        """Output frames per second in the median run."""
        return self.frames / statistics.median(self.seconds) if self.seconds else None

    @property
    def seconds_per_made(self) -> float | None:
        """Median time per frame that is not a source frame, in seconds."""
        multi = self.task.multi
        return 1 / self.fps * multi / (multi - 1) if self.fps else None


def compare(
    names: Sequence[str], task: Task, *, frames: int, runs: int, quiet: bool = False
) -> list[Result]:
    """Run contenders in turn, ``runs`` times each, ``frames`` output frames a run.

    Raises:
        InputError: vspipe is not installed.
    """
    vspipe = _vspipe()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx = folder / "network.onnx"
        task = replace(task, onnx=str(onnx))
        results = [Result(contender=name, task=task, frames=frames) for name in names]
        for result in results:
            result.missing = contenders.missing(result.contender, task)
            if result.missing is None and result.contender in ("ort", "ov") and not onnx.exists():
                contenders.export_onnx(task, onnx)
        able = [result for result in results if result.missing is None]
        for _ in tqdm(range(runs), desc="runs", disable=quiet):
            for result in able:
                if result.error is None:
                    _measure(result, vspipe, folder)
    return results


def seek(task: Task, count: int, *, quiet: bool = False) -> list[dict[str, float]]:
    """Request ``count`` frames of the filter in random order; return the memory in MiB meanwhile.

    A row has "seeks" and "ram" (where the system tells it), on CUDA also "vram" and "vram_peak".
    """
    out = contenders.CONTENDERS["ours"](source(task, 500), task)
    order = random.Random(0)
    device = torch.device(task.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    rows = []
    for n in tqdm(range(count), desc="seeks", disable=quiet):
        out.get_frame(order.randrange(out.num_frames)).close()
        if (n + 1) % max(count // 10, 1) == 0:
            row = {"seeks": float(n + 1)}
            if (ram := _resident_mib()) is not None:
                row["ram"] = ram
            if device.type == "cuda":
                row["vram"] = torch.cuda.memory_reserved(device) / 2**20
                row["vram_peak"] = torch.cuda.max_memory_reserved(device) / 2**20
            rows.append(row)
    return rows


def describe_memory(row: dict[str, float]) -> str:
    """Format a row of :func:`seek`."""
    sizes = [f"{name} {row[name]:.0f} MiB" for name in row if name != "seeks"]
    return f"{row['seeks']:.0f} seeks: {', '.join(sizes)}"


def table(results: Sequence[Result]) -> str:
    """Format results and compare each with the first one."""
    first = results[0]
    lines = [
        "contender   multi   output fps (slowest..fastest)     ms/made frame  cpu s/made   ours is"
    ]
    for result in results:
        multi, made = result.task.multi, result.seconds_per_made
        if result.fps is None or made is None:
            reason = f"not installed ({result.missing})" if result.missing else result.error
            lines.append(f"{result.contender:<11} {reason}")
            continue
        slow, fast = (result.frames / f(result.seconds) for f in (max, min))
        ratio = ""
        if multi != first.task.multi and first.seconds_per_made:
            ratio = f"{made / first.seconds_per_made:.2f} of the time a made frame"
        elif first.fps and result is not first:
            ratio = f"{first.fps / result.fps:.2f} x"
        count = result.frames * (1 - 1 / multi)
        cpu = statistics.median(result.cpu_seconds) / count if result.cpu_seconds else float("nan")
        lines.append(
            f"{result.contender:<11} {multi:>5}   "
            f"{result.fps:>9.2f} ({slow:.2f}..{fast:.2f})".ljust(54)
            + f"{1000 * made:>11.1f} {cpu:>12.2f}   {ratio}"
        )
    return "\n".join(lines)


def _measure(result: Result, vspipe: str, folder: Path) -> None:
    """Run vspipe once and add its time, processor time and memory to ``result``."""
    task, frames = result.task, result.frames
    # On CUDA each worker records its graphs at its first pair.
    warm_up = max(WARM_UP, task.multi * ((task.num_streams or 0) + 1))
    length = -(-(warm_up + frames) // task.multi) + 1
    script = folder / "task.vpy"
    script.write_text(
        "from vsifrnet.evaluation.contenders import output\n"
        "from vsifrnet.evaluation.task import Task\n"
        f"task = Task.from_json({task.to_json()!r})\n"
        f"output(task, {result.contender!r}, length={length}, warm_up={warm_up})\n",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [vspipe, "-s", str(warm_up), "-e", str(warm_up + frames - 1), str(script), "--"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    messages = process.stderr.read()
    cpu = None
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        result.peak_ram_mib = max(result.peak_ram_mib, usage.ru_maxrss / 1024)
    match = re.search(r"Output (\d+) frames in ([\d.]+) seconds", messages)
    if process.wait() != 0 or match is None or int(match[1]) != frames:
        result.error = messages.strip().splitlines()[-1] if messages.strip() else "vspipe failed"
        return
    # vspipe prints hundredths of a second, so that a short run can take none.
    result.seconds.append(max(float(match[2]), 0.01))
    if cpu is not None and (ready := re.search(r"ready after ([\d.]+) s", messages)):
        result.cpu_seconds.append(cpu - float(ready[1]))


def _vspipe() -> str:
    beside = Path(sys.executable).with_name("vspipe" + (".exe" if os.name == "nt" else ""))
    found = str(beside) if beside.exists() else shutil.which("vspipe")
    if found is None:
        raise InputError("vspipe is not installed; pip install vapoursynth brings it")
    return found


def _resident_mib() -> float | None:
    """Return the memory that this process occupies, or None where there is no /proc."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
