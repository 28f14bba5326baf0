"""The data of ``vsifrnet train``: what the network learns from, and what it is validated on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vsifrnet.errors import DataError

if TYPE_CHECKING:
    from vsifrnet.training.data.lettering import Fonts
    from vsifrnet.training.data.sample import DataSet

__all__ = ["share", "training_data", "validation"]


def training_data(arguments: argparse.Namespace) -> DataSet:
    """Return the mixture of the data that were asked for."""
    from vsifrnet.training.data.assets import Assets
    from vsifrnet.training.data.datasets import Sequences, Triplets
    from vsifrnet.training.data.sample import Mixture
    from vsifrnet.training.data.synthetic import LayeredMotion
    from vsifrnet.training.data.videos import Choice, extract_once

    size, seed = arguments.crop, arguments.seed
    parts: dict[str, DataSet] = {}
    if arguments.fonts and not arguments.assets:
        raise DataError("--fonts is of synthetic motion: give --assets as well")
    if arguments.assets:
        parts["assets"] = LayeredMotion(
            Assets(arguments.assets), size=size, seed=seed, fonts=_fonts(arguments)
        )
    if arguments.triplets:
        parts["triplets"] = Triplets(arguments.triplets, size=size, seed=seed)
    if arguments.sequences:
        parts["sequences"] = Sequences(arguments.sequences, size=size, seed=seed)
    if arguments.videos:
        folder = arguments.out / "triplets"
        choice = Choice(stride=arguments.stride)
        extract_once(arguments.videos, folder, choice, quiet=arguments.quiet)
        parts["videos"] = Triplets(folder, size=size, seed=seed)
    shares = dict(arguments.share)
    if unknown := shares.keys() - parts.keys():
        raise DataError(f"--share names {', '.join(sorted(unknown))}, of which no data is given")
    if not parts:
        raise DataError("nothing to train on: give --assets, --triplets, --sequences or --videos")
    if not sum(shares.get(name, 1.0) for name in parts):
        raise DataError("--share: all data that are given have the share 0")
    return Mixture([(part, shares.get(name, 1.0)) for name, part in parts.items()], seed=seed)


def validation(arguments: argparse.Namespace) -> Any:
    """Return what validates: held-out synthetic motion, Vimeo90K's test list if given, videos."""
    from vsifrnet.training.data.assets import Assets
    from vsifrnet.training.data.datasets import LISTS, Triplets
    from vsifrnet.training.loop.validation import ClipTriplets, synthetic_sets, validate

    if not arguments.validate_every:
        return None
    sets: dict[str, DataSet] = {}
    if arguments.assets:
        sets |= synthetic_sets(Assets(arguments.assets, "held-out"), _fonts(arguments))
    if arguments.triplets and (arguments.triplets / LISTS["test"]).is_file():
        sets["triplets"] = Triplets(arguments.triplets, "test", size=None)
    sets |= {path.name: ClipTriplets(path) for path in arguments.validate}
    return (lambda network: validate(network, sets)) if sets else None


def _fonts(arguments: argparse.Namespace) -> Fonts | None:
    from vsifrnet.training.data.lettering import Fonts

    return Fonts(arguments.fonts) if arguments.fonts else None


def share(text: str) -> tuple[str, float]:
    """Read ``DATA=SHARE``."""
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if value < 0 or name not in {"assets", "triplets", "sequences", "videos"}:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected assets, triplets, sequences or videos, '=' and a number >= 0"
        )
    return name, value
