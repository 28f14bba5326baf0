"""The picture of a run: loss and validation PSNR over the steps."""

from __future__ import annotations

import csv
from pathlib import Path

from vsifrnet.errors import DataError
from vsifrnet.files import replacing

__all__ = ["draw_curve", "read_log"]


def read_log(path: Path) -> dict[str, list[float]]:
    """The columns of a log by name; none where the file does not exist.

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
    """Draw ``log.csv`` and ``validation.csv`` of a run's folder into its ``curve.png``."""
    # The object interface: pyplot would choose and start a window system.
    from matplotlib.figure import Figure

    training, validation = (read_log(folder / f"{name}.csv") for name in ("log", "validation"))
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
    path = folder / "curve.png"
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)
    return path
