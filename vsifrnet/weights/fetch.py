"""Downloads of known models into the cache.

An interrupted download is continued by the next one, with a Range request. The server may have
another upload by then (no If-Range is sent), so content with the wrong digest is deleted.
"""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from tqdm import tqdm

from vsifrnet._version import __version__
from vsifrnet.errors import FetchError
from vsifrnet.weights import cache
from vsifrnet.weights.registry import File, Model

__all__ = ["fetch"]

_TRIES = 5
_BLOCK = 1 << 16

logger = logging.getLogger(__name__)


class _AddressError(Exception):
    """This address failed; the next one may work."""


class _BrokenError(Exception):
    """The transfer was interrupted; the same address may deliver the rest."""


def fetch(model: Model, *, timeout: float = 30.0) -> Path:
    """Make sure that the model is in the cache and return the file to load.

    Sources and their addresses are tried in order. Several processes may call this at once: one
    downloads and the others wait. ``timeout`` is in seconds, for connecting and for each read.

    Raises:
        FetchError: no source delivered all its files intact.
        CacheError: the cache cannot be written.
    """
    with cache.writing(model) as place:
        return cache.find(model) or _fetch(model, place, timeout)


def _fetch(model: Model, place: Path, timeout: float) -> Path:
    failures: list[str] = []
    for source in model.sources:
        if failures:
            logger.warning("next source of %s: %s", model.name, source.origin)
        try:
            for file in source.files:
                if not cache.verified(place / file.name, file):
                    _download(file, place, timeout, failures)
        except _AddressError:
            continue
        return place / source.files[0].name
    raise FetchError(f"cannot fetch model {model.name}:\n  " + "\n  ".join(failures))


def _download(file: File, place: Path, timeout: float, failures: list[str]) -> None:
    """Fetch one file from the first address that has it; failures are appended."""
    if cache.accept(place, file):  # A process that died just before the renaming left it.
        return
    part = cache.part_of(place, file)
    for address in file.addresses:
        try:
            _transfer(address, part, file, timeout)
        except _AddressError as error:
            failures.append(f"{address}: {error}")
            logger.warning("%s", failures[-1])
        except OSError:
            # Writing failed, for example on a full disk: the part is of no use there.
            part.unlink(missing_ok=True)
            raise
        else:
            cache.accept(place, file)
            return
    raise _AddressError


def _transfer(address: str, part: Path, file: File, timeout: float) -> None:
    """Download to ``part`` from ``address`` until it is verified.

    Raises:
        _AddressError: the address does not have the file; a part with other content is deleted.
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
            continue  # The next try requests what is missing.
        if cache.verified(part, file):
            return
        with part.open("rb") as stream:
            mistake = cache.not_weights(stream.read(512))
        part.unlink()
        if not start:
            what = mistake or f"its digest is not {file.digest}"
            raise _AddressError(f"wrong content: {what}; deleted")
        # The part that was continued may have been wrong: download again from the start.
        reason = "wrong content"
    raise _AddressError(f"gave up after {_TRIES} tries: {reason}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(address: str, part: Path, start: int, file: File, timeout: float) -> None:
    """Send one request and append to ``part``; rewrite it if the server starts from 0."""
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
            return  # There is no more: the part is complete, or it is another file.
        raise _AddressError(f"HTTP status {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _AddressError(f"cannot be reached: {_reason(error)}") from error

    with response:
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
            if response.status == HTTPStatus.PARTIAL_CONTENT:
                part.unlink()
                raise _BrokenError("the server sent another range than was requested")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        if total is not None and (total > cache.MAX_BYTES or file.size not in (None, total)):
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
                if got > cache.MAX_BYTES:
                    part.unlink()
                    raise _AddressError(f"wrong content: more than {cache.MAX_BYTES} bytes")
                out.write(block)
                bar.update(len(block))
        if total is not None and got < total:
            raise _BrokenError(f"truncated: {got} of {total} bytes were received")


def _read(response: http.client.HTTPResponse) -> bytes:
    # Network errors must not be mistaken for disk errors, which are OSErrors too.
    try:
        return response.read1(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(f"interrupted: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    return "timed out" if isinstance(reason, TimeoutError) else str(reason) or type(error).__name__
