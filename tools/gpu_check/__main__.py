"""``tools/gpu-check.sh OUT``: the steps in order, each in a process of its own."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from gpu_check.report import Report

STEPS = {"correctness": 60, "speed": 150, "profile": 60, "training": 240}
"""Seconds that each step may take."""


def main() -> int:
    """Handle the command line."""
    parser = argparse.ArgumentParser(prog="gpu-check.sh", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", help="folder of the results")
    parser.add_argument("--step", choices=STEPS, help="this step alone")
    parser.add_argument(
        "--check", action="append", help="of the correctness step, this check alone"
    )
    parser.add_argument("--seconds", type=float, help="limit of each step, in place of its own")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU")
    parser.add_argument("--pack", type=Path, metavar="DIR", help="collect what has to be carried")
    parser.add_argument("--assets", type=Path, help="with --pack: pictures to train on")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pack:
        from gpu_check.pack import pack

        return pack(arguments.pack, arguments.assets)
    if arguments.out is None:
        parser.error("OUT is missing")
    names = [arguments.step] if arguments.step else list(STEPS)
    if arguments.inside:
        limit = arguments.seconds or STEPS[names[0]]
        return inside(names[0], arguments.out, arguments.dry_run, limit, arguments.check)
    return max([supervise(name, arguments) for name in names])


def supervise(name: str, arguments: argparse.Namespace) -> int:
    """Run a step under its limit; return 0 where it finished and nothing failed."""
    # On a busy machine without a card even tiny sizes may take a while.
    limit = arguments.seconds or STEPS[name] * (4 if arguments.dry_run else 1)
    command = [sys.executable, "-m", "gpu_check", str(arguments.out), "--inside", "--step", name]
    command += ["--seconds", str(limit)] + ["--dry-run"] * arguments.dry_run
    for check in arguments.check or []:
        command += ["--check", check]
    report = Report(arguments.out, name)
    began = time.monotonic()
    process = subprocess.Popen(command, start_new_session=True)
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        status = None
    # The step's own processes end with it, however it ended.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    seconds = round(time.monotonic() - began, 1)
    ended = "cut off" if status is None else "finished" if status == 0 else f"status {status}"
    report.add("step", {"ended": ended, "seconds": seconds, "limit": limit})
    return int(status != 0)


def inside(name: str, out: Path, dry: bool, seconds: float, checks: list[str] | None) -> int:
    """Run a step in this process; return 1 where a check failed."""
    import torch

    from gpu_check.common import Context

    device = torch.device("cpu") if dry else torch.device("cuda", 0)
    if dry:
        torch.set_num_threads(1)
    context, report = Context(device=device, dry=dry), Report(out, name)
    report.add("machine", _machine(context.cuda))
    if name == "correctness":
        from gpu_check.correctness import CHECKS

        wanted = checks or list(CHECKS)
        for check in wanted:
            if check not in CHECKS:
                raise SystemExit(f"no check {check!r}; there are {', '.join(CHECKS)}")
        passed = [report.attempt(check, lambda c=check: CHECKS[c](context)) for check in wanted]
        return int(not all(passed))
    if name == "speed":
        from gpu_check.speed import run
    elif name == "profile":
        from gpu_check.profile import run
    else:
        from gpu_check.training import run
    run(context, report, seconds)
    return 0


def _machine(cuda: bool) -> dict[str, object]:
    import torch
    import vapoursynth as vs

    return {
        "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "vapoursynth": str(vs.core.core_version),
        "cores": os.cpu_count(),
        "arguments": sys.argv[1:],
    }


if __name__ == "__main__":
    sys.exit(main())
