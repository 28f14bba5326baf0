"""``vsifrnet models``: list, fetch, show and import models."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vsifrnet.cli import model_facts, options
from vsifrnet.errors import CacheError, InputError

if TYPE_CHECKING:
    from vsifrnet.weights.load import Weights
    from vsifrnet.weights.registry import Model

__all__ = ["add_parser"]

IMPORT = """\
Check a .pth, .safetensors or ncnn model and keep it in the cache under a name that model= takes.

A file that equals an official checkpoint, byte for byte, becomes that model, as if it had been
fetched. Any other file is converted to safetensors."""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare ``models`` and its subcommands."""
    parser = subparsers.add_parser(
        "models",
        help="list, fetch, show and import models",
        description="List, fetch, show and import models.",
    )
    commands = parser.add_subparsers(dest="models_command", required=True, metavar="COMMAND")

    options.add_command(
        commands,
        "list",
        _list,
        help="list the known and the imported models, and where they are",
        example="vsifrnet models list",
    )

    fetch = options.add_command(
        commands,
        "fetch",
        _fetch,
        help="download models, verify them and print their files",
        example="vsifrnet models fetch IFRNet_S_Vimeo90K",
    )
    fetch.add_argument("names", nargs="+", metavar="NAME")

    info = options.add_command(
        commands,
        "info",
        _info,
        help="show what is known about a model or a file",
        example="vsifrnet models info IFRNet_S_Vimeo90K\nvsifrnet models info GoPro.pth",
    )
    info.add_argument("model", metavar="FILE_OR_NAME")

    convert = options.add_command(
        commands,
        "import",
        _import,
        help="check a file and keep it in the cache under a name",
        description=IMPORT,
        example="vsifrnet models import my-model.pth --name mine",
    )
    convert.add_argument("file", type=Path, metavar="FILE")
    convert.add_argument("--name", help="the model's new name (default: the file's or folder's)")
    convert.add_argument(
        "--force", action="store_true", help="replace an imported model of the same name"
    )

    remove = options.add_command(
        commands,
        "remove",
        _remove,
        help="delete fetched or imported models from the cache; prints the files",
        example="vsifrnet models remove mine",
    )
    remove.add_argument("names", nargs="+", metavar="NAME")


def _list(_: argparse.Namespace) -> int:
    from vsifrnet.weights import registry
    from vsifrnet.weights.find import model_names

    rows = [("NAME", "VARIANT", "TIMES", "SAMPLING", "TRAINED ON", "WHERE")]
    for model in registry.MODELS:
        times = "any" if model.honours_t else "middle"
        # The formats of official files cannot say how they are sampled: all are bilinear.
        sampling = _sampling(model.name) if model.packaged else "bilinear"
        facts = (model.variant, times, sampling, model.training_set, _where(model))
        rows.append((model.name, *facts))
    known = len(registry.MODELS)
    for name in model_names()[known:]:
        sampling = _sampling(name)
        rows.append((name, "", "", sampling, "", "imported" if sampling else "damaged"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
    return 0


def _sampling(name: str) -> str:
    """Return how the weights of a model that is here are sampled, "" if its file is damaged."""
    from vsifrnet.weights.find import find_weights
    from vsifrnet.weights.metadata import read_sampling

    try:
        return read_sampling(find_weights(name)[0])
    except (ValueError, OSError):
        return ""


def _where(model: Model) -> str:
    from vsifrnet.weights import cache

    if model.packaged:
        return "in the package"
    if cache.find(model):
        return "in the cache"
    return "damaged in the cache" if cache.damaged(model) else "not fetched"


def _fetch(arguments: argparse.Namespace) -> int:
    from vsifrnet.weights import registry
    from vsifrnet.weights.load import load_weights

    for name in arguments.names:
        if registry.find(name) is None:
            known = ", ".join(model.name for model in registry.MODELS)
            raise InputError(f"{name!r}: must be one of {known}")
        # Loading checks what the digest cannot: that the network can be used.
        path = load_weights(name, auto_download=True).path
        sys.stdout.write(f"{path}\n")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    from vsifrnet.weights import cache, find

    found = [path for name in arguments.names for path in find.removable(name)]
    try:
        for path in found:
            path.unlink()
            sys.stdout.write(f"{path}\n")
    except OSError as error:
        raise CacheError(f"cannot delete {error.filename}: {error.strerror}") from error
    finally:
        for folder in {path.parent for path in found}:
            cache.tidy(folder)
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from vsifrnet.weights import cache, registry
    from vsifrnet.weights.load import load_weights

    known = registry.find(arguments.model)
    if known is not None and not known.packaged and cache.find(known) is None:
        facts = [("name", known.name), ("file", _where(known))]
        sys.stdout.write(model_facts.table(facts + model_facts.of_registry(known)))
        return 0
    loaded = load_weights(arguments.model)
    facts = [("name", loaded.name), *model_facts.of_file(loaded)]
    if loaded.info is not None:
        facts += model_facts.of_registry(loaded.info)
    sys.stdout.write(model_facts.table(facts))
    card = loaded.path.with_suffix(".md")
    if loaded.info is not None and loaded.info.packaged and card.is_file():
        sys.stdout.write("\n" + card.read_text(encoding="utf-8"))
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from vsifrnet.weights import cache
    from vsifrnet.weights.load import load_weights

    loaded = load_weights(arguments.file)
    if loaded.info is not None and arguments.name is None:
        if loaded.info.packaged:
            raise InputError(f"{loaded.path}: this is the package's own {loaded.info.name}")
        stored = _store_known(loaded, loaded.info)
        if stored is not None:
            sys.stderr.write(f"{loaded.path} is {loaded.info.name}, unchanged: kept as it is\n")
            sys.stdout.write(f"{stored}\n")
            return 0

    # The two files of an ncnn model are called the same in every model; their folder has the name.
    is_ncnn = loaded.path.stem.casefold() == "ifrnet"
    name = arguments.name or (loaded.path.resolve().parent.name if is_ncnn else loaded.path.stem)
    path = _free_path(name, arguments.force)
    try:
        loaded.save(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; the environment variable "
            f"{cache.VARIABLE} can name another folder"
        ) from error
    sys.stderr.write(f"imported as {name}, variant {loaded.config.name}\n")
    sys.stdout.write(f"{path}\n")
    return 0


def _store_known(loaded: Weights, model: Model) -> Path | None:
    """Copy an official file to the cache unchanged, if all files of the model are complete."""
    from vsifrnet.weights import cache

    for source in model.sources:
        suffixes = {Path(file.name).suffix for file in source.files}
        if loaded.path.suffix.lower() not in suffixes:
            continue
        paths = {
            file.name: loaded.path.with_suffix(Path(file.name).suffix) for file in source.files
        }
        if all(cache.verified(paths[file.name], file) for file in source.files):
            return cache.store(model, source, paths)
    return None


def _free_path(name: str, force: bool) -> Path:
    from vsifrnet.weights import registry
    from vsifrnet.weights.find import imports_folder, model_names

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(
            f"name {name!r}: must consist of letters, digits, '.', '_' and '-'; set it with --name"
        )
    if registry.find(name):
        raise InputError(
            f"name {name!r}: belongs to a known model, and this file differs from the published "
            "one; set another with --name"
        )
    path = imports_folder() / f"{name}.safetensors"
    taken = [other for other in model_names() if other.casefold() == name.casefold()]
    if taken and not force:
        raise InputError(f"name {name!r}: is imported already; replace it with --force")
    for other in taken:
        path = path.with_stem(other)
    return path
