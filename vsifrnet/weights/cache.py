"""The cache of models: where the files lie, whether they are intact, and which known one a file is.

The cache holds the files as published, one folder a model. They are verified over their whole
content when they arrive and again whenever they are looked up (SHA-1 of the largest takes about a
tenth of a second), so there is no marker to go stale and no converted copy to trust.

A file arrives as ``<name>.<start of its digest>.part`` beside its place and is renamed once it is
verified. A ``.part`` is never loaded.
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
    "verified",
    "writing",
]

VARIABLE = "VSIFRNET_CACHE"
"""Environment variable that names the cache folder; it is read, never set."""

MAX_BYTES = 256 << 20
"""No IFRNet file is larger: L in float64 is 158 MB."""

logger = logging.getLogger(__name__)


def folder() -> Path:
    """The platform's cache folder for vsifrnet, or what ``VSIFRNET_CACHE`` says."""
    override = os.environ.get(VARIABLE)
    return Path(override).expanduser() if override else platformdirs.user_cache_path("vsifrnet")


def digest(path: Path, kind: str) -> str:
    """Return a file's digest; ``kind`` is "sha256" or "git" (:mod:`vsifrnet.weights.registry`)."""
    with path.open("rb") as stream:
        if kind == "sha256":
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
        sha1 = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while block := stream.read(1 << 16):
            sha1.update(block)
    return "git:" + sha1.hexdigest()


def verified(path: Path, file: File) -> bool:
    """Whether ``path`` exists and has the content of ``file``."""
    return path.is_file() and digest(path, file.digest.partition(":")[0]) == file.digest


def identify(path: Path) -> Model | None:
    """The known model that a file is, byte for byte and whatever it is called."""
    # An ncnn model is known by its weights; its graph is that of every model of its size.
    path = path.with_suffix(".bin") if path.suffix.lower() == ".param" else path
    found = {digest(path, kind) for kind in ("sha256", "git")}
    for model in registry.MODELS:
        for source in model.sources:
            for file in source.files:
                if file.digest in found and not file.name.endswith(".param"):
                    return model
    return None


def not_weights(head: bytes) -> str | None:
    """What the first bytes of a file say it is, if that is a well-known mistake."""
    start = head.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "an HTML page, not weights: it was saved from a web page instead of its raw address"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not weights: run `git lfs pull` where it was cloned"
    return None


def find(model: Model) -> Path | None:
    """The file to load, if all files of one of the model's sources are cached and intact."""
    place = folder() / model.name
    for source in model.sources:
        if all(verified(place / file.name, file) for file in source.files):
            return place / source.files[0].name
    return None


def damaged(model: Model) -> list[Path]:
    """Files of the model in the cache that are not what was published."""
    place = folder() / model.name
    return [
        place / file.name
        for source in model.sources
        for file in source.files
        if (place / file.name).exists() and not verified(place / file.name, file)
    ]


@contextmanager
def writing(model: Model) -> Iterator[Path]:
    """The model's folder in the cache, for this process alone; others wait.

    Raises:
        CacheError: the folder, or whatever is done to it inside, cannot be written.
    """
    place = folder() / model.name
    try:
        place.mkdir(parents=True, exist_ok=True)
        # The system drops the lock of a process that dies.
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


def part_of(place: Path, file: File) -> Path:
    """Where ``file`` arrives in the model's folder ``place``."""
    return place / f"{file.name}.{file.digest.partition(':')[2][:12]}.part"


def accept(place: Path, file: File) -> bool:
    """Give a file that has arrived its name, if it is verified."""
    part = part_of(place, file)
    if not verified(part, file):
        return False
    os.replace(part, place / file.name)
    return True


def store(model: Model, source: Source, paths: Mapping[str, Path]) -> Path:
    """Copy a source's files, by their names, into the cache; returns the file to load.

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
