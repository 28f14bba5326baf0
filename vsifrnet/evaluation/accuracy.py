"""The official benchmarks: every sample of a data set through the interpolator, and its metrics."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Self

import torch
from torch import Tensor

from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.errors import InputError
from vsifrnet.evaluation import metrics
from vsifrnet.evaluation.protocols import Dataset, Sample
from vsifrnet.files import replacing
from vsifrnet.media import pictures
from vsifrnet.media.pictures import Picture

__all__ = [
    "Result",
    "Rows",
    "evaluate",
    "load_results",
    "load_samples",
    "save_worst",
    "strip",
    "summary",
    "table",
    "to_json",
]

METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "ie": metrics.interpolation_error,
}

HEADINGS = {"psnr": ("PSNR", "{:.2f}"), "ssim": ("SSIM", "{:.4f}"), "ie": ("IE", "{:.3f}")}


@dataclass(frozen=True)
class Result:
    """One made picture against the true one."""

    sample: str
    t: Fraction
    values: tuple[float, ...]
    """In the order of the data set's metrics."""


def load_samples(dataset: Dataset, root: Path) -> list[Sample]:
    """The samples of a folder, every file of which is there.

    Raises:
        InputError: a list, a folder or a picture is missing; the message names the first.
    """
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder; {dataset.title} wants {dataset.layout}")
    samples = dataset.samples(root)
    for sample in samples:
        for path in sample.paths():
            if not path.is_file():
                raise InputError(f"{path} is missing; {dataset.title} wants {dataset.layout}")
    return samples


def evaluate(
    interpolator: Interpolator, dataset: Dataset, samples: Iterable[Sample]
) -> Iterator[list[Result]]:
    """The results of one sample after the other, as the official code measures them."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader") as loader:
        # The next sample is decoded while the network is busy with this one.
        waiting = None
        for sample in samples:
            loading = loader.submit(_load, dataset, sample)
            if waiting is not None:
                yield _measure(interpolator, dataset, *waiting.result())
            waiting = loading
        if waiting is not None:
            yield _measure(interpolator, dataset, *waiting.result())


def save_worst(
    interpolator: Interpolator,
    dataset: Dataset,
    samples: Sequence[Sample],
    results: Sequence[Result],
    folder: Path,
    *,
    count: int,
) -> list[Path]:
    """Strips of pictures (left, made, true, right, error) of the ``count`` lowest PSNR."""
    by_name = {sample.name: sample for sample in samples}
    paths = []
    for rank, result in enumerate(sorted(results, key=lambda r: r.values[0])[:count], start=1):
        _, img0, img1, truths = _load(dataset, by_name[result.sample])
        made = _interpolate(interpolator, dataset, img0, img1, result.t)
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in result.sample)
        path = folder / f"{rank:02d}_{result.values[0]:.2f}dB_{name}.png"
        pictures.write(Picture(rgb=strip(img0, made, dict(truths)[result.t], img1)), path)
        paths.append(path)
    return paths


def strip(left: Tensor, made: Tensor, true: Tensor, right: Tensor) -> Tensor:
    """Five pictures side by side; the last is the error, four times as strong."""
    made = made.to(true.device)
    error = ((made - true).abs() * 4).clamp(0, 1)
    return torch.cat((left, made, true, right, error), dim=2)


def load_results(path: Path, dataset: Dataset, samples: Sequence[Sample]) -> list[Result]:
    """The rows that :class:`Rows` wrote, of samples that were finished."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if len(row) == 2 + len(dataset.metrics)][1:]
    results = [Result(row[0], Fraction(row[1]), tuple(map(float, row[2:]))) for row in rows]
    found = Counter(result.sample for result in results)
    finished = {sample.name for sample in samples if found[sample.name] == len(sample.truths)}
    return [result for result in results if result.sample in finished]


class Rows:
    """Writes results to a CSV file of one row a made picture, as they come.

    Use as a context manager. Without a path nothing is written.
    """

    def __init__(self, path: Path | None, dataset: Dataset, results: Iterable[Result]) -> None:
        self._file = None
        if path is None:
            return
        with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(("sample", "t", *dataset.metrics))
        self._file = path.open("a", newline="", encoding="utf-8")
        self.add(results)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, results: Iterable[Result]) -> None:
        """Append and flush."""
        if self._file is not None:
            rows = ((r.sample, r.t, *map(repr, r.values)) for r in results)
            csv.writer(self._file).writerows(rows)
            self._file.flush()


def summary(dataset: Dataset, results: Sequence[Result]) -> dict[str, float]:
    """Means over all made pictures; of 8x data sets that is over the seven of each too."""
    return {
        name: fmean(result.values[i] for result in results)
        for i, name in enumerate(dataset.metrics)
    }


def table(dataset: Dataset, name: str, means: dict[str, float]) -> str:
    """Ours beneath the paper's figures, as text."""
    rows = [(f"IFRNet {size} (paper)", *values) for size, values in dataset.published.items()]
    rows.append((name, *(means[metric] for metric in dataset.metrics)))
    width = max(len(str(row[0])) for row in rows)
    headings = [HEADINGS[metric] for metric in dataset.metrics]
    lines = [f"{dataset.title:{width}}" + "".join(f"{title:>9}" for title, _ in headings)]
    for label, *values in rows:
        cells = (form.format(v) for (_, form), v in zip(headings, values, strict=True))
        lines.append(f"{label!s:{width}}" + "".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


def to_json(means: dict[str, float]) -> str:
    """As JSON, which has no infinity: equal pictures give null."""
    return json.dumps({k: v if math.isfinite(v) else None for k, v in means.items()}, indent=2)


_Loaded = tuple[Sample, Tensor, Tensor, list[tuple[Fraction, Tensor]]]


def _load(dataset: Dataset, sample: Sample) -> _Loaded:
    img0, img1 = _read(sample.img0, dataset), _read(sample.img1, dataset)
    truths = [(t, _read(path, dataset)) for t, path in sample.truths]
    for path, picture in zip(sample.paths(), (img0, img1, *(p for _, p in truths)), strict=True):
        if picture.shape != img0.shape:
            raise InputError(f"{path}: its size is not that of {sample.img0}")
    return sample, img0, img1, truths


def _read(path: Path, dataset: Dataset) -> Tensor:
    picture = pictures.read(path).rgb
    if dataset.crop is None:
        return picture
    _, height, width = picture.shape
    rows, columns = min(dataset.crop, height), min(dataset.crop, width)
    top, left = height // 2 - rows // 2, width // 2 - columns // 2
    return picture[:, top : top + rows, left : left + columns]


def _measure(
    interpolator: Interpolator,
    dataset: Dataset,
    sample: Sample,
    img0: Tensor,
    img1: Tensor,
    truths: list[tuple[Fraction, Tensor]],
) -> list[Result]:
    results = []
    for t, truth in truths:
        made = _interpolate(interpolator, dataset, img0, img1, t, key=sample.name)
        truth = truth.to(made.device)
        values = tuple(METRICS[name](made, truth) for name in dataset.metrics)
        results.append(Result(sample.name, t, values))
    return results


def _interpolate(
    interpolator: Interpolator,
    dataset: Dataset,
    img0: Tensor,
    img1: Tensor,
    t: Fraction,
    key: str | None = None,
) -> Tensor:
    if dataset.padding is None:
        return interpolator(img0, img1, t, key=key)
    apply = dataset.padding.apply
    padded = interpolator(apply(img0), apply(img1), t, key=key)
    return dataset.padding.remove(padded, *img0.shape[1:])
