"""A model against blending, mvtools and SVP on real clips and on held-out synthetic motion.

On a clip every other frame is dropped and made again from its neighbours; all methods make the
same frames, which are compared as 8-bit RGB. Left out are frames between neighbours that are equal
(nothing to make) or of two scenes (nothing can be made).

    python -m vsifrnet.training.evaluate --weights a.safetensors --clips DIR --assets DIR
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import vapoursynth as vs
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vsifrnet.engine.backend import DTYPES
from vsifrnet.evaluation.clips import mvtools, svpflow
from vsifrnet.evaluation.metrics import ssim
from vsifrnet.network import IFRNet
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.sample import DataSet, collate
from vsifrnet.training.data.synthetic import PACES, LayeredMotion
from vsifrnet.training.loop.validation import psnr
from vsifrnet.weights.load import load_weights

__all__ = ["METHODS", "Triplet", "evaluate_times", "interpolate", "synthetic_triplets", "triplets"]

SEED = 2**31 + 1
"""Of the held-out scenes: neither training nor validation draws these."""

CUT = 0.12
"""Mean absolute difference between neighbours from which on they count as two scenes."""


@dataclass(frozen=True, kw_only=True)
class Triplet:
    """Two neighbours of a dropped frame, the frame, and what the classical methods made of it."""

    number: int
    """Frame number of the dropped frame."""
    img0: Tensor
    """(1, 3, H, W) in [0, 1]; so are the others."""
    imgt: Tensor
    img1: Tensor
    others: dict[str, Tensor]


def triplets(
    path: Path, count: int, *, first: int = 0, against: Sequence[str] = ("blend",)
) -> Iterator[Triplet]:
    """Up to ``count`` triplets, evenly over the clip from frame ``first`` on.

    ``against`` names the methods that make the frames too, of ``METHODS``.
    """
    clip = vs.core.bs.VideoSource(str(path), cachemode=0)
    height, width = clip.height // 2 * 2, clip.width // 2 * 2
    clip = clip.std.CropAbs(width=width, height=height)
    doubled = _doubled(clip[::2], against)
    odd = range(first + 1 - first % 2, clip.num_frames - 1, 2)
    for number in sorted({odd[i] for i in np.linspace(0, len(odd) - 1, count).round().astype(int)}):
        triplet = _triplet(clip, number, doubled, number)
        difference = float((triplet.img0 - triplet.img1).abs().mean())
        if 0.0 < difference <= CUT:
            yield triplet


def synthetic_triplets(
    data: DataSet, count: int, *, against: Sequence[str] = ("blend",)
) -> Iterator[Triplet]:
    """The first ``count`` samples of a data set (t = 1/2), as 4:2:0 video like any clip."""
    samples = [data.sample(index) for index in range(count)]
    pictures = [picture for s in samples for picture in (s.img0, s.imgt, s.img1)]
    height, width, _ = pictures[0].shape
    blank = vs.core.std.BlankClip(
        format=vs.RGB24, width=width, height=height, length=len(pictures), keep=True
    )

    def put(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for plane in range(3):
            np.asarray(frame[plane])[:] = pictures[n][..., plane]
        return frame

    clip = blank.std.ModifyFrame(blank, put).resize.Bicubic(format=vs.YUV420P8, matrix_s="170m")
    doubled = _doubled(clip.std.SelectEvery(3, [0, 2]), against)
    for index in range(count):
        yield _triplet(clip, 3 * index + 1, doubled, 4 * index + 1)


def _doubled(clip: vs.VideoNode, against: Sequence[str]) -> dict[str, vs.VideoNode]:
    clip = clip.std.AssumeFPS(fpsnum=25, fpsden=1)
    return {name: METHODS[name](clip) for name in against}


def _triplet(
    clip: vs.VideoNode, number: int, doubled: dict[str, vs.VideoNode], place: int
) -> Triplet:
    img0, imgt, img1 = (_tensor(clip, number + i) for i in (-1, 0, 1))
    others = {name: _tensor(made, place) for name, made in doubled.items()}
    return Triplet(number=number, img0=img0, imgt=imgt, img1=img1, others=others)


@torch.inference_mode()
def interpolate(network: IFRNet, img0: Tensor, img1: Tensor, t: float = 0.5) -> Tensor:
    """The picture (1, 3, H, W) at ``t``, rounded to 8 bits; pads by repeating the border."""
    height, width = img0.shape[2:]
    pad = (0, -width % 16, 0, -height % 16)
    img0, img1 = (F.pad(x, pad, mode="replicate") for x in (img0, img1))
    return _eight_bit(network(img0, img1, torch.tensor([t]))[..., :height, :width])


@torch.inference_mode()
def evaluate_times(
    networks: dict[str, IFRNet], assets: Assets, *, samples: int, size: int = 192
) -> Iterator[dict[str, str | float]]:
    """PSNR by t, on the same scenes, at medium pace."""
    for t in (0.01, 0.2, 0.4, 0.5, 0.6, 0.8, 0.99):
        data = LayeredMotion(assets, size=size, seed=SEED, t=t, clean=True, pace="medium")
        values: dict[str, list[float]] = {name: [] for name in ("blend", *networks)}
        for index in range(samples):
            batch = collate([data.sample(index)]).to(torch.device("cpu"))
            made = {"blend": (1 - t) * batch.img0 + t * batch.img1}
            for name, network in networks.items():
                made[name] = network(batch.img0, batch.img1, batch.t)
            for name, picture in made.items():
                values[name].append(min(60.0, float(psnr(picture, batch.imgt))))
        for name, numbers in values.items():
            mean = round(float(np.mean(numbers)), 4)
            yield {"set": f"synthetic t={t}", "method": name, "frames": samples, "psnr": mean}


def _eight_bit(x: Tensor) -> Tensor:
    return (x * 255).round() / 255


def _tensor(clip: vs.VideoNode, number: int) -> Tensor:
    rgb = clip.resize.Bicubic(format=vs.RGB24, matrix_in_s="170m")
    frame = rgb.get_frame(number)
    planes: NDArray[np.uint8] = np.stack([np.asarray(frame[i]) for i in range(3)])
    return torch.from_numpy(planes).float()[None] / 255.0


def _blend(clip: vs.VideoNode) -> vs.VideoNode:
    """Double the rate by the mean of neighbours."""
    middle = vs.core.std.Merge(clip, clip[1:] + clip[-1])
    return vs.core.std.Interleave([clip, middle])


METHODS = {"blend": _blend, "mvtools": mvtools, "svp": svpflow}
"""Classical interpolators: a clip to one of twice the rate."""


def _write_worst(strips: list[tuple[float, Tensor]], path: Path, count: int = 10) -> None:
    """The frames of least PSNR: first picture, what was made, what is true, last picture."""
    worst = sorted(strips, key=lambda entry: entry[0])[:count]
    rows = []
    for value, strip in worst:
        array = (strip[0].permute(1, 2, 0) * 255).numpy().astype(np.uint8)
        size = (1920, round(1920 * array.shape[0] / array.shape[1]))
        row = np.ascontiguousarray(cv2.resize(array, size, interpolation=cv2.INTER_AREA))
        text = f"{value:.2f} dB"
        cv2.putText(row, text, (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 0, 255), 2)
        rows.append(row)
    Image.fromarray(np.vstack(rows).astype(np.uint8)).save(path)


def _mean_rows(rows: list[dict[str, str | float]]) -> list[dict[str, str | float]]:
    keys = list(dict.fromkeys((row["set"], row["method"]) for row in rows))
    out: list[dict[str, str | float]] = []
    for key in keys:
        mine = [row for row in rows if (row["set"], row["method"]) == key]
        mean: dict[str, str | float] = {"set": key[0], "method": key[1], "frames": len(mine)}
        for column in ("psnr", "ssim", "equal"):
            values = [float(row[column]) for row in mine if column in row]
            if values:
                mean[column] = round(
                    min(values) if column == "equal" else float(np.mean(values)), 4
                )
        out.append(mean)
    return out


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, nargs="*", default=[])
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--first", type=int, default=0, help="frame of the clips to begin at")
    parser.add_argument("--count", type=int, default=16, help="frames of each clip")
    parser.add_argument("--assets", type=Path, help="training set; its held-out part is used")
    parser.add_argument("--samples", type=int, default=24, help="synthetic samples of each kind")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--against", nargs="*", choices=tuple(METHODS), default=["blend"])
    parser.add_argument("--no-ssim", action="store_true")
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--worst", type=Path, help="picture of the ten worst frames of the first")
    parser.add_argument("--frames-csv", type=Path, help="write the numbers of every frame here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    networks = {
        f"{path.parent.name}/{path.stem}": load_weights(path)
        .build()
        .to(DTYPES[arguments.precision])
        .to(memory_format=torch.channels_last)
        for path in arguments.weights
    }
    sets: dict[str, Iterator[Triplet]] = {}
    for path in arguments.clips:
        sets[path.stem] = triplets(
            path, arguments.count, first=arguments.first, against=arguments.against
        )
    held_out = Assets(arguments.assets, "held-out") if arguments.assets else None
    if held_out:
        for pace in PACES:
            data = LayeredMotion(held_out, size=256, seed=SEED, t=0.5, clean=True, pace=pace)
            sets[f"synthetic {pace}"] = synthetic_triplets(
                data, arguments.samples, against=arguments.against
            )
    rows: list[dict[str, str | float]] = []
    strips: list[tuple[float, Tensor]] = []
    for label, chosen in sets.items():
        for triplet in chosen:
            made = dict(triplet.others)
            for name, network in networks.items():
                made[name] = interpolate(network, triplet.img0, triplet.img1)
            for name, picture in made.items():
                row: dict[str, str | float] = {"set": label, "method": name}
                row |= {"frame": triplet.number, "psnr": float(psnr(picture, triplet.imgt))}
                if not arguments.no_ssim:
                    row["ssim"] = ssim(picture[0], triplet.imgt[0])
                if name in networks:
                    again = interpolate(networks[name], triplet.img0, triplet.img0)
                    row["equal"] = float(psnr(again, triplet.img0))
                rows.append(row)
            if arguments.worst:
                name = next(iter(networks))
                shown = (triplet.img0, made[name], triplet.imgt, triplet.img1)
                strips.append((float(psnr(made[name], triplet.imgt)), torch.cat(shown, dim=3)))
    if arguments.worst:
        _write_worst(strips, arguments.worst)
    if arguments.frames_csv:
        with arguments.frames_csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["set", "method", "frame", "psnr", "ssim", "equal"])
            writer.writeheader()
            writer.writerows(rows)
    means = _mean_rows(rows)
    if held_out:
        means += evaluate_times(networks, held_out, samples=arguments.samples)
    writer = csv.DictWriter(sys.stdout, ["set", "method", "frames", "psnr", "ssim", "equal"])
    writer.writeheader()
    writer.writerows(means)


if __name__ == "__main__":
    main()
