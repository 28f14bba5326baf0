"""Running of the official benchmarks: pictures are made for every entry and measured."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Self

from torch import Tensor

from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.errors import InputError
from vsifrnet.evaluation import metrics, report
from vsifrnet.evaluation.protocols import Benchmark, Entry
from vsifrnet.media import pictures
from vsifrnet.media.pictures import Picture

__all__ = [
    "Result",
    "Rows",
    "evaluate",
    "list_entries",
    "load_results",
    "save_worst",
    "summary",
    "table",
]

METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "ie": metrics.interpolation_error,
}
"""The metrics by the names that benchmarks use."""

HEADINGS = {"psnr": ("PSNR", "{:.2f}"), "ssim": ("SSIM", "{:.4f}"), "ie": ("IE", "{:.3f}")}
"""Each metric's column in the table: its title and the format of a value."""


@dataclass(frozen=True)
class Result:
    """The metrics of one made picture against the true one."""

    entry: str
    t: Fraction
    values: tuple[float, ...]
    """Values in the order of the benchmark's metrics."""


def list_entries(benchmark: Benchmark, root: Path) -> list[Entry]:
    """List the entries in a folder and check that all of their files exist.

    Raises:
        InputError: a list, a folder or a picture is missing; the message names the first.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: there is no such folder; {benchmark.title} needs {benchmark.layout}"
        )
    entries = benchmark.entries(root)
    for entry in entries:
        for path in entry.paths():
            if not path.is_file():
                raise InputError(f"{path} is missing; {benchmark.title} needs {benchmark.layout}")
    return entries


def evaluate(
    interpolator: Interpolator, benchmark: Benchmark, entries: Iterable[Entry]
) -> Iterator[list[Result]]:
    """Yield the results of each entry, measured as the official code does."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader") as loader:
        # The next entry is decoded while the network works on this one.
        waiting = None
        for entry in entries:
            loading = loader.submit(_load, benchmark, entry)
            if waiting is not None:
                yield _measure(interpolator, benchmark, waiting.result())
            waiting = loading
        if waiting is not None:
            yield _measure(interpolator, benchmark, waiting.result())


def save_worst(
    interpolator: Interpolator,
    benchmark: Benchmark,
    entries: Sequence[Entry],
    results: Sequence[Result],
    folder: Path,
    *,
    count: int,
) -> list[Path]:
    """Write strips (left, made, true, right, error) of the ``count`` pictures of lowest PSNR."""
    by_name = {entry.name: entry for entry in entries}
    paths = []
    for rank, result in enumerate(sorted(results, key=lambda r: r.values[0])[:count], start=1):
        loaded = _load(benchmark, by_name[result.entry])
        made = _interpolate(interpolator, benchmark, loaded, result.t)
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in result.entry)
        path = folder / f"{rank:02d}_{result.values[0]:.2f}dB_{name}.png"
        strip = report.strip(loaded.img0, made, loaded.truths[result.t], loaded.img1)
        pictures.write(Picture(rgb=strip), path)
        paths.append(path)
    return paths


def load_results(path: Path, benchmark: Benchmark, entries: Sequence[Entry]) -> list[Result]:
    """Return the results that :class:`Rows` wrote for entries that were finished."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if len(row) == 2 + len(benchmark.metrics)][1:]
    results = [Result(row[0], Fraction(row[1]), tuple(map(float, row[2:]))) for row in rows]
    found = Counter(result.entry for result in results)
    finished = {entry.name for entry in entries if found[entry.name] == len(entry.truths)}
    return [result for result in results if result.entry in finished]


class Rows:
    """Writes results to a CSV file as they come, one row for each made picture.

    Use it as a context manager. If the path is None, nothing is written.
    """

    def __init__(self, path: Path | None, benchmark: Benchmark, results: Iterable[Result]) -> None:
        self._file = None
        if path is None:
            return
        report.write_csv(path, ("sample", "t", *benchmark.metrics), ())
        self._file = path.open("a", newline="", encoding="utf-8")
        self.add(results)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, results: Iterable[Result]) -> None:
        """Append rows, and flush, so that a killed run keeps them."""
        if self._file is not None:
            rows = ((r.entry, r.t, *map(repr, r.values)) for r in results)
            csv.writer(self._file).writerows(rows)
            self._file.flush()


def summary(benchmark: Benchmark, results: Sequence[Result]) -> dict[str, float]:
    """Return each metric's mean over all made pictures (seven per entry in 8x benchmarks)."""
    return {
        name: fmean(result.values[i] for result in results)
        for i, name in enumerate(benchmark.metrics)
    }


def table(benchmark: Benchmark, name: str, means: dict[str, float]) -> str:
    """Format the means of the model ``name`` beneath the paper's figures."""
    rows = [(f"IFRNet {size} (paper)", *values) for size, values in benchmark.published.items()]
    rows.append((name, *(means[metric] for metric in benchmark.metrics)))
    width = max(len(str(row[0])) for row in rows)
    headings = [HEADINGS[metric] for metric in benchmark.metrics]
    lines = [f"{benchmark.title:{width}}" + "".join(f"{title:>9}" for title, _ in headings)]
    for label, *values in rows:
        cells = (form.format(v) for (_, form), v in zip(headings, values, strict=True))
        lines.append(f"{label!s:{width}}" + "".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """An entry with its pictures, (3, H, W)."""

    name: str
    img0: Tensor
    img1: Tensor
    truths: dict[Fraction, Tensor]


def _load(benchmark: Benchmark, entry: Entry) -> _Loaded:
    img0, img1 = _read(entry.img0, benchmark), _read(entry.img1, benchmark)
    truths = {t: _read(path, benchmark) for t, path in entry.truths}
    for path, picture in zip(entry.paths(), (img0, img1, *truths.values()), strict=True):
        if picture.shape != img0.shape:
            raise InputError(f"{path}: must be of the same size as {entry.img0}")
    return _Loaded(name=entry.name, img0=img0, img1=img1, truths=truths)


def _read(path: Path, benchmark: Benchmark) -> Tensor:
    picture = pictures.read(path).rgb
    if benchmark.crop is None:
        return picture
    _, height, width = picture.shape
    rows, columns = min(benchmark.crop, height), min(benchmark.crop, width)
    top, left = height // 2 - rows // 2, width // 2 - columns // 2
    return picture[:, top : top + rows, left : left + columns]


def _measure(interpolator: Interpolator, benchmark: Benchmark, loaded: _Loaded) -> list[Result]:
    results = []
    for t, truth in loaded.truths.items():
        made = _interpolate(interpolator, benchmark, loaded, t)
        truth = truth.to(made.device)
        values = tuple(METRICS[name](made, truth) for name in benchmark.metrics)
        results.append(Result(loaded.name, t, values))
    return results


def _interpolate(
    interpolator: Interpolator, benchmark: Benchmark, loaded: _Loaded, t: Fraction
) -> Tensor:
    img0, img1, key = loaded.img0, loaded.img1, loaded.name
    padding = benchmark.padding
    if padding is None:
        return interpolator(img0, img1, t, key=key)
    padded = interpolator(padding.apply(img0), padding.apply(img1), t, key=key)
    return padding.remove(padded, *img0.shape[1:])
