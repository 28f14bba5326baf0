"""A folder of made pictures that records the sources of each picture.

``.vsifrnet.jsonl`` in the folder has the settings in its first line, and one line for each picture:
its name, its source pictures, the key of all that it depends on, and its own size and time. A
picture that these lines do not describe was not made by this command, or was changed since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import Any

from vsifrnet.errors import InputError
from vsifrnet.files import check_new, refuse_other_settings, replacing, same_file

__all__ = ["Made", "Results", "made_of"]

RECORDS = ".vsifrnet.jsonl"
SURROUNDINGS = 16
"""Number of source pictures on each side of a pair that may influence the pictures between.

The detectors look less far: see ``detect.scenes.FLASH`` and ``detect.plan.DUP_MAX``.
"""

Stamp = tuple[int, int]
"""Size and modification time of a file."""


@dataclass(frozen=True)
class Made:
    """The sources of a made picture."""

    sources: tuple[str, ...]
    """File names of the source pictures before and after the made picture."""
    key: str
    """A text that changes with anything that the picture depends on."""


def _stamp(path: Path) -> Stamp:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def made_of(paths: Sequence[Path], positions: Sequence[tuple[int, Fraction]]) -> list[Made]:
    """Return the sources of each made picture.

    Args:
        paths: the source pictures in order. Each is known by its size and time of change.
        positions: of each made picture, the number of the source picture before it and the time
            from there to the next.
    """
    stamps = [_stamp(path) for path in paths]
    result = []
    for left, phase in positions:
        first, last = left - SURROUNDINGS, left + 1 + SURROUNDINGS
        around = [stamps[k] if 0 <= k < len(stamps) else None for k in range(first, last + 1)]
        pair = paths[left : left + (2 if phase else 1)]
        result.append(Made(tuple(path.name for path in pair), repr((around, phase))))
    return result


class Results:
    """The pictures in an output folder; a run makes the missing ones.

    Args:
        folder: is created.
        settings: all that every picture depends on beside its sources; what JSON can hold.
        wanted: the pictures that the folder is to have, by name.
        inputs: the source pictures, which are never replaced.
        overwrite: make all pictures anew, whatever is there.

    Raises:
        InputError: the folder has results of other settings or of other pictures, or a picture that
            this command has not written; the message names it. Nothing has been changed then.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object],
        wanted: Mapping[str, Made],
        *,
        inputs: Sequence[Path],
        overwrite: bool,
    ) -> None:
        self.folder = folder
        self._wanted = wanted
        self._lock = Lock()
        self._settings = json.loads(json.dumps(settings))
        found, records = self._read()
        ours = {name: r for name, r in records.items() if self._unchanged(name, r["stamp"])}
        if not overwrite and found is not None and ours:
            if found != self._settings:
                refuse_other_settings(folder, found, self._settings)
            sources = {name for made in wanted.values() for name in made.sources}
            if not any(sources & set(record["sources"]) for record in ours.values()):
                raise InputError(
                    f"{folder} has results made of other pictures ({_first(ours)} and others): "
                    "choose another folder, or --overwrite"
                )
        taken = {(path.stat().st_dev, path.stat().st_ino) for path in inputs}
        for name in wanted:
            path = folder / name
            if not path.exists():
                continue
            state = path.stat()
            if (state.st_dev, state.st_ino) in taken:
                source = next(source for source in inputs if same_file(path, source))
                raise InputError(f"{path} is the input {source}, which is never replaced")
            if name not in ours:
                if not overwrite:
                    raise InputError(
                        f"{path} was not made by this command, or was changed since: move it away, "
                        "or --overwrite replaces it"
                    )
                check_new(path, overwrite=overwrite)
        self.kept = {
            name
            for name, record in ours.items()
            if not overwrite and name in wanted and record["key"] == self._key(name)
        }
        """File names of the pictures that exist already."""
        self.stale = sorted(set(ours) - self.kept)
        """File names of earlier results that are made anew or no longer belong to the output."""
        self._ours = ours

    @property
    def missing(self) -> list[int]:
        """The numbers of the missing pictures."""
        return [n for n, name in enumerate(self._wanted) if name not in self.kept]

    def begin(self) -> None:
        """Remove the results that no longer belong to the folder, and rewrite the records."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in set(self._ours) - set(self._wanted):
            (self.folder / name).unlink(missing_ok=True)
        # Stale ones keep their records until they are replaced: they are still this command's.
        records = [record for name, record in self._ours.items() if name in self._wanted]
        with (
            replacing(self.folder / RECORDS) as partial,
            partial.open("w", encoding="utf-8") as file,
        ):
            for line in (self._settings, *records):
                file.write(json.dumps(line) + "\n")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a temporary name for a picture; at the end record it and rename it."""
        with replacing(self.folder / name) as partial:
            yield partial
            record = {
                "name": name,
                "sources": self._wanted[name].sources,
                "key": self._key(name),
                "stamp": _stamp(partial),
            }
            # A record without its picture does no harm; a picture without its record is foreign.
            with self._lock, (self.folder / RECORDS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def _read(self) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]]]:
        """Return the settings and the records of earlier runs, by file name."""
        path = self.folder / RECORDS
        if not path.is_file():
            return None, {}
        lines = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:  # The last line of a run that was killed.
                continue
        settings, *records = lines or [None]
        return settings, {record["name"]: record for record in records if _is_record(record)}

    def _key(self, name: str) -> str:
        """Return a short text that changes with anything that this picture depends on."""
        everything = repr((self._wanted[name].key, self._settings))
        return hashlib.sha256(everything.encode()).hexdigest()[:32]

    def _unchanged(self, name: str, stamp: Sequence[int]) -> bool:
        path = self.folder / name
        return path.is_file() and _stamp(path) == tuple(stamp)


def _is_record(record: object) -> bool:
    """Return whether a line is a valid record of a file inside the folder."""
    return (
        isinstance(record, dict)
        and {"name", "sources", "key", "stamp"} <= record.keys()
        and Path(record["name"]).name == record["name"]
    )


def _first(names: Mapping[str, object]) -> str:
    return sorted(names)[0]
