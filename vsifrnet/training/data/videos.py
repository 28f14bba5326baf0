"""Triplets cut out of video files, as pictures on disk in Vimeo90K's layout.

Videos are fast to read only from beginning to end, while training needs samples in any order, so
triplets are cut out once. On disk they can be looked at, removed, labelled with flow
(``vsifrnet flow``) and used again.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from vsifrnet.errors import DataError, TrainingError
from vsifrnet.files import location
from vsifrnet.training.data.datasets import LISTS, SOURCE
from vsifrnet.training.data.sample import Pixels, generator
from vsifrnet.training.loop.distributed import is_first

__all__ = ["Choice", "extract", "extract_once", "find_triplets"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The rules for choosing triplets of a video.

    Differences are mean absolute differences of thumbnails, in 8-bit steps.
    """

    stride: int = 1
    """Number of frames from one picture of a triplet to the next."""
    every: int = 3
    """Number of frames from one triplet to the next."""
    least: float = 0.6
    """Minimum difference of the outer pictures; a smaller one means no motion to learn from."""
    balance: float = 0.25
    """Minimum ratio of the two steps' differences; a smaller one means a held drawing."""
    most: float = 30.0
    """Maximum difference of neighbours; a larger one means a cut, a flash or too much motion."""
    height: int = 256
    """Maximum height of the part that is cut out of the pictures, as in Vimeo90K."""
    width: int = 448
    """Maximum width of that part; smaller videos are used whole."""


def find_triplets(path: Path, choice: Choice) -> Iterator[tuple[int, list[Pixels]]]:
    """Yield the chosen triplets of a video, each with the number of its first frame.

    Raises:
        DataError: the file cannot be read as a video.
    """
    window: deque[tuple[Pixels, Pixels]] = deque(maxlen=2 * choice.stride + 1)
    next_first = 0
    try:
        with av.open(location(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} has no video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for number, frame in enumerate(container.decode(stream)):
                picture = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                small = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_AREA)
                window.append((picture, small.astype(np.uint8)))
                first = number - 2 * choice.stride
                if first < next_first:
                    continue
                chosen = [window[i * choice.stride] for i in range(3)]
                smalls = [entry[1].astype(np.float32) for entry in chosen]
                steps = [float(np.abs(a - b).mean()) for a, b in pairwise(smalls)]
                across = float(np.abs(smalls[0] - smalls[2]).mean())
                # A held frame in the middle would teach the network to stand still.
                held = min(steps) < choice.balance * max(steps)
                if max(steps) <= choice.most and across >= choice.least and not held:
                    next_first = first + choice.every
                    yield first, [entry[0] for entry in chosen]
    except av.FFmpegError as error:
        raise DataError(f"cannot read the video {path}: {error}") from error


def extract(
    paths: list[Path], root: Path, choice: Choice, *, seed: int = 0, quiet: bool = False
) -> int:
    """Cut triplets out of videos into ``root``, in Vimeo90K's layout; return their number.

    The list is written last, so that an interrupted run starts over.

    Raises:
        DataError: a video cannot be read, or none of them has a triplet that fits ``choice``.
        TrainingError: the disk is full.
    """
    names = []
    progress = tqdm(unit="triplet", desc="cutting out triplets", disable=quiet, dynamic_ncols=True)
    with progress:
        for video, path in enumerate(paths):
            for first, pictures in find_triplets(path, choice):
                name = f"{video:05d}/{first:06d}"
                try:
                    _write(
                        root / "sequences" / name, pictures, choice, generator(seed, video, first)
                    )
                except OSError as error:
                    raise TrainingError(f"cannot write triplets to {root}: {error}") from error
                names.append(name)
                progress.update()
    if not names:
        raise DataError(
            f"no triplets in {', '.join(map(str, paths))}: all frames are static or at a cut "
            f"(differences below {choice.least} or above {choice.most})"
        )
    (root / LISTS["train"]).write_text("".join(f"{name}\n" for name in names))
    return len(names)


def extract_once(paths: list[Path], root: Path, choice: Choice, *, quiet: bool = False) -> None:
    """Call :func:`extract` unless ``root`` already has the same triplets of the same videos.

    Triplets of other videos or choices are removed with their flow, because the new pictures get
    the same names. Under torchrun the first process cuts and the others wait.

    Raises:
        DataError: a video is missing or cannot be used, or ``root`` has other pictures.
        TrainingError: the triplets in ``root`` cannot be replaced, or the disk is full.
    """
    for path in paths:
        if not path.is_file():
            raise DataError(f"there is no video {path}")
    note = root / SOURCE
    wanted = "".join(_identity(path) for path in paths) + f"{choice}\n"
    if is_first():
        if note.is_file() and note.read_text() == wanted:
            return
        _clear(root, note)
        extract(paths, root, choice, quiet=quiet)
        note.write_text(wanted)
    while not (note.is_file() and note.read_text() == wanted):
        time.sleep(1.0)


def _identity(path: Path) -> str:
    """Return a line that changes when another video replaces this one under its name."""
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n"


def _clear(root: Path, note: Path) -> None:
    # Never delete a data set that was not cut out of videos.
    if (root / "sequences").exists() and not note.is_file():
        raise DataError(
            f"{root / 'sequences'} was not cut out of videos (there is no {note}): "
            "move it away, or choose another folder"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        note.write_text("")  # This marks the folder as ours if the run is interrupted.
        (root / LISTS["train"]).unlink(missing_ok=True)
        for folder in (root / "flow", root / "sequences"):
            if folder.exists():
                shutil.rmtree(folder)
    except OSError as error:
        raise TrainingError(f"cannot replace the triplets in {root}: {error}") from error


def _write(folder: Path, pictures: list[Pixels], choice: Choice, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    height, width = pictures[0].shape[:2]
    rows, columns = min(choice.height, height), min(choice.width, width)
    difference = np.abs(pictures[0].astype(np.int16) - pictures[2]).mean(axis=-1)
    windows = []
    # Choose the part with most motion out of four random ones.
    for _ in range(4):
        top = int(rng.integers(0, height - rows + 1))
        left = int(rng.integers(0, width - columns + 1))
        window = np.s_[top : top + rows, left : left + columns]
        windows.append((float(difference[window].mean()), window))
    best = max(windows, key=lambda entry: entry[0])[1]
    for number, picture in enumerate(pictures, start=1):
        path = folder / f"im{number}.png"
        if not cv2.imwrite(str(path), np.ascontiguousarray(picture[best][..., ::-1])):
            raise OSError(f"{path} was not written (disk full?)")
