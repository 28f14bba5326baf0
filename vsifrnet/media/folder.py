"""A folder of pictures as a clip, and a clip as a folder of pictures."""

from __future__ import annotations

import logging
import re
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import vapoursynth as vs

from vsifrnet.errors import InputError
from vsifrnet.files import same_file
from vsifrnet.graph.frames import read_alpha, write_alpha
from vsifrnet.graph.timeline import UniformTimeline
from vsifrnet.media import pictures
from vsifrnet.media.pictures import Header, Picture
from vsifrnet.media.results import Results, made_of

__all__ = ["Folder", "Job", "open_clip", "scan"]

log = logging.getLogger("vsifrnet")

JPEG = (".jpg", ".jpeg")
"""Names of pictures without an alpha channel."""

AHEAD = 4
"""Maximum number of pictures that are read ahead, or wait to be written."""


@dataclass(frozen=True)
class Folder:
    """Pictures of one size, in their natural order."""

    paths: Sequence[Path]
    width: int
    height: int
    depth: int
    """Bits per sample of the deepest picture: 8 or 16."""
    grey: bool
    """Whether all pictures are grey."""
    alpha: bool
    """Any picture has an alpha channel."""
    turned: frozenset[Path] = frozenset()
    """Pictures whose files say that they are to be shown turned; they are read upright."""


def scan(root: Path) -> Folder:
    """List a folder's pictures by their headers.

    Raises:
        InputError: there are fewer than two; or one, which the message names, is no picture or
            of another size than the first.
    """
    if root.is_file():
        raise InputError(f"{root} is a file: give a folder of pictures")
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder")
    paths = sorted(
        (path for path in root.iterdir() if _is_picture(path)),
        key=pictures.natural,
    )
    if len(paths) < 2:
        accepted = ", ".join(pictures.SUFFIXES)
        raise InputError(f"{root}: {len(paths)} pictures ({accepted}) in it, 2 are the least")
    with ThreadPoolExecutor(max_workers=4) as pool:
        headers = list(pool.map(pictures.header, paths))
    if gap := _gap(paths):
        log.warning("%s: %s", root, gap)
    first = headers[0]
    for path, header in zip(paths, headers, strict=True):
        _check(path, header, first)
    return Folder(
        paths=paths,
        width=first.width,
        height=first.height,
        depth=max(header.depth for header in headers),
        grey=all(header.grey for header in headers),
        alpha=any(header.alpha for header in headers),
        turned=frozenset(p for p, header in zip(paths, headers, strict=True) if header.turned),
    )


def _gap(paths: Sequence[Path]) -> str | None:
    """Say which numbers are missing from names that are alike but for one number."""
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", path.stem) for path in paths]
    if not all(parts) or len({(match[1], match[3]) for match in parts if match}) > 1:
        return None
    numbers = sorted(int(match[2]) for match in parts if match)
    steps = [b - a for a, b in pairwise(numbers)]
    # Every second or tenth picture, all the way through, is no gap.
    usual = max(set(steps), key=steps.count)
    gaps = [n for n, step in enumerate(steps) if step > usual]
    if not gaps or usual == 0:
        return None
    first = gaps[0]
    more = f", and at {len(gaps) - 1} more places" if len(gaps) > 1 else ""
    return (
        f"no picture has a number between {numbers[first]} and {numbers[first + 1]}{more}: they "
        "are taken for neighbours"
    )


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in pictures.SUFFIXES and not path.name.startswith(".")


def _check(path: Path, header: Header, first: Header) -> None:
    if (header.width, header.height) != (first.width, first.height):
        raise InputError(
            f"{path} is {header.width}x{header.height}, the pictures before it are "
            f"{first.width}x{first.height}"
        )


@contextmanager
def open_clip(folder: Folder, *, loaders: int) -> Iterator[vs.VideoNode]:
    """Yield the pictures as a clip of RGB24 or RGB48, which ``loaders`` threads decode ahead.

    Its frames can be had until the context ends. A damaged picture is an error of its frame. Where
    a picture has transparency, all frames have ``_Alpha``.
    """
    form = vs.RGB48 if folder.depth == 16 else vs.RGB24
    canvas = vs.core.std.BlankClip(
        width=folder.width, height=folder.height, format=form, length=len(folder.paths), keep=True
    )
    with ThreadPoolExecutor(max_workers=loaders, thread_name_prefix="loader") as pool:
        yield canvas.std.ModifyFrame(canvas, _Load(folder, pool))


