"""Options that commands share. Those of the filter have its names, defaults and words."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsifrnet.argument_table import ARGUMENTS, AUTO
from vsifrnet.errors import InputError

if TYPE_CHECKING:
    import vapoursynth as vs

    from vsifrnet.engine.interpolator import Interpolator
    from vsifrnet.weights.load import Weights

__all__ = [
    "ENGINE",
    "FILTER",
    "STANDARD",
    "Subparsers",
    "add_arguments",
    "add_command",
    "add_overwrite",
    "apply_filter",
    "check_range",
    "device",
    "fraction",
    "inputs",
    "interpolator",
    "is_given",
    "moment",
    "path",
    "rate",
]

ENGINE = ("model", "scale", "ensemble", "device", "precision", "auto_download")
"""The filter's arguments that matter for two pictures."""

FILTER = (
    *ENGINE,
    *("num_streams", "sc", "sc_threshold", "sc_mode", "dup_mode", "dup_max", "dup_threshold"),
)
"""The filter's arguments that matter for a sequence of pictures."""

STANDARD = Path("-")
"""Standard input or output; a file of this name is written ``./-``."""

type Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def fraction(text: str) -> Fraction:
    """Parse a number above 0, such as "2", "2.5" or "5/2"."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be a number such as 2, 2.5 or 5/2"
        ) from None
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: must be above 0")
    return value


def rate(text: str) -> Fraction:
    """Parse a frame rate, such as "60", "60000/1001" or "59.94", which is 60000/1001 exactly."""
    value = fraction(text)
    ntsc = Fraction(round(value * 1001 / 1000) * 1000, 1001)
    # "23.976", "23.98" and "59.94" are the usual short forms of NTSC rates.
    places = len(text.strip().partition(".")[2])
    return ntsc if places >= 2 and round(ntsc, places) == value else value


def moment(text: str) -> int | Fraction:
    """Parse a frame number such as 240, or a time in seconds: 12.5, 10s, 1:30 or 0:01:30.25."""
    if text.isascii() and text.isdigit():
        return int(text)
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)s?", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be a frame number such as 240, or a time such as 10s, 12.5 or 1:30"
        )
    hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def path(text: str) -> Path:
    """Parse the path of a file; ``-`` alone is :data:`STANDARD`."""
    return STANDARD if text == "-" else Path(text)


def device(text: str) -> str | int:
    """Parse a device: a number is the index of a GPU."""
    return int(text) if text.isdecimal() else text


def scale(text: str) -> float | str:
    """Parse a scale: "auto" or a number."""
    return text if text == AUTO else float(text)


def _matrix(text: str) -> str | int:
    # "709" and the like are names; the numbers of ITU-T H.273 have at most two digits.
    return int(text) if text.isdecimal() and len(text) < 3 else text


PARSERS: dict[str, tuple[Callable[[str], object], str]] = {
    "multi": (fraction, "M"),
    "model": (str, "NAME|FILE"),
    "sc_threshold": (float, "X"),
    "dup_max": (int, "N"),
    "dup_threshold": (float, "X"),
    "matrix": (_matrix, "NAME"),
    "device": (device, "DEVICE"),
    "num_streams": (int, "N"),
}
"""Parser and metavar of the filter's arguments that are neither choices nor flags."""


def add_command(
    subparsers: Subparsers,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    help: str,
    example: str,
    description: str = "",
) -> argparse.ArgumentParser:
    """Add a command with ``--quiet`` and ``--debug``, and an example at the end of its help."""
    parser = subparsers.add_parser(
        name,
        help=help,
        description=description or help[0].upper() + help[1:] + ".",
        epilog="example:\n  " + "\n  ".join(example.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print no progress or messages")
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error")
    parser.set_defaults(run=run)
    return parser


def add_arguments(parser: argparse.ArgumentParser, *names: str, **defaults: object) -> None:
    """Add arguments of the filter as options.

    Args:
        parser: the parser of a command.
        names: the arguments' names.
        defaults: defaults that differ from the filter's.
    """
    group = parser.add_argument_group("interpolation, as in the filter")
    for name in names:
        argument = ARGUMENTS[name]
        option, help = "--" + name.replace("_", "-"), argument.text
        default = defaults.get(name, argument.default)
        if argument.type == "bool":
            action = argparse.BooleanOptionalAction if default else "store_true"
            group.add_argument(option, action=action, default=default, help=help)
            continue
        if default is not None:
            help += f" [{default}]"
        if argument.choices is not None:
            kind = scale if name == "scale" else type(argument.choices[0])
            group.add_argument(
                option, default=default, help=help, type=kind, choices=argument.choices
            )
        else:
            parse, metavar = PARSERS[name]
            group.add_argument(option, default=default, help=help, type=parse, metavar=metavar)


def is_given(arguments: argparse.Namespace, name: str) -> bool:
    """Tell whether an argument of the filter was given, be it with the value of the default."""
    # A parsed value is never the default object itself.
    return getattr(arguments, name) is not ARGUMENTS[name].default


def check_range(
    arguments: argparse.Namespace, low: float, *names: str, high: float | None = None
) -> None:
    """Refuse a number below ``low``, above ``high`` or not finite; None is accepted."""
    for name in names:
        value = getattr(arguments, name)
        if value is None:
            continue
        if not low <= value < float("inf") or (high is not None and value > high):
            option = name.replace("_", "-")
            accepted = f"at least {low}" if high is None else f"from {low} to {high}"
            raise InputError(f"--{option} {value}: must be {accepted}")


def inputs(arguments: argparse.Namespace, *paths: Path) -> list[Path]:
    """List the files that a command reads, which it must not write: ``paths`` and the model."""
    model = getattr(arguments, "model", None)
    return [*paths, *([Path(model)] if model is not None else [])]


def add_overwrite(parser: argparse._ActionsContainer) -> None:
    """Add ``--overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")


def interpolator(
    arguments: argparse.Namespace, *, scale: float | None = None
) -> tuple[Interpolator, Weights]:
    """Build the interpolator that the options :data:`ENGINE` ask for.

    Args:
        arguments: the parsed options.
        scale: the scale to use in place of the option's.
    """
    from vsifrnet.engine import backend
    from vsifrnet.engine.interpolator import Fp32Fallback, Interpolator, prepare
    from vsifrnet.weights.load import load_weights

    loaded = load_weights(arguments.model, auto_download=arguments.auto_download)
    engine = backend.resolve(arguments.device, arguments.precision)
    fallback = Fp32Fallback(loaded.build, engine) if arguments.precision == "auto" else None
    made = Interpolator(
        prepare(loaded.build(), engine),
        fallback=fallback,
        t_blind=loaded.t_blind,
        scale=arguments.scale if scale is None else scale,
        ensemble=arguments.ensemble,
    )
    return made, loaded


def apply_filter(clip: vs.VideoNode, arguments: argparse.Namespace, **others: Any) -> vs.VideoNode:
    """Apply ``ifrnet`` to a clip, with the parsed options.

    Args:
        clip: the source.
        arguments: the parsed options; those that are not arguments of the filter are ignored.
        others: arguments of the filter that replace the options.

    Raises:
        vs.Error: the filter refuses an argument.
    """
    from vsifrnet import ifrnet

    given = {name: value for name, value in vars(arguments).items() if name in ARGUMENTS}
    return ifrnet(clip, **given | others)
