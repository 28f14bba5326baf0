"""``vsifrnet bench speed``: frames per second, against other ways to run the network."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsifrnet.cli import options
from vsifrnet.errors import InputError

if TYPE_CHECKING:
    from vsifrnet.evaluation.task import Task
    from vsifrnet.weights.find import find_weights

OTHERS = ("official", "ort", "ov", "vs-rife")
"""Contenders that are measured unless --against names others."""

EXAMPLE = """\
vsifrnet bench speed
vsifrnet bench speed --device cuda --all --json speed.json
vsifrnet bench speed --clip episode.mkv --size 1920x1080 --against official"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    parser = options.add_command(
        subparsers,
        "speed",
        run,
        help="frames per second, against other ways to run the network",
        description="Measure output frames per second through vspipe, this filter and others in "
        "turn, on a synthetic pan or on a clip. A contender that is not installed is named in the "
        "table, and is a failure only where --against asked for it.",
        example=EXAMPLE,
    )
    add = parser.add_argument
    add(
        "--size",
        type=_size,
        metavar="WIDTHxHEIGHT",
        help="size of the frames [1920x1080 on CUDA, 1280x720 on the CPU]",
    )
    add("--clip", type=Path, help="a video in place of the pan (bestsource)")
    add(
        "--against",
        metavar="NAMES",
        help=f"contenders, of {', '.join(OTHERS)} [these]; no-network: this filter without the "
        "network; host: what this filter leaves to the CPU beside a GPU; empty: none",
    )
    add(
        "--frames",
        type=int,
        metavar="N",
        help="output frames of a run [2000 on CUDA, 24 on the CPU]",
    )
    add("--runs", type=int, default=3, metavar="N", help="runs of each contender [3]")
    add(
        "--all",
        action="store_true",
        help="also measure multi=8, memory over random seeks (on the CPU at 64x48), and on CUDA "
        "memory at 3840x2160",
    )
    add("--seeks", type=int, default=10_000, metavar="N", help="random seeks, with --all [10000]")
    add("--profile", action="store_true", help="print only the time of each stage of a frame")
    add("--cost", action="store_true", help="print only parameters, operations and bytes")
    add("--json", type=Path, metavar="FILE", help="file to write all numbers to")
    options.add_overwrite(parser)
    options.add_arguments(parser, "model", "scale", "device", "precision", "num_streams")


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    from dataclasses import asdict, replace

    import torch

    from vsifrnet import files
    from vsifrnet.evaluation import cost, machine, report, speed

    options.check_range(arguments, 1, "frames", "runs", "seeks")
    if arguments.json:
        inputs = options.inputs(arguments, *([arguments.clip] if arguments.clip else []))
        files.check_new(arguments.json, overwrite=arguments.overwrite, inputs=inputs)
    if arguments.cost:
        print(cost.table())  # noqa: T201 (what was asked for)
        return 0
    task = _task(arguments)
    if arguments.profile:
        print(cost.profile(task, arguments.frames or 8))  # noqa: T201
        return 0
    device = torch.device(task.device)
    cuda = device.type == "cuda"
    frames = arguments.frames or (2000 if cuda else 24)
    runs, quiet = arguments.runs, arguments.quiet
    others = _others(arguments.against, cuda)
    results = speed.compare(["ours", *others], task, frames=frames, runs=runs, quiet=quiet)
    if arguments.all:
        eight = replace(task, multi=8)
        results += speed.compare(["ours"], eight, frames=frames, runs=runs, quiet=quiet)
    written: dict[str, Any] = {"machine": machine.describe(device)}
    written["results"] = [{**asdict(result), "fps": result.fps} for result in results]
    print(speed.table(results))  # noqa: T201
    if arguments.all:
        # A leak shows at any size; a CPU would take hours at a large one.
        small = task if cuda else replace(task, width=64, height=48)
        written["seeks"] = speed.seek(small, arguments.seeks, quiet=quiet)
        print(f"\nmemory over random seeks, {small.width}x{small.height}")  # noqa: T201
        for row in written["seeks"]:
            print(f"  {speed.describe_memory(row)}")  # noqa: T201
        if cuda:
            large = replace(task, width=3840, height=2160)
            written["memory_2160p"] = speed.seek(large, 20, quiet=quiet)
            last = speed.describe_memory(written["memory_2160p"][-1])
            print(f"memory at 3840x2160\n  {last}")  # noqa: T201
    if arguments.json:
        with files.replacing(arguments.json) as partial:
            partial.write_text(report.to_json(written) + "\n", encoding="utf-8")
    # Contenders of the default list may be missing; those that were named may not.
    asked = arguments.against is not None
    failed = any(result.error or (asked and result.missing) for result in results)
    return 1 if failed else 0


def _task(arguments: argparse.Namespace) -> Task:
    from vsifrnet.engine import backend
    from vsifrnet.evaluation.task import Task

    model: str | None = arguments.model
    engine = backend.resolve(arguments.device, arguments.precision, arguments.num_streams)
    cuda = engine.device.type == "cuda"
    clip: Path | None = arguments.clip
    if clip is not None and not clip.is_file():
        raise InputError(f"--clip {clip}: there is no such file")
    width, height = arguments.size or ((1920, 1080) if cuda else (1280, 720))
    return Task(
        width=width,
        height=height,
        # vspipe runs the script in another folder, so its paths are absolute.
        model=None if model is None else str(find_weights(model)[0].absolute()),
        scale=arguments.scale,
        device=str(engine.device),
        precision=arguments.precision,
        num_streams=engine.num_streams if cuda else arguments.num_streams,
        clip=None if clip is None else str(clip.resolve()),
    )


def _others(against: str | None, cuda: bool) -> list[str]:
    from vsifrnet.evaluation.contenders import CONTENDERS

    if against is None:
        # OpenVINO's plugin does not run on NVIDIA's GPUs.
        return [name for name in OTHERS if not (cuda and name == "ov")]
    names = [name for name in against.split(",") if name]
    known = [name for name in CONTENDERS if name != "ours"]
    for name in names:
        if name not in known:
            raise InputError(f"--against {name}: must be of {', '.join(known)}")
    return names


def _size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT, of sides that 4:2:0 and the network can have."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    width, height = map(int, match.groups()) if match else (0, 0)
    if min(width, height) < 16 or width % 2 or height % 2 or max(width, height) > 16384:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be WIDTHxHEIGHT, even numbers from 16 to 16384, such as 1280x720"
        )
    return width, height
