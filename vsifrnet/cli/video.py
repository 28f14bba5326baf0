"""``vsifrnet video``: a video at a higher frame rate."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from vsifrnet.argument_table import ARGUMENTS
from vsifrnet.cli import options
from vsifrnet.errors import InputError

if TYPE_CHECKING:
    import vapoursynth as vs
    from tqdm import tqdm

    from vsifrnet.media.excerpt import Excerpt
    from vsifrnet.media.source import Source

log = logging.getLogger("vsifrnet")

EXAMPLE = """\
vsifrnet video in.mkv out.mkv
vsifrnet video in.mkv out.mkv --fps 60 --codec libx265 --crf 19 --preset slow
vsifrnet video in.mkv part.mkv --start 1:30 --end 1:40
vsifrnet video in.mp4 --multi 3 --pipe "x265 --y4m - --crf 19 -o out.hevc\""""

LEFT_OUT = {
    "audio": "audio",
    "subtitles": "subtitles",
    "attachments": "attachments",
    "other-video": "all video streams but the first",
    "alpha": "transparency",
}
"""What can be left out, in words by the names of the options."""

COPIED = [kind for kind in LEFT_OUT if kind != "alpha"]
"""What of it only matters where streams are copied."""

DESCRIPTION = """\
Interpolate a video, by the same filter as in a .vpy script.

OUT gets the first video stream, and copies of the other video streams, audio, subtitles, chapters,
attachments and tags of IN. Its suffix is the container; .mkv takes everything. Times are exact: a
variable frame rate stays variable with --multi, and becomes constant with --fps. OUT is there when
all is done, or not at all. With --pipe the video goes to an encoder of yours as y4m, and nothing
else is written. IN and OUT can be '-': y4m on standard input and output."""

