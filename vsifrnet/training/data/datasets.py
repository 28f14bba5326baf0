"""Data sets of real pictures: Vimeo90K's triplets, and sequences of frames (GoPro, for 8x)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vsifrnet.errors import DataError
from vsifrnet.media.pictures import natural
from vsifrnet.training.data.assets import SUFFIXES, list_pictures, read_picture
from vsifrnet.training.data.augment import augment
from vsifrnet.training.data.flo import read_flo
from vsifrnet.training.data.sample import Field, Pixels, Sample, generator

__all__ = ["LISTS", "SOURCE", "Sequences", "Triplets", "shuffled"]

LISTS = {"train": "tri_trainlist.txt", "test": "tri_testlist.txt"}
"""File names of Vimeo90K's official lists, by part."""

SOURCE = "source.txt"
"""File in a folder of triplets that tells from which videos they were cut, and how."""


def shuffled(index: int, length: int, seed: int) -> int:
    """Return the entry, of ``length`` ones, that sample ``index`` is.

    Each entry comes once per epoch, in an order that depends on (seed, epoch) alone.
    """
    epoch, place = divmod(index, length)
    return int(generator(seed, epoch, 2).permutation(length)[place])


class Triplets:
    """Triplets in Vimeo90K's layout, with flow labels where these exist.

    Pictures are ``<root>/sequences/<a>/<b>/im{1,2,3}.png``, listed in ``tri_trainlist.txt`` and
    ``tri_testlist.txt``; flow is in ``<root>/flow/<a>/<b>/flow_t{0,1}.flo`` (``vsifrnet flow``).
    Triplets that were cut out of videos are left out if their folder was removed.

    Args:
        root: the folder (``vimeo_triplet``).
        part: the key of a list in ``LISTS``.
        size: the side of the augmented square crops; None gives whole pictures, unchanged.
        seed: the seed of order and augmentation.

    Raises:
        DataError: a list is missing or empty; :meth:`sample` raises it if a picture is broken.
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
                raise DataError(f"none of the triplets in {path} is left in {root / 'sequences'}")

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, index: int) -> Sample:
        """Return sample ``index``: augmented and shuffled, or as listed if size is None."""
        if self.size is None:
            return self._read(self.names[index % len(self.names)])
        name = self.names[shuffled(index, len(self.names), self.seed)]
        return augment(self._read(name), self.size, generator(self.seed, index, 3))

    def _read(self, name: str) -> Sample:
        folder = self.root / "sequences" / name
        img0, imgt, img1 = (read_picture(folder / f"im{i}.png") for i in (1, 2, 3))
        if not img0.shape == imgt.shape == img1.shape:
            raise DataError(f"the pictures in {folder} must be of the same size")
        return Sample(img0=img0, imgt=imgt, img1=img1, t=0.5, flow=self._flow(name, imgt.shape))

    def _flow(self, name: str, shape: tuple[int, ...]) -> Field | None:
        folder = self.root / "flow" / name
        if not (folder / "flow_t1.flo").is_file():
            return None  # There is no label, or labelling was interrupted here.
        flow = np.concatenate([read_flo(folder / f"flow_t{i}.flo") for i in (0, 1)], axis=-1)
        if flow.shape[:2] != shape[:2]:
            raise DataError(f"the flow in {folder} must be of the same size as its pictures")
        return flow


class Sequences:
    """Sequences of frames, each in a folder of pictures, as GoPro and Adobe240 have them.

    Names are sorted with numbers by value: 2.png comes before 10.png. A sample is two frames that
    are ``span`` apart and a random one between them.

    Args:
        root: the folder that has the sequences' folders, at any depth.
        span: the number of frames from one input to the other; 8 for the official 8x.
        size: the side of the augmented square crops.
        seed: the seed of order, frame and augmentation.

    Raises:
        DataError: no folder has ``span`` + 1 pictures; :meth:`sample` raises it if a picture is
            broken, or if pictures of a folder differ in size.
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
        """Return sample ``index``, augmented; its flow is None."""
        run = self.starts[shuffled(index, len(self.starts), self.seed)]
        rng = generator(self.seed, index, 3)
        step = int(rng.integers(1, self.span))
        paths = [run[i] for i in (0, step, self.span)]
        img0, imgt, img1 = pictures = [read_picture(path) for path in paths]
        for path, picture in zip(paths, pictures, strict=True):
            if picture.shape != img0.shape:
                raise DataError(
                    f"{paths[0]} is {_size(img0)} and {path} is {_size(picture)}: the pictures of "
                    "a folder must be of the same size"
                )
        sample = Sample(img0=img0, imgt=imgt, img1=img1, t=step / self.span)
        return augment(sample, self.size, rng)


def _size(picture: Pixels) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
