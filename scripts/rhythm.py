"""Measure how well held drawings are bridged, against the true in-betweens.

    python scripts/rhythm.py TRAINING_SET [--strip FILE.png]

TRAINING_SET has folders ``backgrounds`` and ``sprites`` of pictures. Each clip is a figure on an
eased path over a still background, at 24 frames a second. Only every second true frame, every
third, or a mix of both is shown and held. A row has the PSNR (dB) of the held frames against the
true ones.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs
from PIL import Image

from vsifrnet import ifrnet
from vsifrnet.evaluation import metrics
from vsifrnet.evaluation.arrays import clip_from, planes_of, rgb_frame

core = vs.core

SIZE = 480, 272
LENGTH = 26


def figure_clip(data: Path, seed: int) -> list[np.ndarray]:
    """Return the true frames of a moving figure, uint8 (H, W, 3)."""
    rng = random.Random(seed)
    backgrounds = sorted((data / "backgrounds").glob("*.webp"))
    sprites = sorted((data / "sprites").glob("*.webp"))
    back = Image.open(rng.choice(backgrounds)).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    sprite = Image.open(rng.choice(sprites)).convert("RGBA")
    side = rng.uniform(0.4, 0.7) * SIZE[1]
    sprite.thumbnail((side, side), Image.Resampling.LANCZOS)
    begin, end = (
        (rng.uniform(0.2, 0.8) * SIZE[0], rng.uniform(0.3, 0.7) * SIZE[1]) for _ in range(2)
    )
    turn = rng.uniform(-25, 25)
    frames = []
    for n in range(LENGTH):
        eased = 0.5 - 0.5 * math.cos(math.pi * n / (LENGTH - 1))
        x, y = (a + (b - a) * eased for a, b in zip(begin, end, strict=True))
        # The transform places the sprite to a fraction of a pixel.
        angle = math.radians(turn * eased)
        cos, sin = math.cos(angle), math.sin(angle)
        cx, cy = sprite.width / 2, sprite.height / 2
        matrix = (cos, sin, cx - cos * x - sin * y, -sin, cos, cy + sin * x - cos * y)
        layer = sprite.transform(SIZE, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        frame = back.copy()
        frame.paste(layer, (0, 0), layer)
        frames.append(np.asarray(frame))
    return frames


def picture(clip: vs.VideoNode, n: int) -> np.ndarray:
    """Return frame ``n`` of an RGB clip, (H, W, 3)."""
    return np.moveaxis(rgb_frame(clip, n), 0, -1)


def score(made: np.ndarray, truth: np.ndarray) -> float:
    """Return the PSNR in dB of a picture in 0..255."""
    return metrics.psnr(*(torch.from_numpy(picture / 255) for picture in (made, truth)))


def first_frames(pattern: list[int]) -> list[int]:
    """Return the first frame of each frame's drawing."""
    firsts: list[int] = []
    while len(firsts) < LENGTH:
        held = pattern[len(set(firsts)) % len(pattern)]
        firsts += [len(firsts)] * held
    return firsts[:LENGTH]


def blend(held: vs.VideoNode, firsts: list[int]) -> Callable[[int], np.ndarray]:
    """Return a function that blends each drawing with the next, weighted by time."""
    starts = sorted(set(firsts))

    def made(n: int) -> np.ndarray:
        first = firsts[n]
        after = min((s for s in starts if s > first), default=first)
        t = (n - first) / max(after - first, 1)
        return picture(held, first) * (1 - t) + picture(held, after) * t

    return made


def dropped(held: vs.VideoNode, firsts: list[int]) -> Callable[[int], np.ndarray]:
    """Return a function that shows the drawings evenly spaced, interpolated back to the length."""
    starts = sorted(set(firsts))
    drawings = core.std.SelectEvery(held, LENGTH, starts, modify_duration=False)
    even = ifrnet(drawings.std.AssumeFPS(fpsnum=len(starts)), fps_num=LENGTH, sc=False)
    return lambda n: picture(even, min(n, even.num_frames - 1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="TRAINING_SET")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--strip", type=Path, help="write a strip of pictures of the first clip")
    arguments = parser.parse_args()
    methods = ("keep", "blend", "drop and even out", "bridge")
    print(f"{'pattern':12}" + "".join(f"{name:>20}" for name in methods))
    for pattern in ([2], [3], [2, 3]):
        results: dict[str, list[float]] = {name: [] for name in methods}
        for seed in range(arguments.clips):
            truth = figure_clip(arguments.data, seed)
            firsts = first_frames(pattern)
            held = clip_from(planes_of(truth[k] for k in firsts), vs.RGB24)
            bridged = ifrnet(held, multi=1, dup_mode="bridge", sc=False)
            makers: dict[str, Callable[[int], np.ndarray]] = {
                "keep": partial(picture, held),
                "blend": blend(held, firsts),
                "drop and even out": dropped(held, firsts),
                "bridge": partial(picture, bridged),
            }
            last = max(firsts)  # Frames after it have no next drawing.
            shown = [n for n in range(last) if firsts[n] != n]
            for name, make in makers.items():
                results[name] += [score(make(n), truth[n]) for n in shown]
            if arguments.strip and seed == 0 and pattern == [3]:
                row = range(9, 13)
                rows = [[truth[n] for n in row]]
                rows += [[make(n).astype(np.uint8) for n in row] for make in makers.values()]
                strip = np.vstack([np.hstack(pictures) for pictures in rows])
                Image.fromarray(strip).save(arguments.strip)
        line = "".join(f"{np.mean(results[name]):20.2f}" for name in methods)
        print(f"{'-'.join(map(str, pattern)):12}{line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
