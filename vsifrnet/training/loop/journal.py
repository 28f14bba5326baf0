"""The logs of a run: CSV files that can be read during the run, and a plot of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from vsifrnet.errors import DataError
from vsifrnet.files import replacing

__all__ = ["Journal", "draw_curve", "read_log"]

LOG, VALIDATION, CURVE = "log.csv", "validation.csv", "curve.png"


class Journal:
    """Two CSV files in a run's folder: the log of training and that of validation."""

    def __init__(self, folder: Path, step: int) -> None:
        """Remove rows after ``step``, which a killed run may have written."""
        self._training = folder / LOG
        self._validation = folder / VALIDATION
        for path in (self._training, self._validation):
            _drop_after(path, step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row to the log of training."""
        _append(self._training, {"step": step, **values})

    def write_validation(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row to the log of validation."""
        _append(self._validation, {"step": step, **values})


def read_log(path: Path) -> dict[str, list[float]]:
    """Return the columns of a log by name; the result is empty if the file does not exist.

    Raises:
        DataError: the file is not a log.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(newline="") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} is not a training log: {error}") from error
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def draw_curve(folder: Path) -> Path:
    """Draw both logs of a run's folder into its ``curve.png``."""
    # The object interface is used because pyplot would choose and start a window system.
    from matplotlib.figure import Figure

    training, validation = (read_log(folder / name) for name in (LOG, VALIDATION))
    figure = Figure(figsize=(10, 7), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    for axes, columns, label in (
        (upper, training, "loss, weighted"),
        (lower, validation, "PSNR in dB, held-out"),
    ):
        for name, values in columns.items():
            if name not in {"step", "lr", "speed"}:
                axes.plot(columns["step"], values, label=name, linewidth=1)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if columns:
            axes.legend(ncols=3, fontsize="small")
    lower.set_xlabel("step")
    path = folder / CURVE
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)
    return path


def _append(path: Path, row: Mapping[str, float]) -> None:
    header = ""
    if path.exists():
        with path.open() as file:
            header = file.readline().rstrip("\n")
    if header not in ("", ",".join(row)):
        # The rows so far are of another loss or other sets; they are kept in another file.
        path.replace(path.with_name(f"{path.stem}-before-step-{row['step']}{path.suffix}"))
        header = ""
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if not header:
            writer.writeheader()
        writer.writerow({k: v if k == "step" else f"{v:.6g}" for k, v in row.items()})


def _drop_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    header, *rows = path.read_text().splitlines(keepends=True) or [""]
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= step]
    with replacing(path) as partial:
        partial.write_text("".join([header, *kept]))
