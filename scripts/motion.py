"""Measure made frames against the true ones for large, repeated and lettering motion.

    python scripts/motion.py                      # all sets, a table by set
    python scripts/motion.py --sets lettering --by-clip --worst out/
    python scripts/motion.py --pictures ../shared/training-set/backgrounds

Every shot is drawn by ``motion_sets.py`` with its true in-between frames. The methods are those of
``vsifrnet bench clips`` (blending, and mvtools and SVP where they are installed) beside this filter
at its defaults and at ``scale=1``; all get the same YUV420P8 frames, and 8-bit RGB is compared.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from cameras import HEIGHT, WIDTH
from motion_sets import Shot, shots
from PIL import Image
from tqdm import tqdm

from vsifrnet import ifrnet
from vsifrnet.evaluation import clips, metrics
from vsifrnet.evaluation.arrays import clip_from, planes_of
from vsifrnet.evaluation.methods import Method, installed
from vsifrnet.files import replacing

MOST = 60.0
"""dB that a frame counts at most: one that is made exactly would outweigh all others."""

SHOWN = 640
"""Width of one of the five pictures of a strip on a contact sheet."""


def clip_of(shot: Shot, gaps: int) -> vs.VideoNode:
    """Return the frames at tau = 0, 1/2, 1 ... ``gaps`` as YUV420P8, which all methods get."""
    drawn = [(shot.draw(n / 2) * 255).round().astype(np.uint8) for n in range(2 * gaps + 1)]
    clip = clip_from(planes_of(drawn), vs.RGB24)
    return clip.resize.Bicubic(format=vs.YUV420P8, matrix=6)


def methods(scales: Sequence[str], model: str | None) -> dict[str, Method]:
    """Return this filter at the given scales, and the installed methods to compare with."""
    ours: dict[str, Method] = {}
    for text in scales:
        scale: Any = "auto" if text == "auto" else float(text)
        ours[f"scale={text}"] = partial(ifrnet, scale=scale, model=model, sc=False)
    return ours | installed()


def measured(shot: Shot, used: dict[str, Method], gaps: int) -> Iterator[clips.Frame]:
    """Yield the frames in between as each method makes them."""
    whole = clip_of(shot, gaps)
    places = [(n, n) for n in range(1, 2 * gaps, 2)]
    return clips.prepare_clip(whole, whole[::2], used, places).frames()


def margin(means: dict[str, float], first: str) -> float:
    """Return the lead of the method ``first`` over the better of mvtools and SVP, in dB."""
    others = [means[name] for name in ("mvtools", "svpflow") if name in means]
    return means[first] - max(others) if others else float("nan")


def row(name: str, means: dict[str, float], count: str) -> str:
    """Return a row of the Markdown table."""
    first = next(iter(means))
    cells = " | ".join(f"{value:.2f}" for value in means.values())
    return f"| {name} | {count} | {cells} | {margin(means, first):+.2f} |"


def save_sheet(strips: Iterable[tuple[float, str, torch.Tensor]], path: Path, count: int) -> None:
    """Write a sheet of the frames of lowest PSNR, each as left, made, true, right and error."""
    rows = []
    for _, _, strip in sorted(strips, key=lambda entry: entry[:2])[:count]:
        picture = Image.fromarray((strip.permute(1, 2, 0) * 255).byte().numpy())
        size = 5 * SHOWN, SHOWN * HEIGHT // WIDTH
        rows.append(np.asarray(picture.resize(size, Image.Resampling.BOX)))
    with replacing(path) as partly:
        Image.fromarray(np.vstack(rows)).save(partly, format="png")


def main() -> None:
    """Handle the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", help="only these sets")
    parser.add_argument("--match", default="", help="only shots whose name has this")
    parser.add_argument("--gaps", type=int, default=2, help="frames made of each shot")
    parser.add_argument("--pictures", type=Path, help="folder in place of scikit-image's pictures")
    parser.add_argument("--model")
    parser.add_argument("--scales", nargs="*", default=["auto", "1"])
    parser.add_argument("--by-clip", action="store_true", help="a row for every shot, too")
    parser.add_argument("--csv", type=Path, help="write the rows of every shot")
    parser.add_argument("--worst", type=Path, help="folder for a sheet of each set's worst frames")
    parser.add_argument("--count", type=int, default=10, help="frames on a sheet")
    arguments = parser.parse_args()

    used = methods(arguments.scales, arguments.model)
    first = next(iter(used))
    table: dict[str, list[tuple[str, dict[str, float]]]] = defaultdict(list)
    strips: dict[str, list[tuple[float, str, torch.Tensor]]] = defaultdict(list)
    chosen = [
        shot
        for shot in shots(arguments.pictures)
        if (not arguments.sets or shot.set in arguments.sets) and arguments.match in shot.name
    ]
    began = time.monotonic()
    for shot in tqdm(chosen, unit="shot"):
        psnr: dict[str, list[float]] = {name: [] for name in used}
        for frame in measured(shot, used, arguments.gaps):
            for name, picture in frame.made.items():
                psnr[name].append(min(MOST, metrics.psnr(picture, frame.true)))
            if arguments.worst:
                strips[shot.set].append((psnr[first][-1], shot.name, frame.strip(first)))
        table[shot.set].append((shot.name, {name: fmean(v) for name, v in psnr.items()}))

    print(f"| set | shots | {' | '.join(used)} | lead |")
    print("|---|" + "---|" * (len(used) + 2))
    for group, rows in table.items():
        means = {name: fmean(values[name] for _, values in rows) for name in used}
        behind = [name for name, values in rows if margin(values, first) < -0.5]
        if arguments.by_clip:
            for name, values in rows:
                print(row(name, values, ""))
        print(row(f"**{group}**", means, f"{len(rows)}, {len(behind)} behind"))
    print(f"\n{len(chosen)} shots, {time.monotonic() - began:.0f} s")
    if arguments.csv:
        with (
            replacing(arguments.csv) as partly,
            partly.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(("set", "shot", *used))
            for group, rows in table.items():
                writer.writerows((group, name, *values.values()) for name, values in rows)
    if arguments.worst:
        arguments.worst.mkdir(parents=True, exist_ok=True)
        for group, entries in strips.items():
            save_sheet(entries, arguments.worst / f"{group}.png", arguments.count)


if __name__ == "__main__":
    main()
