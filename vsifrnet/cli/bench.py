"""``vsifrnet bench``: the benchmarks, one module per benchmark."""

from __future__ import annotations

import importlib

from vsifrnet.cli import options

BENCHMARKS = (
    "vsifrnet.cli.bench_accuracy",
    "vsifrnet.cli.bench_clips",
    "vsifrnet.cli.bench_speed",
)
"""The modules of the benchmarks, each with ``add_parser(subparsers)``."""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "bench",
        help="accuracy on the official data sets and on one's own clips, and speed",
        description="Measure the quality and the speed of the interpolation.",
    )
    benchmarks = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for module in BENCHMARKS:
        importlib.import_module(module).add_parser(benchmarks)
