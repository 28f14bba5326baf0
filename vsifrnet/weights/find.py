"""Finding the file of a model: a name or a path in, the path of a file out.

A name is looked up in :mod:`vsifrnet.weights.registry` and among the imported models; a known
model is taken from the package or the cache, or is downloaded where that is allowed. This module
does not import torch, so that commands which only list or fetch models start at once.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from vsifrnet.errors import CacheError, WeightsError
from vsifrnet.files import encodable
from vsifrnet.weights import cache, fetch, registry

__all__ = [
    "DEFAULT_MODEL",
    "MODELS_FOLDER",
    "find_weights",
    "imports_folder",
    "model_names",
    "removable",
]

DEFAULT_MODEL = "ifrnet_s"
"""Name of the model that is used when none is asked for; it is part of the package."""

MODELS_FOLDER = Path(__file__).parents[1] / "models"
"""Folder of the weights that are part of the package."""


def find_weights(
    model: str | Path | None = None, *, auto_download: bool = False
) -> tuple[Path, registry.Model | None]:
    """Return the file to read for ``model``, and its registry entry if it is a known name.

    Args:
        model: as in :func:`vsifrnet.weights.load.load_weights`.
        auto_download: download a known model that is not in the cache.

    Raises:
        WeightsError: there is no such model or file, or it could not be downloaded.
    """
    if model is None:
        model = DEFAULT_MODEL
    if isinstance(model, str) and model:
        info = registry.find(model)
        if info is not None:
            return _find_known(info, auto_download), info
        imported = _find_imported(model)
        if imported is not None:
            return imported, None
    elif not isinstance(model, Path):
        raise WeightsError(f"model={model!r}: must be None, a name or a path")
    try:
        path = encodable(Path(model).expanduser())
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, RuntimeError) as error:  # The name is too long, or its ~user is unknown.
        raise WeightsError(f"model={str(model)[:80]!r}: {error.args[-1]}") from None
    if is_folder:
        if (path / "ifrnet.param").is_file():
            return path / "ifrnet.param", None
        raise WeightsError(f"{path}: is a folder without ifrnet.param and ifrnet.bin")
    if exists:
        return path, None
    if isinstance(model, Path) or path.suffix.lower() in registry.SUFFIXES or path.name != model:
        raise WeightsError(f"{path}: there is no such file")
    accepted = {name.casefold(): name for name in model_names()}
    close = difflib.get_close_matches(model.casefold(), accepted, n=1)
    raise WeightsError(
        f"model={model!r}: there is no such model or file"
        + "".join(f" (did you mean {accepted[name]}?)" for name in close)
        + f"; must be one of {', '.join(accepted.values())}, or the path of a file"
    )


def model_names() -> list[str]:
    """Return every name that :func:`find_weights` takes: known models, then imported ones."""
    imported = sorted(path.stem for path in imports_folder().glob("[!.]*.safetensors"))
    return [model.name for model in registry.MODELS] + imported


def imports_folder() -> Path:
    """Return the folder where ``vsifrnet models import`` puts models that are not known ones."""
    return cache.folder() / "imported"


def removable(name: str) -> list[Path]:
    """Return the files in the cache that belong to a fetched or imported model.

    Raises:
        WeightsError: there is no such model, or it is not in the cache.
    """
    info = registry.find(name)
    if info is None:
        imported = _find_imported(name)
        if imported is None:
            known = ", ".join(model_names())
            raise WeightsError(f"{name!r}: there is no such model; must be one of {known}")
        return [imported]
    if info.packaged:
        raise WeightsError(f"{name!r} is part of the package and cannot be removed")
    place = cache.folder() / info.name
    paths = [place / file.name for source in info.sources for file in source.files]
    paths += [cache.part_of(place, file) for source in info.sources for file in source.files]
    found = [path for path in dict.fromkeys(paths) if path.is_file()]
    if not found:
        raise WeightsError(f"{name!r} is not in the cache ({cache.folder()})")
    return found


def _find_known(info: registry.Model, auto_download: bool) -> Path:
    if info.packaged:
        path = MODELS_FOLDER / info.sources[0].files[0].name
        if not cache.verified(path, info.sources[0].files[0]):
            raise WeightsError(f"{path}: is missing or damaged; install vsifrnet again")
        return path
    found = cache.find(info)
    if found is not None:
        return found
    if auto_download:
        try:
            return fetch.fetch(info)
        except CacheError as error:
            raise WeightsError(str(error)) from error
    damaged = "".join(f" ({path} is damaged)" for path in cache.damaged(info))
    raise WeightsError(
        f"model={info.name!r}: is not on this machine{damaged}; "
        f"run `vsifrnet models fetch {info.name}`, or pass auto_download=True"
    )


def _find_imported(name: str) -> Path | None:
    for path in imports_folder().glob("[!.]*.safetensors"):
        if path.stem.casefold() == name.casefold():
            return path
    return None
