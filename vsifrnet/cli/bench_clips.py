"""``vsifrnet bench clips``: quality on one's own clips, beside other interpolators."""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from vsifrnet.cli import options
from vsifrnet.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vsifrnet.engine.interpolator import Interpolator
    from vsifrnet.evaluation.clips import Frame, Score
    from vsifrnet.evaluation.methods import Method

log = logging.getLogger("vsifrnet")

EXAMPLE = """\
vsifrnet bench clips episode.mkv
vsifrnet bench clips *.mkv --frames 200 --out results/ --model GoPro.pth
vsifrnet bench clips *.mkv --assets training-set --bare --model mine.safetensors --model ifrnet_s"""

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
        help="quality on one's own clips, beside other interpolators",
        description=DESCRIPTION,
        example=EXAMPLE,
    )
    add = parser.add_argument
    add("files", type=Path, nargs="*", metavar="FILE")
    add(
        "--frames",
        type=int,
        default=50,
        metavar="N",
        help="frames to measure in each clip, evenly spread [50]",
    )
    add("--first", type=int, default=0, metavar="N", help="frame of each clip to begin at [0]")
    add(
        "--against",
        metavar="NAMES",
        help="methods to compare with, of blend, mvtools, svpflow [those installed]; empty: none",
    )
    add(
        "--bare",
        action="store_true",
        help="run the network on RGB without the filter around it, as in the models' cards: 4:2:0 "
        "and equal frames do not count",
    )
    add(
        "--assets",
        type=Path,
        metavar="DIR",
        help="also measure on synthetic motion from the held-out part of a training set, by pace "
        "and by time; always bare (needs vsifrnet[train])",
    )
    add(
        "--samples",
        type=int,
        default=24,
        metavar="N",
        help="scenes of each kind, with --assets [24]",
    )
    add(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write frames.csv and strips of the worst frames (left, made, true, right, error)",
    )
    options.add_overwrite(parser)
    add("--worst", type=int, default=5, metavar="N", help="strips of each clip in --out [5]")
    add("--json", action="store_true", help="print JSON in place of the table")
    add(
        "--model",
        action="append",
        metavar="NAME|FILE",
        help="model to measure, may be given several times [the one in the package]",
    )
    others = (name for name in options.ENGINE if name != "model")
    options.add_arguments(parser, *others, "num_streams")


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    from dataclasses import asdict, astuple, fields

    from vsifrnet import files
    from vsifrnet.evaluation import clips, report

    options.check_range(arguments, 1, "frames", "samples")
    options.check_range(arguments, 0, "first", "worst")
    _check_files(arguments)
    methods = _methods(arguments.against)
    models = _by_label(arguments.model or [None])
    filters: dict[str, Method] = {}
    networks: dict[str, Interpolator] = {}
    for label, model in models.items():
        chosen = argparse.Namespace(**{**vars(arguments), "model": model})
        if arguments.bare or arguments.assets:
            networks[label] = options.interpolator(chosen)[0]
        if not arguments.bare:
            filters[label] = lambda clip, chosen=chosen: options.apply_filter(  # type: ignore[misc]
                clip, chosen, sc=False
            )
    out: Path | None = arguments.out
    if out is not None:
        settings = {"command": "bench clips"}
        names = ("frames.csv",)
        files.claim_folder(out, settings, overwrite=arguments.overwrite, results=names)
    measured = _Measured(arguments, next(iter(models)))
    for path in arguments.files:
        clip = clips.open_clip(
            path, filters | methods, count=arguments.frames, first=arguments.first
        )
        bare = networks if arguments.bare else {}
        measured.add(path.name, clip.frames(bare), len(clip.places))
    if arguments.assets:
        _add_synthetic(measured, arguments, methods, networks)
    scores = [score for group in measured.groups for score in group]
    if out is not None:
        header = [field.name for field in fields(clips.Score)]
        report.write_csv(out / "frames.csv", header, map(astuple, scores))
        log.info("%s: frames.csv, and strips of the worst frames", out)
    tables = "\n\n".join(clips.table(group) for group in measured.groups if group)
    text = report.to_json([asdict(s) for s in scores]) if arguments.json else tables
    print(text)  # noqa: T201 (what was asked for)
    return 0


class _Measured:
    """Collects scores, and writes strips of each clip's worst frames by ``method`` to --out."""

    def __init__(self, arguments: argparse.Namespace, method: str) -> None:
        self.groups: list[list[Score]] = [[]]
        """The scores of each table: real clips, synthetic motion by pace, and by time."""
        self._arguments = arguments
        self._method = method

    def add(self, name: str, frames: Iterable[Frame], count: int) -> None:
        """Measure the frames of a clip."""
        from tqdm import tqdm

        from vsifrnet.media import pictures
        from vsifrnet.media.pictures import Picture

        worst: list[tuple[float, int, Picture]] = []
        for frame in tqdm(
            frames, total=count, desc=name, unit="frame", disable=self._arguments.quiet
        ):
            new = frame.scores(name)
            self.groups[-1] += new
            psnr = next(score.psnr for score in new if score.method == self._method)
            worst.append((psnr, frame.number, Picture(rgb=frame.strip(self._method))))
            worst = sorted(worst, key=lambda item: item[:2])[: self._arguments.worst]
        if self._arguments.out is not None:
            for rank, (psnr, number, picture) in enumerate(worst, start=1):
                file = f"{name.replace('/', '_')}_{rank:02d}_frame{number}_{psnr:.2f}dB.png"
                pictures.write(picture, self._arguments.out / file)


def _add_synthetic(
    measured: _Measured,
    arguments: argparse.Namespace,
    methods: Mapping[str, Method],
    networks: Mapping[str, Interpolator],
) -> None:
    from vsifrnet.evaluation import synthetic

    assets, count = synthetic.held_out(arguments.assets), arguments.samples
    measured.groups.append([])
    for pace, data in synthetic.paces(assets).items():
        clip = synthetic.clip_of(data, count, methods)
        measured.add(f"synthetic {pace}", clip.frames(networks), count)
    measured.groups.append([])
    for t in synthetic.TIMES:
        frames = synthetic.by_time(assets, t, count, networks)
        measured.add(f"synthetic t={float(t):g}", frames, count)


def _check_files(arguments: argparse.Namespace) -> None:
    if not arguments.files and arguments.assets is None:
        raise InputError("nothing to measure on: give FILEs or --assets DIR")
    if missing := [path for path in arguments.files if not path.exists()]:
        raise InputError(f"{missing[0]}: there is no such file")
    names = Counter(path.name for path in arguments.files)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise InputError(f"{repeated[0]}: two files have this name")


def _methods(against: str | None) -> dict[str, Method]:
    """Return the classical methods that --against names."""
    from vsifrnet.evaluation.methods import METHODS, installed

    found = installed()
    if against is None:
        return found
    names = [name for name in against.split(",") if name]
    for name in names:
        if name not in METHODS:
            raise InputError(f"--against {name}: must be of {', '.join(METHODS)}")
        if name not in found:
            raise InputError(f"--against {name}: VapourSynth has no such plugin here")
    return {name: found[name] for name in names}


def _by_label(models: list[str | None]) -> dict[str, str | None]:
    """Return the models by their names in the table: IFRNet, or their own if there are several."""
    if len(models) == 1:
        return {"IFRNet": models[0]}
    labels: dict[str, str | None] = {}
    for model in models:
        path = Path(str(model))
        label = f"{path.parent.name}/{path.stem}" if path.suffix else str(model)
        if label in labels:
            raise InputError(f"--model {model}: another model is called {label} already")
        labels[label] = model
    return labels