ENCODER = ("codec", "crf", "preset", "option", "overwrite")
"""Options that only matter where this command encodes by itself."""


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
    parser.add_argument("source", type=options.path, metavar="IN")
    parser.add_argument("target", type=options.path, metavar="OUT", nargs="?")
    parser.add_argument(
        "--fps",
        type=options.rate,
        metavar="F",
        help="target frame rate, not --multi: 60, 60000/1001 or 59.94",
    )
    part = parser.add_argument_group("a part of the video")
    part.add_argument(
        "--start",
        type=options.moment,
        metavar="WHEN",
        help="first frame of IN, by number (240), or by time (10s, 12.5, 1:30)",
    )
    part.add_argument(
        "--end", type=options.moment, metavar="WHEN", help="frame or time of IN to end before"
    )
    part.add_argument(
        "--preview", type=int, metavar="N", help="write no more than N frames, to try settings"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--codec", help="libx264, libx265, libsvtav1, ... [libx264]")
    output.add_argument(
        "--crf", type=float, metavar="N", help="quality, lower is better [18, 20, 25]"
    )
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

    _check(arguments)
    with ExitStack() as stack:
        if _writes_file(arguments):
            sources = options.inputs(arguments, arguments.source)
            files.check_new(arguments.target, overwrite=arguments.overwrite, inputs=sources)
            stack.enter_context(files.exclusive(arguments.target))
        source = _open(arguments)
        made = _interpolated(source, arguments)
        progress = stack.enter_context(_progress(made, arguments))
        for _ in stack.enter_context(closing(_written(source, made, arguments))):
            progress.update()
    if damage := source.missing:
        raise InputError(f"{damage}, and are written")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is read."""
    if (arguments.target is None) == (arguments.pipe is None):
        raise InputError("give either OUT or --pipe COMMAND")
    if options.is_given(arguments, "multi") and arguments.fps is not None:
        raise InputError(
            f"--multi {arguments.multi} and --fps {arguments.fps}: give one of the two"
        )
    options.check_range(arguments, 1, "preview")
    if _writes_file(arguments):
        from vsifrnet.media.checks import check_crf, check_suffix

        check_suffix(arguments.target)
        check_crf(arguments.codec or "libx264", arguments.crf)
        return
    given = [name for name in ENCODER if getattr(arguments, name)]
    given += [f"no_{kind}" for kind in COPIED if getattr(arguments, f"no_{kind}".replace("-", "_"))]
    if given:
        option = given[0].replace("_", "-")
        raise InputError(f"--{option}: is of no use where OUT is not written by this command")


def _writes_file(arguments: argparse.Namespace) -> bool:
    """Return whether OUT is a file that this command encodes by itself."""
    return arguments.pipe is None and arguments.target is not options.STANDARD


def _option(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _open(arguments: argparse.Namespace) -> Source:
    from vsifrnet.media.source import open_source, open_stream

    if arguments.source is options.STANDARD:
        return open_stream(sys.stdin.buffer)
    log.info("reading %s", arguments.source)
    return open_source(arguments.source)


def _multi(source: Source, arguments: argparse.Namespace) -> Fraction:
    """Return the number of output frames per source frame, where it is the same everywhere."""
    if arguments.fps is not None and source.constant:
        return Fraction(arguments.fps) / Fraction(source.clip.fps)
    return Fraction(arguments.multi)


def _interpolated(source: Source, arguments: argparse.Namespace) -> vs.VideoNode:
    multi = _multi(source, arguments)
    clip = source.limited(multi)
    if arguments.no_alpha:
        clip = clip.std.RemoveFrameProps("_Alpha")
    if arguments.fps is None:
        return options.apply_filter(clip, arguments, multi=multi)
    target = {
        "multi": ARGUMENTS["multi"].default,
        "fps_num": arguments.fps.numerator,
        "fps_den": arguments.fps.denominator,
    }
    if source.constant:
        return options.apply_filter(clip, arguments, **target)
    return options.apply_filter(clip, arguments, **target, timecodes=source.times)


def _written(source: Source, made: vs.VideoNode, arguments: argparse.Namespace) -> Generator[int]:
    """Write what was asked for; gives the number of frames so far after each one."""
    from vsifrnet.media import pipe, y4m
    from vsifrnet.media.excerpt import Excerpt

    multi = _multi(source, arguments)
    part = Excerpt.of(
        source,
        made.num_frames,
        multi=multi,
        fps=arguments.fps,
        start=arguments.start,
        end=arguments.end,
        preview=arguments.preview,
    )
    made = made[part.first : part.last]
    frames = partial(source.frames, multi=multi, first=part.first)
    to_file = _writes_file(arguments)
    if not to_file and arguments.fps is None and not source.constant:
        raise InputError(
            f"{arguments.source} has a variable frame rate, which y4m cannot carry: choose a "
            "constant one with --fps"
        )
    if arguments.pipe is not None:
        return pipe.pipe(made, frames(made), arguments.pipe, quiet=arguments.quiet)
    if not to_file:
        return y4m.write_standard(made, frames(made))
    return _encoded(source, made, part, frames, arguments)


def _encoded(
    source: Source,
    made: vs.VideoNode,
    part: Excerpt,
    frames: Callable[[vs.VideoNode], Iterator[vs.VideoFrame]],
    arguments: argparse.Namespace,
) -> Generator[int]:
    from vsifrnet.media.copy import Copies
    from vsifrnet.media.encode import Encoder, encode

    crf = None if arguments.crf is None else f"{arguments.crf:g}"
    given = {"crf": crf, "preset": arguments.preset}
    encoder = Encoder(
        codec=arguments.codec or "libx264",
        options={k: v for k, v in given.items() if v is not None} | dict(arguments.option),
    )
    copies = None
    if arguments.source is not options.STANDARD:
        copies = Copies(
            path=arguments.source,
            video_track=source.track,
            audio=not arguments.no_audio,
            subtitles=not arguments.no_subtitles,
            attachments=not arguments.no_attachments,
            other_video=not arguments.no_other_video,
            begin=part.begin if part.first else None,
            end=part.end,
        )
    variable = arguments.fps is None and not source.constant
    multi = _multi(source, arguments)
    return encode(
        made,
        arguments.target,
        encoder=encoder,
        start=part.begin,
        tick=source.tick / multi.numerator if variable else None,
        copies=copies,
        overwrite=arguments.overwrite,
        matrix=arguments.matrix,
        frames=frames,
    )


def _progress(made: vs.VideoNode, arguments: argparse.Namespace) -> tqdm[NoReturn]:
    from tqdm import tqdm

    total = None if arguments.source is options.STANDARD else made.num_frames
    return tqdm(total=total, unit="frame", disable=arguments.quiet)
