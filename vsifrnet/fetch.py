"""Downloads of known models into the cache; nothing in here reads weights.

The cache holds the files as published, one folder a model. They are verified over their whole
content when they arrive and again whenever they are looked up (SHA-1 of the largest takes about a
tenth of a second), so there is no marker to go stale and no converted copy to trust.

A download goes to ``<name>.<start of its digest>.part`` beside its place and is renamed once it
is verified. A ``.part`` is never loaded; the next download continues it. What it is continued
with need not be the same upload (no If-Range): content that does not have the digest is deleted.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import filelock
import platformdirs
from tqdm import tqdm

from vsifrnet import registry
from vsifrnet._version import __version__
from vsifrnet.registry import File, Model, Source

__all__ = [
    "CACHE_VARIABLE",
    "MAX_BYTES",
    "FetchError",
    "cache_folder",
    "cached",
    "damaged",
    "digest",
    "fetch",
    "identify",
    "not_weights",
    "store",
    "verified",
]

CACHE_VARIABLE = "VSIFRNET_CACHE"
"""Environment variable that names the cache folder; it is read, never set."""

MAX_BYTES = 256 << 20
"""No IFRNet file is larger: L in float64 is 158 MB."""

_TRIES = 5
_BLOCK = 1 << 16

logger = logging.getLogger(__name__)


class FetchError(OSError):
    """A model that could not be had; the message says what was tried and what each try met."""


class _AddressError(Exception):
    """This address failed; the next one may do."""


class _BrokenError(Exception):
    """The transfer broke off; the same address may give the rest."""


def cache_folder() -> Path:
    """The platform's cache folder for vsifrnet, or what ``VSIFRNET_CACHE`` says."""
    override = os.environ.get(CACHE_VARIABLE)
    return Path(override).expanduser() if override else platformdirs.user_cache_path("vsifrnet")


def digest(path: Path, kind: str) -> str:
    """The digest of a file; ``kind`` is ``sha256`` or ``git`` (see :mod:`vsifrnet.registry`)."""
    with path.open("rb") as stream:
        if kind == "sha256":
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
        sha1 = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while block := stream.read(_BLOCK):
            sha1.update(block)
    return "git:" + sha1.hexdigest()


def identify(path: Path) -> tuple[Model, Source, File] | None:
    """The known file that ``path`` is, byte for byte, whatever its name; or None.

    A file that several models share (an ncnn graph) tells none of them and is not looked for.
    """
    found = {kind: digest(path, kind) for kind in ("sha256", "git")}
    for model in registry.MODELS:
        for source in model.sources:
            for file in source.files:
                if file.digest in found.values() and not file.name.endswith(".param"):
                    return model, source, file
    return None


def not_weights(head: bytes) -> str | None:
    """What the first bytes of a file say it is, if that is a well-known mistake."""
    start = head.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "an HTML page, not weights: it was saved from a web page instead of its raw address"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not weights: run `git lfs pull` where it was cloned"
    return None


def _folder(model: Model) -> Path:
    return cache_folder() / model.name


def verified(path: Path, file: File) -> bool:
    """Whether ``path`` exists and has the content of ``file``."""
    return path.is_file() and digest(path, file.digest.partition(":")[0]) == file.digest


def cached(model: Model) -> Path | None:
    """The file to load, if all files of one of the model's sources are cached and intact."""
    folder = _folder(model)
    for source in model.sources:
        if all(verified(folder / file.name, file) for file in source.files):
            return folder / source.files[0].name
    return None


def damaged(model: Model) -> list[Path]:
    """Files of the model in the cache that are not what was published."""
    folder = _folder(model)
    return [
        folder / file.name
        for source in model.sources
        for file in source.files
        if (folder / file.name).exists() and not verified(folder / file.name, file)
    ]


