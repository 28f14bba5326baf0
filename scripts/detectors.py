"""Measure precision and recall of the detectors on clips with known cuts and held frames.

    python scripts/detectors.py cuts --data ../shared
    python scripts/detectors.py flashes --data ../shared
    python scripts/detectors.py held --data ../shared --size 1920x1080

It prints Markdown tables to stdout. The parameters were tuned on half 0 of the pictures; the
default here is half 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs
from cut_clips import CutClip, cut_clips, decode_grey, splice
from drawings import drawings, encoded
from flash_clips import flash_clips
from tqdm import tqdm

from vsifrnet.detect import held, scenes
from vsifrnet.evaluation.arrays import clip_from

OWN_CUTS = {
    "oa4_launch.webm": (73,),
    "cityCC0.mpg": (115,),
    "earth.mp4": (),
    "fillets_intro_20s.mp4": (),
}
"""Cuts of the real clips, seen by eye; fillets_intro_20s has two dissolves and a wipe only."""

Detector = Callable[[vs.VideoNode], list[bool]]
"""Decides for each frame of a clip whether a cut follows; the last decision does not count."""


def ours(threshold: float) -> Detector:
    """Return this package's detector."""
    return lambda clip: [
        scenes.is_cut(frame.props, threshold) for frame in scenes.gap_scores(clip).frames()
    ]


def scxvid(clip: vs.VideoNode) -> list[bool]:
    """Run scxvid at its defaults."""
    clip = vs.core.scxvid.Scxvid(clip.resize.Bilinear(format=vs.YUV420P8))
    first = [bool(frame.props._SceneChangePrev) for frame in clip.frames()]
    return [*first[1:], False]


def mvtools(clip: vs.VideoNode) -> list[bool]:
    """Run mvtools' SCDetection at its defaults, with blocks of 8."""
    clip = clip.resize.Bilinear(format=vs.YUV420P8)
    vectors = vs.core.mv.Analyse(vs.core.mv.Super(clip), isb=True, blksize=8)
    clip = vs.core.mv.SCDetection(clip, vectors)
    return [bool(frame.props._SceneChangeNext) for frame in clip.frames()]


def cuts(arguments: argparse.Namespace) -> None:
    """Print the tables of the cut detectors."""
    detectors: dict[str, Detector] = {"ours": ours(arguments.threshold)}
    if arguments.others:
        detectors |= {"scxvid": scxvid, "mvtools": mvtools}
    clips = {arguments.data / "clips" / name: own for name, own in OWN_CUTS.items()}
    material: list[CutClip] = [
        made
        for seed in range(arguments.count)
        for made in cut_clips(arguments.data / "training-set", arguments.half, seed)
    ]
    for path, own in clips.items():
        material.append(CutClip(path.name, decode_grey(path), frozenset(own)))
    material += [splice(clips, seed) for seed in range(4)]

    counts: dict[str, dict[str, Any]] = {}
    for known in tqdm(material, unit="clip"):
        clip = clip_from([[frame] for frame in known.frames], vs.GRAY8)
        row = counts.setdefault(known.name, {"gaps": 0, "cuts": 0})
        row["gaps"] += len(known.frames) - 1
        row["cuts"] += len(known.cuts)
        for name, detector in detectors.items():
            found = {k for k, cut in enumerate(detector(clip)[:-1]) if cut}
            right, wrong = row.get(name, (0, 0))
            row[name] = right + len(found & known.cuts), wrong + len(found - known.cuts)
    print("| material | gaps | cuts |", *(f" {name}: found, false |" for name in detectors))
    print("|---|---|---|" + "---|" * len(detectors))
    for kind, row in counts.items():
        cells = "".join(f" {row[name][0]}, {row[name][1]} |" for name in detectors)
        print(f"| {kind} | {row['gaps']} | {row['cuts']} |{cells}")
    total = sum(row["cuts"] for row in counts.values())
    for name in detectors:
        right, wrong = (sum(row[name][i] for row in counts.values()) for i in (0, 1))
        precision = right / max(1, right + wrong)
        print(f"\n{name}: precision {precision:.4f}, recall {right / total:.4f}")


