"""Files that are there in full or not at all, and folders of results that are taken up again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vsifrnet.errors import InputError

__all__ = ["check_new", "claim_folder", "replacing"]

SETTINGS = ".vsifrnet.json"
"""Name of the file in a folder of results that says how they were made."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``, of the same suffix; renamed to ``path`` at the end.

    After an error, or Ctrl-C, neither is left, and a file that was at ``path`` before stays.
    """
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_new(path: Path, *, overwrite: bool) -> None:
    """Refuse a path that is taken, unless it may be overwritten, or whose folder is missing."""
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"{path} is a folder")
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already (--overwrite replaces it)")


def claim_folder(folder: Path, settings: Mapping[str, object], *, overwrite: bool) -> bool:
    """Make ``folder``, or take it up again where results in it were made with ``settings``.

    Args:
        folder: where results go; is created.
        settings: all that the results depend on; what JSON can hold.
        overwrite: results made with other settings may be replaced.

    Returns:
        Whether results in the folder were made with the same settings, and can stay.

    Raises:
        InputError: they were made with other settings; the message names the first difference.
    """
    note = folder / SETTINGS
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(settings))
    if note.exists() and not overwrite:
        found = json.loads(note.read_text(encoding="utf-8"))
        if found == wanted:
            return True
        name = next(k for k in {**found, **wanted} if found.get(k) != wanted.get(k))
        raise InputError(
            f"{folder} has results made with {name}={found.get(name)!r}, not {wanted.get(name)!r}: "
            "choose another folder, or --overwrite"
        )
    with replacing(note) as partial:
        partial.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
    return False
