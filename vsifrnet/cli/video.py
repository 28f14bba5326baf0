"""``vsifrnet video``: a video at a higher frame rate."""

from __future__ import annotations

import argparse
import logging
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vsifrnet.cli import options
from vsifrnet.errors import InputError

if TYPE_CHECKING:
    import vapoursynth as vs
    from tqdm import tqdm

    from vsifrnet.media.source import Source

log = logging.getLogger("vsifrnet")

EXAMPLE = """\
vsifrnet video in.mkv out.mkv
vsifrnet video in.mkv out.mkv --fps 60 --codec libx265 --crf 19 --preset slow
vsifrnet video in.mp4 --multi 3 --pipe "x265 --y4m - --crf 19 -o out.hevc\""""

LEFT_OUT = {
    "audio": "audio",
    "subtitles": "subtitles",
    "attachments": "attachments",
    "other-video": "all video streams but the first",
    "alpha": "transparency",
}
"""What can be left out, in words by the names of the options."""

DESCRIPTION = """\
Interpolate a video, by the same filter as in a .vpy script.

OUT gets the first video stream, and copies of the other video streams, audio, subtitles, chapters,
attachments and tags of IN. Its suffix is the container; .mkv takes everything. Times are exact: a
variable frame rate stays variable with --multi, and becomes constant with --fps. OUT is there when
all is done, or not at all. With --pipe the video goes to an encoder of yours as y4m, and nothing
else is written."""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    parser = options.add_command(
        subparsers,
        "video",
        run,
        help="a video at a higher frame rate",
        description=DESCRIPTION,
        example=EXAMPLE,
    )
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("target", type=Path, metavar="OUT", nargs="?")
    parser.add_argument(
        "--fps",
        type=options.rate,
        metavar="F",
        help="target frame rate, not --multi: 60, 60000/1001 or 59.94",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--codec", default="libx264", help="libx264, libx265, libsvtav1, ... [%(default)s]"
    )
    output.add_argument("--crf", metavar="N", help="quality, lower is better [18, 20, 25]")
    output.add_argument("--preset", help="speed of the encoder [medium, medium, 6]")
    output.add_argument(
        "--option",
        action="append",
        default=[],
        type=_option,
        metavar="NAME=VALUE",
        help="another option of the encoder, as in FFmpeg; may be repeated",
    )
    output.add_argument("--pipe", metavar="COMMAND", help="encode by a command that reads y4m")
    for kind, name in LEFT_OUT.items():
        output.add_argument(f"--no-{kind}", action="store_true", help=f"leave out {name}")
    options.add_overwrite(output)
    options.add_arguments(parser, "multi", *options.FILTER, "matrix")


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    from vsifrnet import files

    if (arguments.target is None) == (arguments.pipe is None):
        raise InputError("give either OUT or --pipe COMMAND")
    if arguments.pipe is not None:
        _pipe(arguments)
        return 0
    sources = options.inputs(arguments, arguments.source)
    files.check_new(arguments.target, overwrite=arguments.overwrite, inputs=sources)
    with files.exclusive(arguments.target):
        _encode(arguments)
    return 0


def _option(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _open(arguments: argparse.Namespace) -> Source:
    from vsifrnet.media.source import open_source

    log.info("reading %s", arguments.source)
    return open_source(arguments.source)


def _interpolated(source: Source, arguments: argparse.Namespace) -> vs.VideoNode:
    clip = source.clip.std.RemoveFrameProps("_Alpha") if arguments.no_alpha else source.clip
    if arguments.fps is None:
        return options.apply_filter(clip, arguments)
    target = {"fps_num": arguments.fps.numerator, "fps_den": arguments.fps.denominator}
    if source.constant:
        return options.apply_filter(clip, arguments, **target)
    return options.apply_filter(clip, arguments, **target, timecodes=source.times)


def _encode(arguments: argparse.Namespace) -> None:
    from vsifrnet.media.copy import Copies
    from vsifrnet.media.encode import Encoder, encode

    source = _open(arguments)
    made = _interpolated(source, arguments)
    given = {"crf": arguments.crf, "preset": arguments.preset}
    encoder = Encoder(
        codec=arguments.codec,
        options={k: v for k, v in given.items() if v is not None} | dict(arguments.option),
    )
    copies = Copies(
        path=arguments.source,
        video_track=source.track,
        audio=not arguments.no_audio,
        subtitles=not arguments.no_subtitles,
        attachments=not arguments.no_attachments,
        other_video=not arguments.no_other_video,
    )
    variable = arguments.fps is None and not source.constant
    work = encode(
        made,
        arguments.target,
        encoder=encoder,
        start=source.start,
        tick=source.tick / Fraction(arguments.multi).numerator if variable else None,
        copies=copies,
        overwrite=arguments.overwrite,
        matrix=arguments.matrix,
    )
    with closing(work), _progress(made, arguments) as progress:
        for _ in work:
            progress.update()


def _pipe(arguments: argparse.Namespace) -> None:
    from vsifrnet.media.pipe import pipe

    source = _open(arguments)
    if arguments.fps is None and not source.constant:
        raise InputError(
            f"{arguments.source} has a variable frame rate, which y4m cannot carry: choose a "
            "constant one with --fps"
        )
    made = _interpolated(source, arguments)
    with _progress(made, arguments) as progress:
        pipe(
            made,
            arguments.pipe,
            progress=lambda done: progress.update(done - progress.n),
            quiet=arguments.quiet,
        )


def _progress(made: vs.VideoNode, arguments: argparse.Namespace) -> tqdm[NoReturn]:
    from tqdm import tqdm

    return tqdm(total=made.num_frames, unit="frame", disable=arguments.quiet)
