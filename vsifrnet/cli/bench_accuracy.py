"""``vsifrnet bench accuracy``: the tables of the paper."""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path

from vsifrnet.cli import options

log = logging.getLogger("vsifrnet")

EXAMPLE = """\
vsifrnet bench accuracy vimeo90k --data ~/vimeo_triplet
vsifrnet bench accuracy snu-film-hard --data ~/SNU-FILM --model IFRNet_Vimeo90K.pth --out hard/"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    from vsifrnet.evaluation.protocols import BENCHMARKS

    layouts = "\n".join(f"  {name:17} {d.layout}" for name, d in BENCHMARKS.items())
    parser = options.add_command(
        subparsers,
        "accuracy",
        run,
        help="a table of the paper, by the official protocol",
        description="Measure a model on an official data set, by the official protocol.\n\n"
        f"Data sets and what DIR has to hold:\n{layouts}",
        example=EXAMPLE,
    )
    parser.add_argument("dataset", choices=tuple(BENCHMARKS), metavar="DATASET")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write samples.csv, summary.json and pictures of the worst there; a run that was "
        "stopped goes on from it",
    )
    parser.add_argument(
        "--worst",
        type=int,
        default=10,
        metavar="N",
        help="number of pictures of the worst samples in --out [10]",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options.add_overwrite(parser)
    # The scale is the protocol's, and published figures are of float32.
    engine = (name for name in options.ENGINE if name != "scale")
    options.add_arguments(parser, *engine, precision="fp32")


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    from tqdm import tqdm

    from vsifrnet import files
    from vsifrnet.evaluation import accuracy, report
    from vsifrnet.evaluation.protocols import BENCHMARKS

    benchmark = BENCHMARKS[arguments.dataset]
    entries = accuracy.list_entries(benchmark, arguments.data)
    interpolator, loaded = options.interpolator(arguments, scale=benchmark.scale)
    out: Path | None = arguments.out
    results: list[accuracy.Result] = []
    if out is not None:
        # The device is left out: it changes the means by less than what is printed of them.
        settings = {
            "dataset": arguments.dataset,
            "data": str(arguments.data.resolve()),
            "model": loaded.digest,
            "ensemble": str(arguments.ensemble),
            "precision": arguments.precision,
        }
        names = ("samples.csv", "summary.json")
        if files.claim_folder(out, settings, overwrite=arguments.overwrite, results=names):
            results = accuracy.load_results(out / "samples.csv", benchmark, entries)
    done = {result.entry for result in results}
    if done:
        log.info("%d of %d samples are done already", len(done), len(entries))

    remaining = [entry for entry in entries if entry.name not in done]
    progress = tqdm(total=len(entries), initial=len(done), unit="sample", disable=arguments.quiet)
    with progress, accuracy.Rows(out and out / "samples.csv", benchmark, results) as rows:
        for made in accuracy.evaluate(interpolator, benchmark, remaining):
            rows.add(made)
            results += made
            progress.update()
            mean = accuracy.summary(benchmark, results)["psnr"]
            if math.isfinite(mean):
                progress.set_postfix_str(f"PSNR {mean:.2f}")
    means = accuracy.summary(benchmark, results)
    if out is not None:
        with files.replacing(out / "summary.json") as partial:
            partial.write_text(report.to_json(means) + "\n", encoding="utf-8")
        worst = accuracy.save_worst(
            interpolator, benchmark, entries, results, out, count=arguments.worst
        )
        log.info("%s: samples.csv, summary.json and %d pictures", out, len(worst))
    text = (
        report.to_json(means) if arguments.json else accuracy.table(benchmark, loaded.name, means)
    )
    print(text)  # noqa: T201 (what was asked for)
    return 0
