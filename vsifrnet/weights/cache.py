"""The cache of models: it stores, verifies and identifies their files.

The cache holds the files as published, in one folder per model. Their whole content is verified
when they arrive and again whenever they are looked up (SHA-1 of the largest takes about a tenth of
a second), so no marker can go stale and no converted copy has to be trusted.

A file is written as ``<name>.<start of its digest>.part`` in the same folder and is renamed once it
is verified. A ``.part`` file is never loaded.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import filelock
import platformdirs

from vsifrnet.errors import CacheError
from vsifrnet.weights import registry
from vsifrnet.weights.registry import File, Model, Source

__all__ = [
    "MAX_BYTES",
    "VARIABLE",
    "accept",
    "damaged",
    "digest",
    "find",
    "folder",
    "identify",
    "not_weights",
    "part_of",
    "store",
    "tidy",
    "verified",
    "writing",
]

VARIABLE = "VSIFRNET_CACHE"
"""Environment variable that names the cache folder; it is only read, never set."""

MAX_BYTES = 256 << 20
"""Largest file that is accepted; the largest IFRNet, L in float64, is 158 MB."""

logger = logging.getLogger(__name__)


def folder() -> Path:
    """Return the cache folder: ``VSIFRNET_CACHE`` if it is set, otherwise the platform's own."""
    override = os.environ.get(VARIABLE)
    return Path(override).expanduser() if override else platformdirs.user_cache_path("vsifrnet")


def digest(path: Path, kind: str) -> str:
    """Return a file's digest of ``kind`` "sha256" or "git", as the registry writes it."""
    with path.open("rb") as stream:
        if kind == "sha256":
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
        sha1 = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while block := stream.read(1 << 16):
            sha1.update(block)
    return "git:" + sha1.hexdigest()


def verified(path: Path, file: File) -> bool:
    """Return whether ``path`` exists and has the content of ``file``."""
    return path.is_file() and digest(path, file.digest.partition(":")[0]) == file.digest


def identify(path: Path) -> Model | None:
    """Return the known model whose content ``path`` has, whatever the file is called, or None."""
    # An ncnn model is identified by its weights; models of one size share the same graph.
    path = path.with_suffix(".bin") if path.suffix.lower() == ".param" else path
    found = {digest(path, kind) for kind in ("sha256", "git")}
    for model in registry.MODELS:
        for source in model.sources:
            for file in source.files:
                if file.digest in found and not file.name.endswith(".param"):
                    return model
    return None


def not_weights(head: bytes) -> str | None:
    """Return a description of a file whose first bytes show a common mistake, or None."""
    start = head.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "an HTML page, not weights: it was saved from a web page instead of its raw address"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not weights: run `git lfs pull` where it was cloned"
    return None


def find(model: Model) -> Path | None:
    """Return the file to load if all files of one source of the model are cached and intact."""
    place = folder() / model.name
    for source in model.sources:
        if all(verified(place / file.name, file) for file in source.files):
            return place / source.files[0].name
    return None


def damaged(model: Model) -> list[Path]:
    """Return the model's cached files that differ from the published ones."""
    place = folder() / model.name
    return [
        place / file.name
        for source in model.sources
        for file in source.files
        if (place / file.name).exists() and not verified(place / file.name, file)
    ]


@contextmanager
def writing(model: Model) -> Iterator[Path]:
    """Lock the model's folder in the cache for this process and return it; others wait.

    Raises:
        CacheError: writing to the folder failed, here or in the body of the ``with``.
    """
    place = folder() / model.name
    try:
        place.mkdir(parents=True, exist_ok=True)
        # The operating system releases the lock of a process that dies.
        lock = filelock.FileLock(place / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            logger.info("another process is writing to %s: waiting for it", place)
            lock.acquire()
        try:
            yield place
        finally:
            lock.release()
    except CacheError:
        raise
    except OSError as error:
        raise CacheError(
            f"cannot write model {model.name} to {place}: {error.strerror or error}; the "
            f"environment variable {VARIABLE} can name another folder"
        ) from error


def tidy(place: Path) -> None:
    """Delete a folder of the cache in which no file is left but the lock."""
    if place.is_dir() and all(path.name == ".lock" for path in place.iterdir()):
        (place / ".lock").unlink(missing_ok=True)
        place.rmdir()


def part_of(place: Path, file: File) -> Path:
    """Return the temporary name of ``file`` in the model's folder ``place``."""
    return place / f"{file.name}.{file.digest.partition(':')[2][:12]}.part"


def accept(place: Path, file: File) -> bool:
    """Rename a complete file to its final name if it is verified; return whether it was."""
    part = part_of(place, file)
    if not verified(part, file):
        return False
    os.replace(part, place / file.name)
    return True


def store(model: Model, source: Source, paths: Mapping[str, Path]) -> Path:
    """Copy the files of a source into the cache and return the file to load.

    Args:
        model: the model that the files are.
        source: the source whose files they are.
        paths: where each file is now, by its name in the source.

    Raises:
        CacheError: a file is not what was published, or the cache cannot be written.
    """
    with writing(model) as place:
        for file in source.files:
            shutil.copyfile(paths[file.name], part_of(place, file))
            if not accept(place, file):
                part_of(place, file).unlink()
                raise CacheError(f"{paths[file.name]}: is not {file.name} of {model.name}")
        return place / source.files[0].name
