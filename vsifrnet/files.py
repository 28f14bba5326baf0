"""Files that are complete or absent, and checks of where output may be written."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import filelock

from vsifrnet.errors import InputError

__all__ = [
    "check_new",
    "claim_folder",
    "encodable",
    "exclusive",
    "location",
    "refuse_other_settings",
    "replacing",
    "same_file",
]

SETTINGS = ".vsifrnet.json"
"""Name of the file in a folder of results that records how they were made."""


def encodable(path: Path) -> Path:
    """Return a path in a form that this Python can hand to the system.

    In a C locale, as in containers, the Python inside vspipe knows ASCII names only; it takes the
    bytes of others as surrogates, which it does not understand but passes on.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return Path(os.fsdecode(str(path).encode()))
    return path


def location(path: Path) -> str:
    """Return a path in the form that FFmpeg reads as the name of a file, whatever is in it.

    It is absolute, so that FFmpeg takes no part of ``Re:Zero 01.mkv`` for a protocol, and no name
    for an option. Bytes that are not text stay as they are, as surrogates.
    """
    return str(path.absolute())


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside ``path``, of the same suffix; rename it to ``path`` at the end.

    The temporary name is this call's own, so two runs never write to one file. After an error, or
    Ctrl-C, it is gone, and a file that was at ``path`` before stays. A symbolic link stays a link:
    the file that it leads to is the one that is replaced.

    Args:
        path: the file to be made.
        overwrite: replace a file that is at ``path`` when the new one is ready.

    Raises:
        InputError: without ``overwrite``, a file has appeared at ``path``; it is kept.
    """
    path = path.resolve()
    # The name does not contain the path's own, which may be as long as names can be.
    partial = path.with_name(f".vsifrnet-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield partial
        if overwrite:
            os.replace(partial, path)
        else:
            _rename_to_new(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _rename_to_new(partial: Path, path: Path) -> None:
    try:
        try:
            os.link(partial, path)
        except FileExistsError:
            raise
        except OSError:  # Some file systems, such as FAT, have no hard links.
            if path.exists():
                raise FileExistsError from None
            os.replace(partial, path)
    except FileExistsError:
        raise InputError(
            f"{path} was written by something else in the meantime, and is kept "
            "(--overwrite replaces it)"
        ) from None


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lock ``path``, a file or folder that is about to be written, for this run alone.

    Raises:
        InputError: another run holds it, or its folder cannot be written.
    """
    path = path.resolve()
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    place = path.with_name(f".vsifrnet-{name}.lock")
    # The system drops the lock of a process that dies.
    lock = filelock.FileLock(place)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InputError(f"{path}: another run of vsifrnet is writing it") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot write into {path.parent} ({error.strerror or error})"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not delete a file that is open.
            place.unlink(missing_ok=True)
        lock.release()


def same_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to the same file, through any links."""
    try:
        return one.samefile(other)
    except OSError:  # One of them does not exist.
        return one.resolve() == other.resolve()


def check_new(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output that must not be written; every command calls this before it starts.

    Args:
        path: the file to be made.
        overwrite: a file that is there may be replaced.
        inputs: files that are read; none of them is ever replaced.

    Raises:
        InputError: ``path`` is one of ``inputs``, is taken and ``overwrite`` is not given, is no
            regular file, or is in a folder that does not exist.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file")
    for source in inputs:
        if same_file(path, source):
            raise InputError(f"{path} is the input {source}, which is never replaced")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a device or pipe: give the name of a file")
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already (--overwrite replaces it)")


def claim_folder(
    folder: Path,
    settings: Mapping[str, object],
    *,
    overwrite: bool,
    results: Iterable[str] = (),
) -> bool:
    """Create ``folder``, or continue in it if its results were made with the same ``settings``.

    Args:
        folder: where results go; is created.
        settings: everything that the results depend on, as JSON can hold it.
        overwrite: results made with other settings, or by something else, may be replaced.
        results: names of the files that will be written there.

    Returns:
        Whether results in the folder were made with the same settings, and can stay.

    Raises:
        InputError: they were made with other settings, of which the message names the first that
            differs; or a file of one of these names is there that no such run has written.
    """
    note = folder / SETTINGS
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(settings))
    if not note.exists():
        for name in results:
            check_new(folder / name, overwrite=overwrite)
    elif not overwrite:
        found = json.loads(note.read_text(encoding="utf-8"))
        if found == wanted:
            return True
        refuse_other_settings(folder, found, wanted)
    with replacing(note) as partial:
        partial.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
    return False


def refuse_other_settings(
    folder: Path, found: Mapping[str, object], wanted: Mapping[str, object]
) -> NoReturn:
    """Raise an error that names the first setting that differs."""
    name = next(k for k in {**found, **wanted} if found.get(k) != wanted.get(k))
    raise InputError(
        f"{folder} has results made with {name}={found.get(name)!r}, not {wanted.get(name)!r}: "
        "choose another folder, or --overwrite"
    )
