"""``vsifrnet bench clips``: on one's own clips, beside other interpolators."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path

from vsifrnet.cli import options
from vsifrnet.errors import InputError

log = logging.getLogger("vsifrnet")

EXAMPLE = """\
vsifrnet bench clips episode.mkv
vsifrnet bench clips *.mkv --frames 200 --out results/ --model GoPro.pth"""

DESCRIPTION = """\
Drop every other frame of videos, make it again, and compare it with the real one: IFRNet beside
blending, and beside mvtools (vapoursynth-mvtools) and SVP (open-svpflow) where these are
installed. All make the same frames. Frames at cuts and in still pictures are left out."""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    parser = options.add_command(
        subparsers,
        "clips",
        run,
        help="on one's own clips, beside other interpolators",
        description=DESCRIPTION,
        example=EXAMPLE,
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument(
        "--frames", type=int, default=50, metavar="N", help="of each clip, evenly spread [50]"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write frames.csv and strips of the worst frames (left, made, true, right, error)",
    )
    parser.add_argument(
        "--worst", type=int, default=5, metavar="N", help="strips of each clip, in --out [5]"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options.add_arguments(parser, *options.ENGINE, "num_streams")


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    import csv
    import json
    from dataclasses import asdict, astuple

    from tqdm import tqdm

    from vsifrnet import files
    from vsifrnet.evaluation import clips
    from vsifrnet.media import pictures
    from vsifrnet.media.pictures import Picture

    options.check_range(arguments, 1, "frames")
    if missing := [path for path in arguments.files if not path.is_file()]:
        raise InputError(f"{missing[0]}: there is no such file")
    used = {"IFRNet": lambda clip: options.apply_filter(clip, arguments, sc=False)}
    used |= clips.methods()
    names = [path.name for path in arguments.files]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{repeated[0]}: two files of this name")
    out: Path | None = arguments.out
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)

    scores = []
    for path in arguments.files:
        clip = clips.open_clip(path, used, count=arguments.frames)
        worst: list[tuple[float, int, Picture]] = []
        progress = tqdm(
            clip.frames(),
            total=len(clip.numbers),
            desc=path.name,
            unit="frame",
            disable=arguments.quiet,
        )
        for frame in progress:
            new = frame.scores(path.name)
            scores += new
            worst.append((new[0].psnr, frame.number, Picture(rgb=frame.strip("IFRNet"))))
            worst = sorted(worst, key=lambda item: item[:2])[: arguments.worst]
        if out is not None:
            for rank, (psnr, number, picture) in enumerate(worst, start=1):
                name = f"{path.name}_{rank:02d}_frame{number}_{psnr:.2f}dB.png"
                pictures.write(picture, out / name)
    if out is not None:
        with (
            files.replacing(out / "frames.csv") as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(asdict(scores[0]))
            writer.writerows(map(astuple, scores))
        log.info("%s: frames.csv, and strips of the worst frames", out)
    text = (
        json.dumps([asdict(s) for s in scores], indent=1) if arguments.json else clips.table(scores)
    )
    print(text)  # noqa: T201 (what was asked for)
    return 0
