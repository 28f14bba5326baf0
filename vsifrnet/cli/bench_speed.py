"""``vsifrnet bench speed``: frames per second, against other ways to run the network."""

from __future__ import annotations

import argparse
from pathlib import Path

from vsifrnet.cli import options

OTHERS = ("official", "ort", "ov", "vs-rife")
"""What is measured unless others are named."""

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
        "turn, on a synthetic pan or on a clip. What is not installed is left out and named.",
        example=EXAMPLE,
    )
    add = parser.add_argument
    add("--size", help="WIDTHxHEIGHT [1920x1080 on CUDA, 1280x720 on the CPU]")
    add("--clip", type=Path, help="a video in place of the pan (bestsource)")
    add(
        "--against",
        default=",".join(OTHERS),
        metavar="NAMES",
        help=f"which others, of {', '.join(OTHERS)} [these]; no-network: this filter with all but "
        "the network; host: with what is left to the CPU where a GPU does the rest; empty for none",
    )
    add("--frames", type=int, metavar="N", help="output frames a run [2000 on CUDA, 24]")
    add("--runs", type=int, default=3, metavar="N", help="runs of each [3]")
    add(
        "--all",
        action="store_true",
        help="also multi=8, memory over random seeks (on the CPU at 64x48), and on CUDA memory at "
        "3840x2160",
    )
    add("--seeks", type=int, default=10_000, metavar="N", help="with --all [10000]")
    add("--profile", action="store_true", help="only: where a frame's time goes")
    add("--cost", action="store_true", help="only: parameters, FLOPs and bytes")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    options.add_arguments(parser, "model", "scale", "device", "precision", "num_streams")


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    from vsifrnet.evaluation import speed

    options.check_range(arguments, 1, "frames", "runs")
    return speed.run(arguments)
