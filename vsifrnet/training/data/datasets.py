"""Data sets of real pictures: Vimeo90K triplets and sequences of frames (GoPro, for 8x)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vsifrnet.errors import DataError
from vsifrnet.media.pictures import natural
from vsifrnet.training.data.assets import SUFFIXES, list_pictures, read_picture
from vsifrnet.training.data.augment import augment
from vsifrnet.training.data.flo import read_flo
from vsifrnet.training.data.sample import Field, Picture, Sample, generator

__all__ = ["LISTS", "SOURCE", "Sequences", "Triplets", "shuffled"]

LISTS = {"train": "tri_trainlist.txt", "test": "tri_testlist.txt"}
"""Vimeo90K's official lists, by part."""

SOURCE = "source.txt"
"""In a folder of triplets that were cut out of videos: which videos, and how."""


def shuffled(index: int, length: int, seed: int) -> int:
    """Which of ``length`` entries sample ``index`` is: each once an epoch, in an order of its own.

    The order of an epoch depends on (seed, epoch) alone.
    """
    epoch, place = divmod(index, length)
    return int(generator(seed, epoch, 2).permutation(length)[place])


class Triplets:
    """Triplets in Vimeo90K's layout, with pseudo labels for the flow where there are any.

    ``<root>/sequences/<a>/<b>/im{1,2,3}.png``, listed in ``<root>/tri_trainlist.txt`` and
    ``tri_testlist.txt``; flow in ``<root>/flow/<a>/<b>/flow_t{0,1}.flo`` (``vsifrnet flow``).
    Triplets cut out of videos may be weeded: those whose folder is gone are left out.

    Args:
        root: the folder (``vimeo_triplet``).
        part: which of ``LISTS``.
        size: side of the augmented square crops; None gives whole pictures as they are.
        seed: of order and augmentation.

    Raises:
        DataError: a list is missing or empty; in ``sample``, a picture is broken.
    """

    def __init__(
        self,
        root: Path,
        part: str = "train",
        *,
        size: int | None = 224,
        seed: int = 0,
    ) -> None:
        self.root, self.size, self.seed = root, size, seed
        path = root / LISTS[part]
        try:
            self.names = [line.strip() for line in path.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise DataError(f"cannot read the list {path}: {error.strerror}") from error
        if not self.names:
            raise DataError(f"the list {path} is empty")
        if (root / SOURCE).is_file():
            self.names = [name for name in self.names if (root / "sequences" / name).is_dir()]
            if not self.names:
                raise DataError(
                    f"all triplets that {path} names are gone from {root / 'sequences'}"
                )

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, index: int) -> Sample:
        """Sample ``index``: augmented and in shuffled order, or as listed where size is None."""
        if self.size is None:
            return self._read(self.names[index % len(self.names)])
        name = self.names[shuffled(index, len(self.names), self.seed)]
        return augment(self._read(name), self.size, generator(self.seed, index, 3))

    def _read(self, name: str) -> Sample:
        folder = self.root / "sequences" / name
        img0, imgt, img1 = (read_picture(folder / f"im{i}.png") for i in (1, 2, 3))
        if not img0.shape == imgt.shape == img1.shape:
            raise DataError(f"the pictures in {folder} are not of one size")
        return Sample(img0=img0, imgt=imgt, img1=img1, t=0.5, flow=self._flow(name, imgt.shape))

    def _flow(self, name: str, shape: tuple[int, ...]) -> Field | None:
        folder = self.root / "flow" / name
        if not (folder / "flow_t1.flo").is_file():
            return None  # not labelled, or labelling was stopped here
        flow = np.concatenate([read_flo(folder / f"flow_t{i}.flo") for i in (0, 1)], axis=-1)
        if flow.shape[:2] != shape[:2]:
            raise DataError(f"the flow in {folder} is not of its pictures' size")
        return flow


class Sequences:
    """Runs of frames: a folder of pictures each, in order of their names (GoPro, Adobe240).

    Numbers in names count by value: 2.png comes before 10.png.

    A sample is a frame between two that lie ``span`` apart, at a t drawn from 1/span, 2/span...

    Args:
        root: has the sequences' folders, at any depth.
        span: frames from one input to the other: 8 for 8x as officially.
        size, seed: as for :class:`Triplets`.

    Raises:
        DataError: no folder has ``span`` + 1 pictures; in ``sample``, a picture is broken, or
            pictures of one folder differ in size.
    """

    def __init__(self, root: Path, *, span: int = 8, size: int = 224, seed: int = 0) -> None:
        self.span, self.size, self.seed = span, size, seed
        folders: dict[Path, list[Path]] = {}
        for path in list_pictures(root):
            folders.setdefault(path.parent, []).append(path)
        self.starts: list[Sequence[Path]] = [
            paths[i : i + span + 1]
            for paths in (sorted(found, key=natural) for found in folders.values())
            for i in range(0, len(paths) - span, span)
        ]
        if not self.starts:
            raise DataError(
                f"no folder in {root} has {span + 1} pictures ({', '.join(sorted(SUFFIXES))})"
            )

    def __len__(self) -> int:
        return len(self.starts)

    def sample(self, index: int) -> Sample:
        """Sample ``index``, augmented; its flow is not known."""
        run = self.starts[shuffled(index, len(self.starts), self.seed)]
        rng = generator(self.seed, index, 3)
        step = int(rng.integers(1, self.span))
        paths = [run[i] for i in (0, step, self.span)]
        img0, imgt, img1 = pictures = [read_picture(path) for path in paths]
        for path, picture in zip(paths, pictures, strict=True):
            if picture.shape != img0.shape:
                raise DataError(
                    f"{paths[0]} is {_size(img0)} and {path} is {_size(picture)}: the pictures of "
                    "a folder must be of one size"
                )
        sample = Sample(img0=img0, imgt=imgt, img1=img1, t=step / self.span)
        return augment(sample, self.size, rng)


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