def fetch(model: Model, *, timeout: float = 30.0) -> Path:
    """Make sure that the model is in the cache; returns the file to load.

    Sources and their addresses are tried in order. Safe with several processes at once: one
    downloads, the others wait. ``timeout`` is in seconds, for connecting and for each read.

    Raises:
        FetchError: no source could be had whole and verified, or the cache cannot be written.
    """
    folder = _folder(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            return cached(model) or _fetch(model, folder, timeout)
    except FetchError:
        raise
    except OSError as error:
        raise FetchError(
            f"cannot write model {model.name} to {folder}: {error.strerror or error}; the "
            f"environment variable {CACHE_VARIABLE} can name another folder"
        ) from error


def store(model: Model, source: Source, paths: Mapping[str, Path]) -> Path:
    """Copy a source's files, by their names, into the cache; returns the file to load.

    Raises:
        FetchError: a file is not there or not what was published, or the cache cannot be written.
    """
    target = _folder(model)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _locked(target):
            for file in source.files:
                part = _part(target, file)
                shutil.copyfile(paths[file.name], part)
                if not verified(part, file):
                    part.unlink()
                    raise FetchError(f"{paths[file.name]}: is not {file.name} of {model.name}")
                os.replace(part, target / file.name)
    except FetchError:
        raise
    except OSError as error:
        raise FetchError(f"cannot copy into {target}: {error.strerror or error}") from error
    return target / source.files[0].name


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # The system drops the lock of a process that dies.
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("another process is fetching into %s: waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(model: Model, folder: Path, timeout: float) -> Path:
    met: list[str] = []
    for source in model.sources:
        if met:
            logger.warning("next source of %s: %s", model.name, source.origin)
        try:
            for file in source.files:
                if not verified(folder / file.name, file):
                    _download(file, folder, timeout, met)
        except _AddressError:
            continue
        return folder / source.files[0].name
    raise FetchError(f"cannot fetch model {model.name}:\n  " + "\n  ".join(met))


def _download(file: File, folder: Path, timeout: float, met: list[str]) -> None:
    """Fetch one file from the first address that has it; what went wrong is added to ``met``."""
    part = _part(folder, file)
    if verified(part, file):  # a process that died just before the last step left it
        os.replace(part, folder / file.name)
        return
    for address in file.addresses:
        try:
            _transfer(address, part, file, timeout)
        except _AddressError as error:
            met.append(f"{address}: {error}")
            logger.warning("%s", met[-1])
        except OSError:
            # The local end, a full disk for one: what came so far is no use there.
            part.unlink(missing_ok=True)
            raise
        else:
            os.replace(part, folder / file.name)
            return
    raise _AddressError


def _part(folder: Path, file: File) -> Path:
    return folder / f"{file.name}.{file.digest.partition(':')[2][:12]}.part"


def _transfer(address: str, part: Path, file: File, timeout: float) -> None:
    """Fill ``part`` from ``address`` until it is verified.

    Raises:
        _AddressError: the address does not have the file; a part of other content is deleted.
        OSError: ``part`` cannot be written.
    """
    for _ in range(_TRIES):
        start = _size(part)
        try:
            _receive(address, part, start, file, timeout)
        except _BrokenError as error:
            if _size(part) <= start:
                raise _AddressError(str(error)) from error
            reason = str(error)
            continue  # with what is left
        if verified(part, file):
            return
        with part.open("rb") as stream:
            mistake = not_weights(stream.read(512))
        part.unlink()
        if not start:
            what = mistake or f"its digest is not {file.digest}"
            raise _AddressError(f"wrong content: {what}; deleted")
        # The part that was continued may have been the wrong half: once more from the start.
        reason = "wrong content"
    raise _AddressError(f"gave up after {_TRIES} tries: {reason}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(address: str, part: Path, start: int, file: File, timeout: float) -> None:
    """One request: append what comes to ``part``, or write it anew where the server starts anew."""
    headers = {"User-Agent": f"vsifrnet/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(address, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # there is no more: the part is whole, or not what it should be
        raise _AddressError(f"HTTP status {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _AddressError(f"cannot be reached: {_reason(error)}") from error

    with response:
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
            if response.status == HTTPStatus.PARTIAL_CONTENT:
                part.unlink()
                raise _BrokenError("another range came than was asked for")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        if total is not None and (total > MAX_BYTES or file.size not in (None, total)):
            raise _AddressError(f"wrong content: {total} bytes, expected {file.size or 'less'}")
        with (
            part.open("ab" if start else "wb") as out,
            tqdm(
                desc=file.name,
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                mininterval=0.5,
            ) as bar,
        ):
            got = start
            while block := _read(response):
                got += len(block)
                if got > MAX_BYTES:
                    part.unlink()
                    raise _AddressError(f"wrong content: more than {MAX_BYTES} bytes")
                out.write(block)
                bar.update(len(block))
        if total is not None and got < total:
            raise _BrokenError(f"truncated: {got} of {total} bytes came")


def _read(response: http.client.HTTPResponse) -> bytes:
    # Errors of the network must not be taken for those of the disk, which are OSError as well.
    try:
        return response.read1(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(f"broke off: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    return "timed out" if isinstance(reason, TimeoutError) else str(reason) or type(error).__name__
