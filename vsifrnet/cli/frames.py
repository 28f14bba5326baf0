"""``vsifrnet frames``: a folder of pictures to a folder of more."""

from __future__ import annotations

import argparse
import logging
from fractions import Fraction
from pathlib import Path

from vsifrnet.cli import CommandError, options

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
already are kept, so a run that was stopped goes on. Transparent pictures are refused."""


def add_parser(subparsers: options.Subparsers[argparse.ArgumentParser]) -> None:
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
    import vapoursynth as vs
    from tqdm import tqdm

    from vsifrnet import files
    from vsifrnet.media import folder

    options.check_least(arguments, 1, "loaders", "savers")
    if not 1 <= arguments.quality <= 100:
        raise CommandError(f"--quality {arguments.quality}: accepted is a number from 1 to 100")
    source = folder.scan(arguments.source)
    if arguments.count is not None:
        if arguments.count < 1 or arguments.multi != 2:
            raise CommandError("-n COUNT: accepted is a number from 1, in place of --multi")
        arguments.multi = Fraction(arguments.count, len(source.paths))
    try:
        with folder.open_clip(source, loaders=arguments.loaders) as clip:
            made = options.apply_filter(clip, arguments)
            job = folder.Job(
                source=source,
                made=made,
                multi=Fraction(arguments.multi),
                folder=arguments.target,
                pattern=arguments.pattern,
                quality=arguments.quality,
                # Bridged, a held picture is replaced although its time is that of a source one.
                copies=arguments.dup_mode == "keep",
            )
            # The number of pairs in flight may change between sessions, for the memory there is: at
            # most it changes the last bits of what is rounded to 8 bits here.
            settings = {
                name: str(value)
                for name, value in vars(arguments).items()
                if name in ("source", "multi", "pattern", "quality", *options.FILTER)
                and name != "num_streams"
            }
            # First, as a folder that a wrong pattern has claimed would refuse the right one.
            missing = job.missing(overwrite=arguments.overwrite)
            files.claim_folder(arguments.target, settings, overwrite=arguments.overwrite)
            total = made.num_frames
            if len(missing) < total:
                log.info("%d of %d pictures are there already", total - len(missing), total)
            with tqdm(
                total=total, initial=total - len(missing), unit="picture", disable=arguments.quiet
            ) as progress:
                for _ in job.run(missing, savers=arguments.savers):
                    progress.update()
    except vs.Error as error:
        raise CommandError(str(error)) from None
    return 0