class _Load:
    """Fill frame n with picture n; VapourSynth calls this from one thread at a time."""

    def __init__(self, folder: Folder, pool: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._pool = pool
        self._waiting: dict[int, Future[Picture]] = {}

    def __call__(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        wanted = range(n, min(n + 1 + AHEAD, len(self._folder.paths)))
        self._waiting = {
            k: self._waiting.get(k) or self._pool.submit(pictures.read, self._folder.paths[k])
            for k in wanted
        }
        try:
            picture = self._waiting.pop(n).result()
        except (ValueError, OSError) as error:
            raise vs.Error(str(error)) from error
        frame = f.copy()
        largest = 2**self._folder.depth - 1
        samples = (picture.rgb * largest).round().numpy()
        for p in range(3):
            np.copyto(np.asarray(frame[p]), samples[p], casting="unsafe")
        if self._folder.alpha:
            frame.props["_Alpha"] = self._alpha(picture)
        return frame

    def _alpha(self, picture: Picture) -> vs.VideoFrame:
        form = vs.core.get_video_format(vs.GRAY16 if self._folder.depth == 16 else vs.GRAY8)
        frame = vs.core.create_video_frame(form, self._folder.width, self._folder.height)
        frame.props["_Range"] = vs.RANGE_FULL
        size = self._folder.height, self._folder.width
        alpha = np.ones(size, np.float32) if picture.alpha is None else picture.alpha.numpy()
        return write_alpha(alpha, like=frame)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The task of writing a clip that was made from a folder into another folder."""

    source: Folder
    made: vs.VideoNode
    """The output clip, RGB24 or RGB48."""
    multi: Fraction
    """Output pictures per source picture."""
    folder: Path
    pattern: str
    """Pattern of the file names with one %d, which stands for n + 1."""
    quality: int
    copies: bool
    """Whether an unchanged source picture becomes a copy of its file."""

    def name(self, n: int) -> str:
        """Return the file name of output picture ``n``."""
        return self.pattern % (n + 1)

    def results(self, settings: Mapping[str, object], *, overwrite: bool) -> Results:
        """Return the output pictures that exist already and were made with the same ``settings``.

        Raises:
            InputError: the pattern is no such pattern, the folder is that of the source pictures,
                or it has pictures that must not be replaced.
        """
        self._check_pattern()
        if same_file(self.folder, self.source.paths[0].parent):
            raise InputError(f"{self.folder}: the pictures that are made need another folder")
        numbers = range(self.made.num_frames)
        made = made_of(self.source.paths, [self._position(n) for n in numbers])
        wanted = {self.name(n): made[n] for n in numbers}
        return Results(self.folder, settings, wanted, inputs=self.source.paths, overwrite=overwrite)

    def run(self, results: Results, *, savers: int) -> Iterator[int]:
        """Make and write the missing pictures; yield the number of each written picture."""
        waiting: deque[tuple[int, Future[None]]] = deque()
        in_flight = AHEAD + savers + vs.core.num_threads
        pool = ThreadPoolExecutor(max_workers=savers, thread_name_prefix="saver")
        results.begin()
        try:
            for n in results.missing:
                left, phase = self._position(n)
                original = self.source.paths[left]
                same = original.suffix.lower() == Path(self.pattern).suffix.lower()
                # Made pictures are stored upright, and so are all of one folder.
                same = same and original not in self.source.turned
                if self.copies and phase == 0 and same:
                    work = pool.submit(self._copy, n, original, results)
                else:
                    work = pool.submit(self._save, n, self.made.get_frame_async(n), results)
                waiting.append((n, work))
                if len(waiting) >= in_flight:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _position(self, n: int) -> tuple[int, Fraction]:
        position = UniformTimeline(len(self.source.paths), self.multi).position(n)
        return position.left, position.phase

    def _check_pattern(self) -> None:
        try:
            named = self.name(0) != self.name(1) and Path(self.name(0)).name == self.name(0)
        except (TypeError, ValueError):
            named = False
        if not named or Path(self.pattern).suffix.lower() not in pictures.SUFFIXES:
            accepted = ", ".join(pictures.SUFFIXES)
            raise InputError(
                f"--pattern {self.pattern}: must be a name with one %d, such as %08d.png, "
                f"that ends with one of {accepted}"
            )

    def _copy(self, n: int, original: Path, results: Results) -> None:
        pictures.read(
            original
        )  # refuses a damaged picture, which once copied would stay in later runs
        with results.writing(self.name(n)) as partial:
            shutil.copyfile(original, partial)

    def _save(self, n: int, request: Future[vs.VideoFrame], results: Results) -> None:
        largest = 2**self.source.depth - 1
        with request.result() as frame:
            planes = np.stack([np.asarray(frame[p]) for p in range(3)])
            alpha = read_alpha(frame)
        if alpha is not None and alpha.min() == 1 and Path(self.pattern).suffix.lower() in JPEG:
            alpha = None
        picture = Picture(
            rgb=torch.from_numpy(planes.astype(np.float32) / largest),
            alpha=None if alpha is None else torch.from_numpy(alpha),
            depth=self.source.depth,
            grey=self.source.grey,
        )
        with results.writing(self.name(n)) as partial:
            pictures.write(picture, partial, quality=self.quality)


def _finished(n: int, work: Future[None]) -> int:
    work.result()
    return n
