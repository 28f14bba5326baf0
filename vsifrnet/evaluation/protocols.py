"""The official benchmarks: where their pictures lie, what is done to them, what was published.

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

__all__ = ["DATASETS", "Dataset", "Sample"]

PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Two pictures and what lies between them."""

    name: str
    """Unique within its data set."""
    img0: Path
    img1: Path
    truths: tuple[tuple[Fraction, Path], ...]
    """Times t, in (0, 1), and the pictures at these."""

    def paths(self) -> Iterator[Path]:
        """All pictures."""
        yield from (self.img0, self.img1, *(path for _, path in self.truths))


@dataclass(frozen=True, kw_only=True)
class Padding:
    """What the protocol itself adds around its pictures."""

    amounts: Callable[[int, int], tuple[int, int, int, int]]
    """(height, width) to (left, right, top, bottom)."""
    mode: str

    def apply(self, picture: Tensor) -> Tensor:
        """(3, H, W), padded."""
        height, width = picture.shape[1:]
        amounts = self.amounts(height, width)
        if min(amounts) < 0:
            raise InputError(f"picture of {width}x{height}: larger than the protocol allows")
        # The command line imports this module for the data sets' names, without PyTorch.
        import torch.nn.functional as F

        return F.pad(picture.unsqueeze(0), amounts, mode=self.mode)[0]

    def remove(self, padded: Tensor, height: int, width: int) -> Tensor:
        """The (3, ``height``, ``width``) that was padded."""
        left, _, top, _ = self.amounts(height, width)
        return padded[:, top : top + height, left : left + width]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One benchmark."""

    title: str
    layout: str
    """What has to lie in its folder."""
    samples: Callable[[Path], list[Sample]]
    """All samples of a folder; ValueError names a list or folder that is missing."""
    metrics: tuple[str, ...] = ("psnr", "ssim")
    scale: float = 1.0
    """Resolution of the flow."""
    padding: Padding | None = None
    crop: int | None = None
    """Side of the square in the middle that is used, where pictures are larger."""
    published: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The paper's figures, in the order of ``metrics``, by the size of the network."""


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path}: this list is missing")
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _folders(root: Path) -> list[Path]:
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    if not folders:
        raise InputError(f"{root}: no folder in it")
    return folders


def _middle(name: str, img0: Path, truth: Path, img1: Path) -> Sample:
    return Sample(name=name, img0=img0, img1=img1, truths=((Fraction(1, 2), truth),))


def _vimeo90k(root: Path) -> list[Sample]:
    samples = []
    for line in _lines(root / "tri_testlist.txt"):
        folder = root / "sequences" / line.strip()
        paths = (folder / f"im{i}.png" for i in (1, 2, 3))
        samples.append(_middle(line.strip(), *paths))
    return samples


def _ucf101(root: Path) -> list[Sample]:
    names = ("frame_00.png", "frame_01_gt.png", "frame_02.png")
    return [_middle(folder.name, *(folder / name for name in names)) for folder in _folders(root)]


def _snu_film(root: Path, *, level: str) -> list[Sample]:
    list_file = root / f"test-{level}.txt"
    samples = []
    for number, line in enumerate(_lines(list_file), start=1):
        paths = [root / part for part in line.split()]
        if len(paths) != 3:
            raise InputError(f"{list_file}, line {number}: {line!r} is not three paths")
        samples.append(_middle(f"{number:04d} {line.split()[1]}", *paths))
    return samples


# fmt: off
MIDDLEBURY = [
    "Beanbags", "Dimetrodon", "DogDance", "Grove2", "Grove3", "Hydrangea", "MiniCooper",
    "RubberWhale", "Urban2", "Urban3", "Venus", "Walking",
]
# fmt: on


def _middlebury(root: Path) -> list[Sample]:
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


def _gopro(root: Path) -> list[Sample]:
    return [sample for video in GOPRO for sample in _windows(root / video)]


def _adobe240(root: Path) -> list[Sample]:
    return [sample for folder in _folders(root) for sample in _windows(folder)]


def _windows(folder: Path) -> list[Sample]:
    """Every ninth picture and the seven between, over a folder of pictures in order."""
    if not folder.is_dir():
        raise InputError(f"{folder}: this folder is missing")
    frames = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    if len(frames) < 9:
        raise InputError(f"{folder}: {len(frames)} pictures in it, 9 are the least")
    return [
        Sample(
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

DATASETS: dict[str, Dataset] = {
    "vimeo90k": Dataset(
        title="Vimeo90K",
        layout="tri_testlist.txt, sequences/<a>/<b>/im{1,2,3}.png",
        samples=_vimeo90k,
        published={"S": (35.59, 0.9786), "base": (35.80, 0.9794), "L": (36.20, 0.9808)},
    ),
    "ucf101": Dataset(
        title="UCF101",
        layout="<id>/{frame_00,frame_01_gt,frame_02}.png",
        samples=_ucf101,
        published={"S": (35.28, 0.9691), "base": (35.29, 0.9693), "L": (35.42, 0.9698)},
    ),
    **{
        f"snu-film-{level}": Dataset(
            title=f"SNU-FILM {level}",
            layout=f"test-{level}.txt with three paths a line, and these pictures",
            samples=partial(_snu_film, level=level),
            scale=0.8,
            padding=Padding(amounts=_to_multiple_of_20, mode="replicate"),
            published=published,
        )
        for level, published in SNU_FILM_PUBLISHED.items()
    },
    "middlebury": Dataset(
        title="Middlebury Other",
        layout="other-data/<name>/frame{10,11}.png, other-gt-interp/<name>/frame10i11.png",
        samples=_middlebury,
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
    "gopro": Dataset(
        title="GoPro 8x",
        layout="<video>/*.png for the eleven test videos",
        samples=_gopro,
        crop=512,
        published={"base": (29.84, 0.920)},
    ),
    "adobe240": Dataset(
        title="Adobe240 8x",
        layout="<video>/*.png, every folder is a test video",
        samples=_adobe240,
        crop=512,
        published={"base": (31.93, 0.943)},
    ),
}
