"""Evaluation on real clips: every other frame is dropped, made again, and compared.

Every method gets the same frames, as YUV420P8 (the only format that SVP takes), and its result is
compared as 8-bit RGB. A frame is not measured if its two neighbours are equal, where nothing has
to be made, or belong to two scenes, where nothing can be made.

A bare network can be measured beside the methods. It gets the neighbours as RGB and runs on every
pair, so that neither the loss of 4:2:0 nor the filter's detection of equal frames counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vsifrnet import arguments
from vsifrnet.detect import scenes
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.errors import InputError
from vsifrnet.evaluation import metrics
from vsifrnet.evaluation.arrays import rgb_frame
from vsifrnet.evaluation.methods import Method
from vsifrnet.evaluation.report import strip
from vsifrnet.media.source import open_source

__all__ = ["Clip", "Frame", "Score", "open_clip", "prepare_clip", "table"]

MIDDLE = Fraction(1, 2)


@dataclass(frozen=True, kw_only=True)
class Score:
    """The metrics of one made frame against the real one."""

    clip: str
    frame: int
    """Number of the dropped frame in the clip."""
    method: str
    psnr: float
    """Peak signal-to-noise ratio over RGB, in dB; inf for equal pictures."""
    ssim: float
    """Structural similarity as the official benchmarks define it."""
    equal: float | None = None
    """PSNR in dB of what a bare network makes of the left frame twice; None for other methods."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A dropped frame with its neighbours; pictures are (3, H, W), RGB in [0, 1]."""

    number: int
    """Number of the dropped frame in the clip."""
    left: Tensor
    true: Tensor
    right: Tensor
    made: dict[str, Tensor]
    """The frame as each method made it."""
    of_equal: dict[str, Tensor] = field(default_factory=dict)
    """What each bare network made of the left frame twice; it should be the left frame."""

    def scores(self, clip: str) -> list[Score]:
        """Return the metrics of every method on this frame."""
        return [
            Score(
                clip=clip,
                frame=self.number,
                method=method,
                psnr=metrics.psnr(picture, self.true),
                ssim=metrics.ssim(picture, self.true),
                equal=metrics.psnr(self.of_equal[method], self.left)
                if method in self.of_equal
                else None,
            )
            for method, picture in self.made.items()
        ]

    def strip(self, method: str) -> Tensor:
        """Return left, made, true, right and error side by side."""
        return strip(self.left, self.made[method], self.true, self.right)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip, its kept frames doubled by each method, and the frames to measure."""

    whole: vs.VideoNode
    """All frames, RGB24."""
    doubled: dict[str, vs.VideoNode]
    """The kept frames at twice the rate by each method, RGB24."""
    places: Sequence[tuple[int, int]]
    """Numbers of the measured frames in ``whole`` and in ``doubled``, in order."""

    def frames(self, networks: Mapping[str, Interpolator] | None = None) -> Iterator[Frame]:
        """Yield the measured frames as made by the methods and by the bare ``networks``."""
        for number, place in self.places:
            left, true, right = (_tensor(self.whole, number + k) for k in (-1, 0, 1))
            made = {name: _tensor(clip, place) for name, clip in self.doubled.items()}
            of_equal = {}
            for name, network in (networks or {}).items():
                made[name] = _eight_bit(network(left, right, MIDDLE))
                of_equal[name] = _eight_bit(network(left, left, MIDDLE))
            yield Frame(
                number=number, left=left, true=true, right=right, made=made, of_equal=of_equal
            )


def open_clip(path: Path, methods: Mapping[str, Method], *, count: int, first: int = 0) -> Clip:
    """Open a video and choose up to ``count`` frames, evenly spread from frame ``first`` on.

    Raises:
        InputError: the file is no video, or has no frame to be measured; the message names it.
    """
    clip = open_source(path).clip
    clip = clip.std.CropAbs(width=clip.width // 2 * 2, height=clip.height // 2 * 2)
    matrix = arguments.default_matrix(clip, None)
    if clip.format.id != vs.YUV420P8:
        # YUV keeps its own matrix.
        chosen = None if clip.format.color_family == vs.YUV else matrix
        clip = clip.resize.Bicubic(format=vs.YUV420P8, matrix=chosen)
    odd = range(first + 1 - first % 2, clip.num_frames - 1, 2)
    if not odd:
        raise InputError(
            f"{path}: it has {clip.num_frames} frames; must have at least "
            f"{first - first % 2 + 3}, to drop one and make it again"
        )
    dropped = clip[::2]
    spread = np.linspace(0, len(odd) - 1, min(count, len(odd))).round().astype(int)
    numbers = [n for n in (odd[i] for i in spread) if _can_be_made(dropped, n // 2)]
    if not numbers:
        raise InputError(f"{path}: no frame to measure: every chosen one is at a cut or in a still")
    return prepare_clip(clip, dropped, methods, [(n, n) for n in numbers])


def prepare_clip(
    whole: vs.VideoNode,
    kept: vs.VideoNode,
    methods: Mapping[str, Method],
    places: Sequence[tuple[int, int]],
) -> Clip:
    """Let each method double ``kept``, the frames of ``whole`` that are not dropped (YUV420P8)."""
    if not kept.fps:
        kept = kept.std.AssumeFPS(fpsnum=25, fpsden=1)
    matrix = arguments.default_matrix(whole, None)
    return Clip(
        whole=_rgb(whole, matrix),
        doubled={name: _rgb(method(kept), matrix) for name, method in methods.items()},
        places=places,
    )


def table(scores: Sequence[Score]) -> str:
    """Format the mean PSNR and SSIM of every method, by clip and over the clips.

    Every method must have scores on every clip. A PSNR counts for at most
    ``metrics.HIGHEST_PSNR``; the lowest ``equal`` of a method has a line of its own.
    """
    clips = list(dict.fromkeys(score.clip for score in scores))
    methods = list(dict.fromkeys(score.method for score in scores))
    width = max(map(len, (*clips, "mean of the clips")))
    columns = [max(18, len(method) + 2) for method in methods]
    heading = (f"{method:>{column}}" for method, column in zip(methods, columns, strict=True))
    lines = [" " * width + f"{'frames':>8}" + "".join(heading)]
    means: dict[str, list[tuple[float, float]]] = {method: [] for method in methods}
    for clip in clips:
        count = 0
        for method in methods:
            mine = [s for s in scores if (s.clip, s.method) == (clip, method)]
            psnr = fmean(min(s.psnr, metrics.HIGHEST_PSNR) for s in mine)
            means[method].append((psnr, fmean(s.ssim for s in mine)))
            count = len(mine)
        lines.append(f"{clip:{width}}{count:8}" + _cells([m[-1] for m in means.values()], columns))
    if len(clips) > 1:
        total = [(fmean(p for p, _ in m), fmean(s for _, s in m)) for m in means.values()]
        lines.append(f"{'mean of the clips':{width}}{'':8}" + _cells(total, columns))
    for method in methods:
        equal = [s.equal for s in scores if s.method == method and s.equal is not None]
        if equal:
            lines.append(f"{method}: two equal frames come back at {min(equal):.1f} dB or more")
    return "\n".join(lines)


def _cells(values: Sequence[tuple[float, float]], columns: Sequence[int]) -> str:
    pairs = zip(values, columns, strict=True)
    return "".join(f"{psnr:{column - 7}.2f} {ssim:.4f}" for (psnr, ssim), column in pairs)


def _can_be_made(kept: vs.VideoNode, gap: int) -> bool:
    """Return whether the frames on both sides of a gap of ``kept`` differ and are of one scene."""
    following = kept[gap + 1]
    planes = range(kept.format.num_planes)
    differences = (
        kept[gap].std.PlaneStats(following, plane=p).get_frame(0).props["PlaneStatsDiff"]
        for p in planes
    )
    return any(differences) and not scenes.is_cut(scenes.gap_scores(kept).get_frame(gap).props)


def _rgb(clip: vs.VideoNode, matrix: int) -> vs.VideoNode:
    return clip.resize.Bicubic(format=vs.RGB24, matrix_in=matrix)


def _tensor(clip: vs.VideoNode, n: int) -> Tensor:
    return torch.from_numpy(rgb_frame(clip, n)).float() / 255


def _eight_bit(picture: Tensor) -> Tensor:
    return (picture.cpu().clamp(0, 1) * 255).round() / 255
