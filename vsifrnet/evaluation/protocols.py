"""The official benchmarks: their folders, protocols and published figures.

The protocols are those of the official code (github.com/ltkong218/IFRNet, ``benchmarks/`` and
``datasets.py``); the figures are those of the paper (arXiv 2205.14620).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vsifrnet.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BENCHMARKS", "Benchmark", "Entry"]

PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Two pictures of a benchmark and the true ones between them, by their paths."""

    name: str
    """Name that is unique within the benchmark."""
    img0: Path
    img1: Path
    truths: tuple[tuple[Fraction, Path], ...]
    """Times t in (0, 1), each with the true picture at that time."""

    def paths(self) -> Iterator[Path]:
        """Yield the paths of all pictures."""
        yield from (self.img0, self.img1, *(path for _, path in self.truths))


@dataclass(frozen=True, kw_only=True)
class Padding:
    """Padding that the protocol itself adds around the pictures."""

    amounts: Callable[[int, int], tuple[int, int, int, int]]
    """Returns (left, right, top, bottom) for a picture of (height, width)."""
    mode: str

    def apply(self, picture: Tensor) -> Tensor:
        """Pad a picture (3, H, W)."""
        height, width = picture.shape[1:]
        amounts = self.amounts(height, width)
        if min(amounts) < 0:
            raise InputError(
                f"picture of {width}x{height}: must not be larger than the protocol's frame"
            )
        # The command line imports this module for the benchmarks' names, without PyTorch.
        import torch.nn.functional as F

        return F.pad(picture.unsqueeze(0), amounts, mode=self.mode)[0]

    def remove(self, padded: Tensor, height: int, width: int) -> Tensor:
        """Cut the picture of ``height`` x ``width`` that was padded out of ``padded``."""
        left, _, top, _ = self.amounts(height, width)
        return padded[:, top : top + height, left : left + width]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One official benchmark."""

    title: str
    layout: str
    """Files that its folder must hold."""
    entries: Callable[[Path], list[Entry]]
    """Lists the entries of a folder; an InputError names a list or folder that is missing."""
    metrics: tuple[str, ...] = ("psnr", "ssim")
    scale: float = 1.0
    """Resolution of the flow relative to the picture."""
    padding: Padding | None = None
    crop: int | None = None
    """Side of the square that is cut out of the middle of larger pictures."""
    published: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The paper's figures by the network's size, in the order of ``metrics``."""


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path}: this list is missing")
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _folders(root: Path) -> list[Path]:
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    if not folders:
        raise InputError(f"{root}: there is no folder in it")
    return folders


def _middle(name: str, img0: Path, truth: Path, img1: Path) -> Entry:
    return Entry(name=name, img0=img0, img1=img1, truths=((Fraction(1, 2), truth),))


def _vimeo90k(root: Path) -> list[Entry]:
    entries = []
    for line in _lines(root / "tri_testlist.txt"):
        folder = root / "sequences" / line.strip()
        paths = (folder / f"im{i}.png" for i in (1, 2, 3))
        entries.append(_middle(line.strip(), *paths))
    return entries


def _ucf101(root: Path) -> list[Entry]:
    names = ("frame_00.png", "frame_01_gt.png", "frame_02.png")
    return [_middle(folder.name, *(folder / name for name in names)) for folder in _folders(root)]


def _snu_film(root: Path, *, level: str) -> list[Entry]:
    list_file = root / f"test-{level}.txt"
    entries = []
    for number, line in enumerate(_lines(list_file), start=1):
        paths = [root / part for part in line.split()]
        if len(paths) != 3:
            raise InputError(f"{list_file}, line {number}: {line!r} is not three paths")
        entries.append(_middle(f"{number:04d} {line.split()[1]}", *paths))
    return entries


# fmt: off
MIDDLEBURY = [
    "Beanbags", "Dimetrodon", "DogDance", "Grove2", "Grove3", "Hydrangea", "MiniCooper",
    "RubberWhale", "Urban2", "Urban3", "Venus", "Walking",
]
# fmt: on


