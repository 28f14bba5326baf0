"""``vsifrnet image``: pictures between two pictures."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vsifrnet.cli import options
from vsifrnet.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from vsifrnet.engine.interpolator import Interpolator
    from vsifrnet.media.pictures import Picture

EXAMPLE = """\
vsifrnet image a.png b.png -o middle.png
vsifrnet image a.png b.png -o demo.gif -n 7
vsifrnet image a.png b.png -o quarter.png -t 1/4
vsifrnet image a.png b.png -o between_%02d.png -n 3"""

DESCRIPTION = """\
Make pictures between two pictures A and B.

OUT is a picture (.png, .jpg, .webp, .avif), a name with %d for several pictures, or an
animation of A, the pictures between, and B (.gif, .apng, .webp where several are made, .mp4).
16-bit PNG stays 16-bit. Transparency moves along with the colours."""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    parser = options.add_command(
        subparsers,
        "image",
        run,
        help="pictures between two pictures",
        description=DESCRIPTION,
        example=EXAMPLE,
    )
    parser.add_argument("first", type=Path, metavar="A")
    parser.add_argument("second", type=Path, metavar="B")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", required=True)
    times = parser.add_mutually_exclusive_group()
    times.add_argument(
        "-n", dest="count", type=int, default=1, metavar="N", help="evenly spaced pictures [1]"
    )
    times.add_argument(
        "-t",
        dest="times",
        type=options.fraction,
        nargs="+",
        metavar="T",
        help="times between 0 (A) and 1 (B), such as 0.25 or 1/3",
    )
    parser.add_argument(
        "--fps",
        type=options.rate,
        default=Fraction(10),
        metavar="F",
        help="pictures per second of an animation [10]",
    )
    parser.add_argument(
        "--quality", type=int, default=95, metavar="Q", help="of JPEG, WebP and AVIF, 1..100 [95]"
    )
    options.add_overwrite(parser)
    options.add_arguments(parser, *options.ENGINE)


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    from tqdm import tqdm

    from vsifrnet.argument_table import HALVINGS
    from vsifrnet.media import pictures

    options.check_range(arguments, 1, "quality", high=100)
    times = _times(arguments)
    targets = _targets(arguments, len(times))
    first, second = pictures.read(arguments.first), pictures.read(arguments.second)
    if first.rgb.shape != second.rgb.shape:
        sizes = " and ".join("{2}x{1}".format(*p.rgb.shape) for p in (first, second))
        raise InputError(f"the pictures differ in size: {sizes}")
    interpolator, loaded = options.interpolator(arguments)
    if loaded.t_blind and any(t.denominator not in HALVINGS for t in times):
        raise InputError(
            f"{loaded.name} ignores the time t and only makes the middle of two pictures: "
            "-n 1, 3, 7 or 15, or times -t in halves, quarters, eighths or sixteenths"
        )
    progress = tqdm(times, unit="picture", disable=arguments.quiet or len(times) == 1)
    made = [_between(interpolator, first, second, t) for t in progress]
    if len(targets) == len(made) and not _animated(arguments.output, len(made)):
        for picture, path in zip(made, targets, strict=True):
            pictures.write(picture, path, quality=arguments.quality)
        return 0
    _animate([first, *made, second], arguments)
    return 0


def _times(arguments: argparse.Namespace) -> list[Fraction]:
    if arguments.times:
        if outside := [t for t in arguments.times if t >= 1]:
            raise InputError(f"-t {outside[0]}: must be between 0 and 1")
        return sorted(arguments.times)
    if arguments.count < 1:
        raise InputError(f"-n {arguments.count}: must be at least 1")
    return [Fraction(i, arguments.count + 1) for i in range(1, arguments.count + 1)]


def _animated(output: Path, count: int) -> bool:
    suffix = output.suffix.lower()
    return suffix in (".gif", ".apng", ".mp4") or (
        suffix == ".webp" and count > 1 and not _pattern(output)
    )


def _pattern(output: Path) -> bool:
    return re.search(r"%0?\d*d", output.name) is not None


def _targets(arguments: argparse.Namespace, count: int) -> list[Path]:
    """Return the files to write; refuse those that must not be written."""
    from vsifrnet import files
    from vsifrnet.media import pictures

    output: Path = arguments.output
    if _animated(output, count):
        targets = [output]
    elif output.suffix.lower() not in pictures.SUFFIXES:
        accepted = ", ".join((*pictures.SUFFIXES, ".gif", ".apng", ".mp4"))
        raise InputError(f"-o {output}: the suffix must be one of {accepted}")
    elif _pattern(output):
        try:
            targets = [output.with_name(output.name % i) for i in range(1, count + 1)]
        except (TypeError, ValueError):
            raise InputError(f"-o {output}: must have exactly one %d") from None
    elif count == 1:
        targets = [output]
    else:
        raise InputError(
            f"-o {output}: {count} pictures need a name with %d (such as out_%02d.png) or an "
            "animation (.gif, .webp, .apng, .mp4)"
        )
    for path in targets:
        sources = options.inputs(arguments, arguments.first, arguments.second)
        files.check_new(path, overwrite=arguments.overwrite, inputs=sources)
    return targets


def _between(interpolator: Interpolator, first: Picture, second: Picture, t: Fraction) -> Picture:
    """Make the picture at time ``t``, with the depth and kind of the two pictures."""
    from vsifrnet.media.pictures import Picture

    depth, grey = max(first.depth, second.depth), first.grey and second.grey
    icc = first.icc if first.icc == second.icc else None
    img0, img1 = _planes(first), _planes(second)
    made = interpolator(img0, img1, t, key="pair").cpu()
    alpha = made[3] if len(made) > 3 else None
    return Picture(rgb=made[:3], alpha=alpha, depth=depth, grey=grey, icc=icc)


def _planes(picture: Picture) -> Tensor:
    """Return colours, and alpha where the picture has one, as (3 or 4, H, W)."""
    import torch

    if picture.alpha is None:
        return picture.rgb
    return torch.cat((picture.rgb, picture.alpha[None]))


def _animate(all_pictures: list[Picture], arguments: argparse.Namespace) -> None:
    from vsifrnet.media import pictures

    if arguments.output.suffix.lower() == ".mp4":
        from vsifrnet.media.encode import encode_pictures

        if any(picture.alpha is not None for picture in all_pictures):
            raise InputError(f"{arguments.output}: MP4 cannot store transparency; WebP can")
        encode_pictures(all_pictures, arguments.output, fps=arguments.fps)
        return
    pictures.animate(all_pictures, arguments.output, fps=arguments.fps, quality=arguments.quality)
