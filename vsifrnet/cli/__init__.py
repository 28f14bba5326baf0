"""The command line: one module per command, named after it.

Each module in ``COMMANDS`` has ``add_parser(subparsers)``, which declares the command and sets
``run`` as its handler: ``run(arguments) -> exit code``. A handler parses, calls the library with
values, and prints. It imports PyTorch, VapourSynth and the other large packages inside, so that
``--help`` and completion stay quick. Messages go to stderr; stdout carries only requested data.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import sys
import traceback

import shtab

from vsifrnet._version import __version__
from vsifrnet.errors import VsifrnetError, without_traceback

__all__ = ["main"]

COMMANDS: tuple[str, ...] = ("image", "frames", "video", "models", "bench", "train", "flow")

EXTRAS = {
    "av": "video",
    "PIL": "video",
    "cv2": "train",
    "matplotlib": "train",
    "torchvision": "train",
}
"""The extra of this package that installs an optional module."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk, which the system reports without a file's name."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="vsifrnet", description="Frame interpolation with IFRNet, in and around VapourSynth."
    )
    parser.add_argument("--version", action="version", version=f"vsifrnet {__version__}")
    shtab.add_argument_to(
        parser, "--print-completion", help="print a completion script for this shell and exit"
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        importlib.import_module(f"vsifrnet.cli.{command}").add_parser(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C.
    """
    arguments = build_parser().parse_args(argv)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.ERROR if arguments.quiet else logging.INFO,
        format="%(message)s",
    )
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if arguments.debug:
            traceback.print_exc()
        else:
            message = _message(error) or _report(error)
            sys.stderr.write(f"vsifrnet {arguments.command}: {message}\n")
        return 1
    return code


def _message(error: Exception) -> str | None:
    """Explain an error that the user can do something about; return None for a bug."""
    if isinstance(error, VsifrnetError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}"
    if isinstance(error, OSError) and error.errno in FULL:
        return error.strerror
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        return f"{error}: pip install 'vsifrnet[{extra}]'" if extra else None
    # Only a handler that has loaded these packages can raise their errors.
    if "vapoursynth" in sys.modules:
        import vapoursynth as vs

        if isinstance(error, vs.Error):
            return without_traceback(str(error))
    if "torch" in sys.modules and isinstance(error, RuntimeError):
        from vsifrnet.engine.backend import explain
        from vsifrnet.engine.memory import is_out_of_memory

        if is_out_of_memory(error):
            return explain(error)
    return None


def _report(error: Exception) -> str:
    """Describe a bug in one line."""
    first_line = str(error).partition("\n")[0]
    return (
        f"this is a bug ({type(error).__name__}: {first_line}); please report it, with what the "
        "same command prints with --debug"
    )
