"""``vsifrnet bench speed``: this filter against others, end to end, in one run.

Every measurement is a ``vspipe`` process of its own that warms up before vspipe starts its clock.
Contenders take turns, so that what else the machine does meets all of them alike.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsifrnet import files
from vsifrnet.errors import InputError

if TYPE_CHECKING:
    from vsifrnet.evaluation.contenders import Task

__all__ = ["Result", "run"]

log = logging.getLogger("vsifrnet")

WARM_UP = 4
"""Least number of output frames before the clock starts."""


@dataclass(kw_only=True)
class Result:
    """Runs of one contender on one task."""

    contender: str
    task: Task
    seconds: list[float] = field(default_factory=list)
    """Of each run, for ``frames`` output frames."""
    cpu_seconds: list[float] = field(default_factory=list)
    """Processor time of each run, of all threads, without start and warm-up."""
    peak_ram_mib: float = 0.0
    frames: int = 0
    error: str | None = None

    @property
    def fps(self) -> float | None:
        """Output frames per second in the median run."""
        return self.frames / statistics.median(self.seconds) if self.seconds else None

    @property
    def seconds_per_made(self) -> float | None:
        """Median time per frame that is no source frame."""
        multi = self.task["multi"]
        return 1 / self.fps * multi / (multi - 1) if self.fps else None


def run(arguments: argparse.Namespace) -> int:
    """Measure what the command's arguments say, and print it.

    Raises:
        InputError: an argument that is not accepted, or a device that is not there.
    """
    from vsifrnet.engine import backend
    from vsifrnet.evaluation import contenders, cost

    if arguments.cost:
        sys.stdout.write(cost.table())
        return 0
    engine = backend.resolve(arguments.device, num_streams=arguments.num_streams)
    device = engine.device
    cuda = device.type == "cuda"
    size = arguments.size or ("1920x1080" if cuda else "1280x720")
    match = re.fullmatch(r"(\d+)x(\d+)", size)
    if match is None:
        raise InputError(f"--size {size}: accepted is WIDTHxHEIGHT such as 1280x720")
    width, height = map(int, match.groups())
    if arguments.profile:
        sys.stdout.write(cost.profile(arguments, width, height))
        return 0
    task: Task = {
        "width": width,
        "height": height,
        "multi": 2,
        "device": str(device),
        "precision": arguments.precision,
        "num_streams": engine.num_streams if cuda else arguments.num_streams,
        "scale": arguments.scale,
        "model": arguments.model,
        "clip": str(arguments.clip) if arguments.clip else None,
    }
    frames = arguments.frames or (2000 if cuda else 24)
    others = [name for name in arguments.against.split(",") if name]
    known = [name for name in contenders.CONTENDERS if name != "ours"]
    if unknown := set(others) - set(known):
        raise InputError(f"--against {', '.join(unknown)}: accepted are {', '.join(known)}")
    if cuda and "ov" in others:
        others.remove("ov")  # OpenVINO's plugin does not run on NVIDIA's GPUs

    report: dict[str, Any] = {"machine": _machine(device)}
    quiet: bool = arguments.quiet
    with tempfile.TemporaryDirectory() as folder:
        contest = partial(_contest, frames, arguments.runs, Path(folder), quiet)
        results = contest(["ours", *others], task)
        if arguments.all:
            results += contest(["ours"], {**task, "multi": 8})
    report["results"] = [{**asdict(result), "fps": result.fps} for result in results]
    sys.stdout.write(_table(results))
    if arguments.all:
        # What is kept by mistake is kept at any size; a CPU would take hours at a large one.
        seeking = task if cuda else {**task, "width": 64, "height": 48}
        report["seeks"] = _seek(seeking, arguments.seeks, quiet)
        sys.stdout.write("\nmemory over random seeks, {width}x{height}\n".format(**seeking))
        sys.stdout.writelines(f"  {_memory(row)}\n" for row in report["seeks"])
        if cuda:
            report["memory_2160p"] = _seek({**task, "width": 3840, "height": 2160}, 20, quiet)
            sys.stdout.write(f"memory at 3840x2160\n  {_memory(report['memory_2160p'][-1])}\n")
    if arguments.json:
        with files.replacing(arguments.json) as partly:
            partly.write_text(json.dumps(report, indent=1))
    return 0


def _contest(
    frames: int, runs: int, folder: Path, quiet: bool, names: list[str], task: Task
) -> list[Result]:
    from tqdm import tqdm

    from vsifrnet.evaluation import contenders

    task = {**task, "onnx": str(folder / "network.onnx")}
    results = []
    for name in names:
        result = Result(contender=name, task=task, frames=frames)
        hint = contenders.missing(name, task)
        if hint:
            result.error = f"not installed ({hint})"
        elif name in ("ort", "ov") and not Path(task["onnx"]).exists():
            contenders.export_onnx(task)
        results.append(result)
    able = [result for result in results if result.error is None]
    for _ in tqdm(range(runs), desc="runs", disable=quiet):
        for result in able:
            if result.error is None:
                _measure(result, folder)
    return results


def _measure(result: Result, folder: Path) -> None:
    """One vspipe process; its own clock, the system's count of processor time and memory."""
    multi = result.task["multi"]
    task = {**result.task, "contender": result.contender}
    # On CUDA each worker records its graphs at its first pair.
    warm_up = max(WARM_UP, multi * ((task["num_streams"] or 0) + 1))
    task["warm_up"] = warm_up
    task["frames"] = -(-(warm_up + result.frames) // multi) + 1
    path = folder / "task.vpy"
    path.write_text(
        f"from vsifrnet.evaluation import contenders\ncontenders.script({json.dumps(task)!r})\n"
    )
    command = [_vspipe(), "-s", str(warm_up), "-e", str(warm_up + result.frames - 1)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    process = subprocess.Popen(
        [*command, str(path), "--"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    cpu = None
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        result.peak_ram_mib = max(result.peak_ram_mib, usage.ru_maxrss / 1024)
    match = re.search(r"Output (\d+) frames in ([\d.]+) seconds", said)
    if process.wait() != 0 or match is None or int(match[1]) != result.frames:
        result.error = said.strip().splitlines()[-1] if said.strip() else "vspipe failed"
        return
    result.seconds.append(float(match[2]))
    if cpu is not None and (ready := re.search(r"ready after ([\d.]+) s", said)):
        result.cpu_seconds.append(cpu - float(ready[1]))


def _vspipe() -> str:
    beside = Path(sys.executable).with_name("vspipe" + (".exe" if os.name == "nt" else ""))
    found = str(beside) if beside.exists() else shutil.which("vspipe")
    if found is None:
        raise InputError("vspipe is not here; it comes with pip install vapoursynth")
    return found


def _seek(task: Task, count: int, quiet: bool) -> list[dict[str, float]]:
    """Memory while frames are asked for in random order."""
    import random

    import torch
    from tqdm import tqdm

    from vsifrnet.evaluation import contenders

    clip = contenders.moving(task["width"], task["height"], 500)
    out = contenders.CONTENDERS["ours"](clip, task)
    order = random.Random(0)
    device = torch.device(task["device"])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    rows = []
    for n in tqdm(range(count), desc="seeks", disable=quiet):
        out.get_frame(order.randrange(out.num_frames)).close()
        if (n + 1) % max(count // 10, 1) == 0:
            row = {"seeks": float(n + 1), "ram": _resident_mib()}
            if device.type == "cuda":
                row["vram"] = torch.cuda.memory_reserved(device) / 2**20
                row["vram_peak"] = torch.cuda.max_memory_reserved(device) / 2**20
            rows.append(row)
    return rows


def _memory(row: dict[str, float]) -> str:
    sizes = [f"{name} {row[name]:.0f} MiB" for name in row if name != "seeks"]
    return f"{row['seeks']:.0f} seeks: {', '.join(sizes)}"


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _machine(device: Any) -> dict[str, Any]:
    import torch
    import vapoursynth as vs

    from vsifrnet import __version__
    from vsifrnet.engine import backend

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    flags: list[str] = []
    if info.exists():
        text = info.read_text()
        if found := re.search(r"model name\s*: (.*)", text):
            cpu = found[1]
        known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
        flags = [flag for flag in known if re.search(rf"\b{flag}\b", text)]
    return {
        "device": backend.describe(device),
        "cpu": cpu,
        "cpu_count": os.cpu_count(),
        "cpu_flags": flags,
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "vapoursynth": str(vs.core.core_version),
        "vsifrnet": __version__,
    }


def _table(results: list[Result]) -> str:
    ours = results[0].fps
    lines = [
        "contender   multi   output fps (slowest..fastest)     ms/made frame  cpu s/made   ours is"
    ]
    for result in results:
        if result.fps is None:
            lines.append(f"{result.contender:<11} {result.error}")
            continue
        slow, fast = (result.frames / f(result.seconds) for f in (max, min))
        ratio = ""
        first = results[0]
        if result.task["multi"] != first.task["multi"] and first.seconds_per_made:
            share = (result.seconds_per_made or 0) / first.seconds_per_made
            ratio = f"{share:.2f} of the time a made frame"
        elif ours and result is not first:
            ratio = f"{ours / result.fps:.2f} x"
        made = result.frames * (1 - 1 / result.task["multi"])
        cpu = statistics.median(result.cpu_seconds) / made if result.cpu_seconds else float("nan")
        lines.append(
            f"{result.contender:<11} {result.task['multi']:>5}   "
            f"{result.fps:>9.2f} ({slow:.2f}..{fast:.2f})".ljust(54)
            + f"{1000 * (result.seconds_per_made or 0):>11.1f} {cpu:>12.2f}   {ratio}"
        )
    return "\n".join(lines) + "\n"
