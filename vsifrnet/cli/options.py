"""Options that commands share. Those of the filter have its names, defaults and words."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsifrnet.arguments import ARGUMENTS, DUP_MODES, SC_MODES
from vsifrnet.engine import backend
from vsifrnet.engine.interpolator import SCALES, Interpolator, prepare
from vsifrnet.filter import ifrnet
from vsifrnet.weights import load as weights

if TYPE_CHECKING:
    import vapoursynth as vs

__all__ = [
    "ENGINE",
    "FILTER",
    "add_arguments",
    "add_command",
    "add_overwrite",
    "apply_filter",
    "check_least",
    "fraction",
    "interpolator",
    "rate",
]

ENGINE = ("model", "scale", "ensemble", "device", "precision", "auto_download")
"""The filter's arguments that matter to two pictures."""

FILTER = (
    *ENGINE,
    *("num_streams", "sc", "sc_threshold", "sc_mode", "dup_mode", "dup_max", "dup_threshold"),
)
"""And to many in order."""

Subparsers = argparse._SubParsersAction


def fraction(text: str) -> Fraction:
    """A number above 0 as "2", "2.5" or "5/2"."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number such as 2, 2.5 or 5/2"
        ) from None
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value


def rate(text: str) -> Fraction:
    """A frame rate as "60", "60000/1001" or "59.94", which is 60000/1001 exactly."""
    value = fraction(text)
    ntsc = Fraction(round(value * 1001 / 1000) * 1000, 1001)
    # "23.976", "23.98", "59.94" are how people write rates that these are rounded from.
    places = len(text.strip().partition(".")[2])
    return ntsc if places >= 2 and round(ntsc, places) == value else value


def _device(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _matrix(text: str) -> str | int:
    # "709" is a name, too; of numbers only the one-digit ones and 10 and up to 14 are not.
    return int(text) if text.isdecimal() and len(text) < 3 else text


READERS: dict[str, dict[str, Any]] = {
    "multi": {"type": fraction, "metavar": "M"},
    "model": {"metavar": "NAME|FILE"},
    "scale": {"type": float, "choices": SCALES},
    "sc_threshold": {"type": float, "metavar": "X"},
    "sc_mode": {"choices": SC_MODES},
    "dup_mode": {"choices": DUP_MODES},
    "dup_max": {"type": int, "metavar": "N"},
    "dup_threshold": {"type": float, "metavar": "X"},
    "matrix": {"type": _matrix, "metavar": "NAME"},
    "device": {"type": _device, "metavar": "DEVICE"},
    "precision": {"choices": ("auto", *backend.PRECISIONS)},
    "num_streams": {"type": int, "metavar": "N"},
}
"""How argparse reads the filter's arguments; the others are flags."""


def add_command(
    subparsers: Subparsers[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    help: str,
    example: str,
    description: str = "",
) -> argparse.ArgumentParser:
    """A command's parser, with ``--quiet`` and an example at the end of its help."""
    parser = subparsers.add_parser(
        name,
        help=help,
        description=description or help[0].upper() + help[1:] + ".",
        epilog="example:\n  " + "\n  ".join(example.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no messages")
    parser.set_defaults(run=run)
    return parser


def add_arguments(parser: argparse.ArgumentParser, *names: str, **defaults: object) -> None:
    """Arguments of the filter as options; ``defaults`` that differ from the filter's."""
    group = parser.add_argument_group("interpolation, as in the filter")
    signature = inspect.signature(ifrnet)
    for name in names:
        default = defaults.get(name, signature.parameters[name].default)
        help, option = ARGUMENTS[name].text, "--" + name.replace("_", "-")
        if name not in READERS:
            action = argparse.BooleanOptionalAction if default else "store_true"
            group.add_argument(option, action=action, default=default, help=help)
            continue
        if default is not None:
            help += f" [{default}]"
        group.add_argument(option, default=default, help=help, **READERS[name])


def check_least(arguments: argparse.Namespace, least: int, *names: str) -> None:
    """Refuse a number below ``least``, or one that is not finite; an option left out is fine."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and not least <= value < float("inf"):
            option = name.replace("_", "-")
            raise ValueError(f"--{option} {value}: accepted is a number from {least}")


def add_overwrite(parser: argparse._ActionsContainer) -> None:
    """``--overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")


def interpolator(arguments: argparse.Namespace) -> tuple[Interpolator, weights.Weights]:
    """What the options :data:`ENGINE` ask for."""
    loaded = weights.load(arguments.model, auto_download=arguments.auto_download)
    engine = backend.resolve(arguments.device, arguments.precision)
    made = Interpolator(
        prepare(loaded, engine),
        t_blind=loaded.t_blind,
        scale=arguments.scale,
        ensemble=arguments.ensemble,
    )
    return made, loaded


def apply_filter(clip: vs.VideoNode, arguments: argparse.Namespace, **others: Any) -> vs.VideoNode:
    """``ifrnet(clip)`` with the options that were given, and with ``others``.

    Raises:
        vs.Error: the filter's own.
    """
    given = vars(arguments)
    names = [name for name in inspect.signature(ifrnet).parameters if name in given]
    return ifrnet(clip, **{name: given[name] for name in names} | others)