def flashes(arguments: argparse.Namespace) -> None:
    """Print how many edges of flashes are found, and how many other gaps are taken for one."""
    training_set = arguments.data / "training-set"
    material = [
        made
        for seed in range(arguments.count)
        for made in (
            *flash_clips(training_set, arguments.half, seed),
            *cut_clips(training_set, arguments.half, seed),
        )
    ]
    for path in sorted((arguments.data / "clips").iterdir()):
        if path.name in OWN_CUTS:
            material.append(CutClip(path.name, decode_grey(path), frozenset(OWN_CUTS[path.name])))
    counts: dict[str, list[int]] = {}
    for known in tqdm(material, unit="clip"):
        scores = scenes.gap_scores(clip_from([[frame] for frame in known.frames], vs.GRAY8))
        row = counts.setdefault(known.name, [0, 0, 0, 0])
        row[0] += len(known.frames) - 1
        row[1] += len(known.cuts)
        for k, frame in zip(range(len(known.frames) - 1), scores.frames(), strict=False):
            cut = scenes.is_cut(frame.props, scenes.DEFAULT_THRESHOLD)
            flash = scenes.is_flash(frame.props)
            row[2] += k in known.cuts and (cut or flash)
            row[3] += k not in known.cuts and flash and not cut
    print("| material | gaps | edges or cuts | found | flash elsewhere |")
    print("|---|---|---|---|---|")
    for kind, row in counts.items():
        print(f"| {kind} | " + " | ".join(map(str, row)) + " |")


def held_frames(arguments: argparse.Namespace) -> None:
    """Print the confusion table of the detector of held frames."""
    width, height = (int(side) for side in arguments.size.split("x"))
    sources = (arguments.data / "training-set" / "SOURCES.tsv").read_text().splitlines()
    drawn = [line.split("\t")[0] for line in sources if line.endswith("\tdrawn")]
    pictures = [name for name in drawn if name.startswith("backgrounds/")][arguments.half :: 2]
    random = np.random.default_rng(arguments.half)
    chosen = random.choice(pictures, arguments.count, replace=False)
    counts: dict[tuple[str, int], list[int]] = {}
    for seed, picture in enumerate(tqdm(chosen, unit="scene")):
        for clip in drawings(arguments.data / "training-set" / picture, (width, height), seed):
            for crf in (16, 23, 28):
                planes = clip_from(encoded(clip.frames, crf), vs.YUV420P8)
                node = held.held_frames(planes, arguments.threshold)
                row = counts.setdefault((clip.name, crf), [0, 0, 0, 0])
                for frame, same in zip(node.frames(), clip.held, strict=False):
                    row[2 * same + held.is_held(frame.props)] += 1
    print("| clip | crf | held | found held | moving | taken for held |")
    print("|---|---|---|---|---|---|")
    for (name, crf), (moved, wrong, missed, found) in sorted(counts.items()):
        print(f"| {name} | {crf} | {missed + found} | {found} | {moved + wrong} | {wrong} |")
    moved, wrong, missed, found = np.sum(list(counts.values()), axis=0)
    print(f"\nheld frames found: {found / (found + missed):.4f} of {found + missed}")
    print(f"moving frames taken for held: {wrong} of {moved + wrong}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detector", choices=["cuts", "flashes", "held"])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared"), help="folder with clips and training-set"
    )
    parser.add_argument(
        "--half", type=int, choices=[0, 1], default=1, help="half of the pictures [1]"
    )
    parser.add_argument(
        "--count", type=int, help="number of clips of each kind [40], or of scenes [6]"
    )
    parser.add_argument("--threshold", type=float, help="threshold [the detector's]")
    parser.add_argument("--size", default="1920x1080", help="size of the held scenes [1920x1080]")
    parser.add_argument("--others", action="store_true", help="also run scxvid and mvtools")
    arguments = parser.parse_args()
    module, count, run = {
        "cuts": (scenes, 40, cuts),
        "flashes": (scenes, 10, flashes),
        "held": (held, 6, held_frames),
    }[arguments.detector]
    if arguments.threshold is None:
        arguments.threshold = module.DEFAULT_THRESHOLD
    arguments.count = arguments.count or count
    run(arguments)


if __name__ == "__main__":
    main()
