"""One's own clips: every other frame is dropped and made again, and compared with the real one.

All methods are given the same frames, as YUV420P8 (what SVP takes), and what they make is compared
as 8-bit RGB. Left out are frames between neighbours that are equal, where there is nothing to
make, and between two scenes, where nothing can be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vsifrnet import arguments
from vsifrnet.detect import scenes
from vsifrnet.errors import InputError
from vsifrnet.evaluation import metrics
from vsifrnet.evaluation.accuracy import strip
from vsifrnet.media.source import open_source

__all__ = ["Clip", "Frame", "Score", "methods", "mvtools", "open_clip", "svpflow", "table"]

Method = Callable[[vs.VideoNode], vs.VideoNode]
"""A clip to one of twice the rate, whose even frames are those of the clip."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One made frame against the real one."""

    clip: str
    frame: int
    """Its number in the clip."""
    method: str
    psnr: float
    """dB, over RGB."""
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A dropped frame; pictures are (3, H, W), RGB in [0, 1]."""

    number: int
    left: Tensor
    true: Tensor
    right: Tensor
    made: dict[str, Tensor]

    def scores(self, clip: str) -> list[Score]:
        """Of every method."""
        return [
            Score(
                clip=clip,
                frame=self.number,
                method=method,
                psnr=metrics.psnr(picture, self.true),
                ssim=metrics.ssim(picture, self.true),
            )
            for method, picture in self.made.items()
        ]

    def strip(self, method: str) -> Tensor:
        """Left, made, true, right and error, side by side."""
        return strip(self.left, self.made[method], self.true, self.right)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A video, and what the methods make of its even frames."""

    whole: vs.VideoNode
    """RGB24."""
    doubled: dict[str, vs.VideoNode]
    """RGB24."""
    numbers: Sequence[int]
    """Odd frames that are measured, in order."""

    def frames(self) -> Iterator[Frame]:
        """The measured frames, with what was made."""
        for n in self.numbers:
            left, true, right = (_tensor(self.whole, n + k) for k in (-1, 0, 1))
            made = {name: _tensor(clip, n) for name, clip in self.doubled.items()}
            yield Frame(number=n, left=left, true=true, right=right, made=made)


def open_clip(path: Path, used: dict[str, Method], *, count: int) -> Clip:
    """A video, and up to ``count`` frames of it, evenly spread.

    Raises:
        InputError: it is no video, or has no frame to be measured; the message names it.
    """
    clip = open_source(path).clip
    matrix = arguments.default_matrix(clip, None)
    if clip.format.id != vs.YUV420P8:
        given = {"matrix": matrix} if clip.format.color_family != vs.YUV else {}
        clip = clip.resize.Bicubic(format=vs.YUV420P8, **given)
    if clip.num_frames < 3:
        raise InputError(f"{path}: {clip.num_frames} frames, 3 are the least")
    if not clip.fps:
        clip = clip.std.AssumeFPS(fpsnum=25, fpsden=1)
    dropped = clip[::2]

    odd = range(1, clip.num_frames - 1, 2)
    spread = np.linspace(0, len(odd) - 1, min(count, len(odd))).round().astype(int)
    numbers = [n for n in (odd[i] for i in spread) if _can_be_made(dropped, n // 2)]
    if not numbers:
        raise InputError(f"{path}: no frame to measure; the picture stands still")
    return Clip(
        whole=_rgb(clip, matrix),
        doubled={name: _rgb(method(dropped), matrix) for name, method in used.items()},
        numbers=numbers,
    )


def methods() -> dict[str, Method]:
    """What the filter is compared with: blending, and the plugins that are installed."""
    found: dict[str, Method] = {"blend": _blend}
    if hasattr(vs.core, "mv"):
        found["mvtools"] = mvtools
    if hasattr(vs.core, "svp1") and hasattr(vs.core, "svp2"):
        found["svpflow"] = svpflow
    return found


def table(scores: Sequence[Score]) -> str:
    """PSNR and SSIM of every method, by clip and over all clips, as text."""
    clips = list(dict.fromkeys(score.clip for score in scores))
    used = list(dict.fromkeys(score.method for score in scores))
    width = max(map(len, (*clips, "mean of the clips")))
    lines = [" " * width + f"{'frames':>8}" + "".join(f"{method:>18}" for method in used)]
    means: dict[str, list[tuple[float, float]]] = {method: [] for method in used}
    for clip in clips:
        cells = []
        for method in used:
            mine = [s for s in scores if (s.clip, s.method) == (clip, method)]
            means[method].append((fmean(s.psnr for s in mine), fmean(s.ssim for s in mine)))
            cells.append(means[method][-1])
        lines.append(f"{clip:{width}}{len(mine):8}" + _cells(cells))
    if len(clips) > 1:
        total = [(fmean(p for p, _ in m), fmean(s for _, s in m)) for m in means.values()]
        lines.append(f"{'mean of the clips':{width}}{'':8}" + _cells(total))
    return "\n".join(lines)


def _cells(values: Sequence[tuple[float, float]]) -> str:
    return "".join(f"{psnr:11.2f} {ssim:.4f}" for psnr, ssim in values)


def _can_be_made(dropped: vs.VideoNode, gap: int) -> bool:
    """Whether the pictures on both sides of a gap of ``dropped`` differ, and are of one scene."""
    following = dropped[gap + 1]
    planes = range(dropped.format.num_planes)
    differences = (
        dropped[gap].std.PlaneStats(following, plane=p).get_frame(0).props["PlaneStatsDiff"]
        for p in planes
    )
    return any(differences) and not scenes.is_cut(scenes.gap_scores(dropped).get_frame(gap).props)


def _blend(clip: vs.VideoNode) -> vs.VideoNode:
    following = clip[1:] + clip[-1]
    return vs.core.std.Interleave([clip, clip.std.Merge(following)])


def mvtools(clip: vs.VideoNode) -> vs.VideoNode:
    """Twice the rate by the script of mvtools' documentation."""
    mv = vs.core.mv
    planes = mv.Super(clip)
    backward, forward = (mv.Analyse(planes, isb=isb, blksize=16, overlap=8) for isb in (1, 0))
    return mv.FlowFPS(clip, planes, backward, forward, num=2 * clip.fps_num, den=clip.fps_den)


def svpflow(clip: vs.VideoNode) -> vs.VideoNode:
    """Twice the rate by SVP's usual script, on the CPU."""
    planes = vs.core.svp1.Super(clip, "{gpu:0}")
    vectors = vs.core.svp1.Analyse(planes["clip"], planes["data"], clip, "{}")
    return vs.core.svp2.SmoothFps(
        clip,
        planes["clip"],
        planes["data"],
        vectors["clip"],
        vectors["data"],
        "{rate:{num:2,den:1},algo:23}",
    )


def _rgb(clip: vs.VideoNode, matrix: int) -> vs.VideoNode:
    return clip.resize.Bicubic(format=vs.RGB24, matrix_in=matrix)


def _tensor(clip: vs.VideoNode, n: int) -> Tensor:
    with clip.get_frame(n) as frame:
        planes = np.stack([np.asarray(frame[p]) for p in range(3)])
    return torch.from_numpy(planes).float() / 255