def _middlebury(root: Path) -> list[Entry]:
    data, truth = root / "other-data", root / "other-gt-interp"
    return [
        _middle(
            name,
            data / name / "frame10.png",
            truth / name / "frame10i11.png",
            data / name / "frame11.png",
        )
        for name in MIDDLEBURY
    ]


# fmt: off
GOPRO = [
    "GOPR0384_11_00", "GOPR0385_11_01", "GOPR0410_11_00", "GOPR0862_11_00", "GOPR0869_11_00",
    "GOPR0881_11_01", "GOPR0384_11_05", "GOPR0396_11_00", "GOPR0854_11_00", "GOPR0868_11_00",
    "GOPR0871_11_00",
]
# fmt: on


def _gopro(root: Path) -> list[Entry]:
    return [entry for video in GOPRO for entry in _windows(root / video)]


def _adobe240(root: Path) -> list[Entry]:
    return [entry for folder in _folders(root) for entry in _windows(folder)]


def _windows(folder: Path) -> list[Entry]:
    """Pair every eighth picture of a folder with the next; the seven between are the truths."""
    if not folder.is_dir():
        raise InputError(f"{folder}: this folder is missing")
    frames = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    if len(frames) < 9:
        raise InputError(f"{folder}: it has {len(frames)} pictures; must have at least 9")
    return [
        Entry(
            name=f"{folder.name}/{frames[i].stem}",
            img0=frames[i],
            img1=frames[i + 8],
            truths=tuple((Fraction(k, 8), frames[i + k]) for k in range(1, 8)),
        )
        for i in range(0, len(frames) - 8, 8)
    ]


def _to_multiple_of_20(height: int, width: int) -> tuple[int, int, int, int]:
    across, down = -width % 20, -height % 20
    return across // 2, across - across // 2, down // 2, down - down // 2


SNU_FILM_PUBLISHED = {
    "easy": {"base": (40.03, 0.9905)},
    "medium": {"base": (35.94, 0.9793)},
    "hard": {"base": (30.41, 0.9358)},
    "extreme": {"base": (25.05, 0.8587)},
}

BENCHMARKS: dict[str, Benchmark] = {
    "vimeo90k": Benchmark(
        title="Vimeo90K",
        layout="tri_testlist.txt, sequences/<a>/<b>/im{1,2,3}.png",
        entries=_vimeo90k,
        published={"S": (35.59, 0.9786), "base": (35.80, 0.9794), "L": (36.20, 0.9808)},
    ),
    "ucf101": Benchmark(
        title="UCF101",
        layout="<id>/{frame_00,frame_01_gt,frame_02}.png",
        entries=_ucf101,
        published={"S": (35.28, 0.9691), "base": (35.29, 0.9693), "L": (35.42, 0.9698)},
    ),
    **{
        f"snu-film-{level}": Benchmark(
            title=f"SNU-FILM {level}",
            layout=f"test-{level}.txt with three paths a line, and these pictures",
            entries=partial(_snu_film, level=level),
            scale=0.8,
            padding=Padding(amounts=_to_multiple_of_20, mode="replicate"),
            published=published,
        )
        for level, published in SNU_FILM_PUBLISHED.items()
    },
    "middlebury": Benchmark(
        title="Middlebury Other",
        layout="other-data/<name>/frame{10,11}.png, other-gt-interp/<name>/frame10i11.png",
        entries=_middlebury,
        metrics=("psnr", "ssim", "ie"),
        padding=Padding(
            amounts=lambda height, width: (0, 640 - width, 0, 480 - height), mode="constant"
        ),
        published={
            "S": (37.24, 0.9851, 1.995),
            "base": (37.50, 0.9861, 1.946),
            "L": (38.18, 0.9875, 1.846),
        },
    ),
    "gopro": Benchmark(
        title="GoPro 8x",
        layout="<video>/*.png for the eleven test videos",
        entries=_gopro,
        crop=512,
        published={"base": (29.84, 0.920)},
    ),
    "adobe240": Benchmark(
        title="Adobe240 8x",
        layout="<video>/*.png, every folder is a test video",
        entries=_adobe240,
        crop=512,
        published={"base": (31.93, 0.943)},
    ),
}
