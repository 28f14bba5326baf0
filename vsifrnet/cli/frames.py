"""``vsifrnet frames``: a folder of pictures to a folder of more."""

from __future__ import annotations

import argparse
import logging
from fractions import Fraction
from pathlib import Path

from vsifrnet.cli import options
from vsifrnet.errors import InputError

log = logging.getLogger("vsifrnet")

EXAMPLE = """\
vsifrnet frames in/ out/
vsifrnet frames in/ out/ -n 120 --pattern frame_%05d.webp
vsifrnet frames in/ out/ --multi 5/2 --scale 0.5 --device cuda"""

DESCRIPTION = """\
Interpolate a folder of pictures (.png, .jpg, .webp, .avif) in their natural order (2 before 10).

Output picture n (from 1) shows the input at time (n - 1) / multi, as in the filter: where that
is an input picture, it is that one (the file itself is copied where the suffix stays); cuts are
held, equal pictures cost nothing, the last picture stays to the end. Pictures that are in OUT
already are kept, so a run that was stopped goes on."""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    parser = options.add_command(
        subparsers,
        "frames",
        run,
        help="a folder of pictures to a folder of more",
        description=DESCRIPTION,
        example=EXAMPLE,
    )
    parser.add_argument("source", type=Path, metavar="IN_DIR")
    parser.add_argument("target", type=Path, metavar="OUT_DIR")
    parser.add_argument(
        "-n", dest="count", type=int, metavar="COUNT", help="pictures to come out, not --multi"
    )
    parser.add_argument(
        "--pattern", default="%08d.png", help="names of the output and its format [%(default)s]"
    )
    parser.add_argument(
        "--quality", type=int, default=95, metavar="Q", help="of JPEG, WebP and AVIF, 1..100 [95]"
    )
    parser.add_argument("--loaders", type=int, default=2, metavar="N", help="reading threads [2]")
    parser.add_argument("--savers", type=int, default=2, metavar="N", help="writing threads [2]")
    options.add_overwrite(parser)
    options.add_arguments(parser, "multi", *options.FILTER)


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    from tqdm import tqdm

    from vsifrnet import files
    from vsifrnet.media import folder

    options.check_range(arguments, 1, "loaders", "savers")
    options.check_range(arguments, 1, "quality", high=100)
    source = folder.scan(arguments.source)
    multi = _multi(arguments, len(source.paths))
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    with (
        files.exclusive(arguments.target),
        folder.open_clip(source, loaders=arguments.loaders) as clip,
    ):
        made = options.apply_filter(clip, arguments, multi=multi)
        job = folder.Job(
            source=source,
            made=made,
            multi=multi,
            folder=arguments.target,
            pattern=arguments.pattern,
            quality=arguments.quality,
            # With "bridge", held pictures are replaced even at the times of source pictures.
            copies=arguments.dup_mode == "keep",
        )
        settings = _settings(arguments) | {"multi": str(multi)}
        results = job.results(settings, overwrite=arguments.overwrite)
        total, missing = made.num_frames, len(results.missing)
        if missing < total:
            log.info("%d of %d pictures are there already", total - missing, total)
        if results.stale and not arguments.overwrite:
            log.info(
                "%d pictures of an earlier run are replaced or removed: their sources have changed",
                len(results.stale),
            )
        with tqdm(
            total=total, initial=total - missing, unit="picture", disable=arguments.quiet
        ) as progress:
            for _ in job.run(results, savers=arguments.savers):
                progress.update()
    return 0


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    """List what the pictures depend on, beside their sources and their number."""
    from vsifrnet.weights.load import load_weights

    # The device and the number of pairs in flight are left out: they may change between sessions,
    # and change the results by less than a step of 8 bits.
    ignored = {"model", "device", "num_streams", "auto_download"}
    names = {"pattern", "quality", *options.FILTER} - ignored
    settings = {name: str(getattr(arguments, name)) for name in sorted(names)}
    loaded = load_weights(arguments.model, auto_download=arguments.auto_download)
    return settings | {"model": loaded.digest}


def _multi(arguments: argparse.Namespace, source_count: int) -> Fraction:
    """Return the number of output pictures per source picture."""
    if arguments.count is None:
        return Fraction(arguments.multi)
    if arguments.count < 1:
        raise InputError(f"-n {arguments.count}: must be at least 1")
    if options.is_given(arguments, "multi"):
        raise InputError(f"-n {arguments.count} and --multi {arguments.multi}: give one of the two")
    return Fraction(arguments.count, source_count)
