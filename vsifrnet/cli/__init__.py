"""The command line: one module a command, found by its name.

Each module in ``COMMANDS`` has ``add_parser(subparsers)``, which declares the command and sets
``run`` as its handler: ``run(arguments) -> exit code``. Handlers import what is heavy themselves,
so that ``--help`` stays quick. Messages go to stderr; stdout is for data that was asked for.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys

import shtab

from vsifrnet._version import __version__

__all__ = ["CommandError", "main"]

COMMANDS: tuple[str, ...] = ("image", "frames", "video", "models", "bench", "train", "flow")


class CommandError(Exception):
    """What a handler raises to end with a message and exit code 1, without a traceback."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(
        prog="vsifrnet", description="Frame interpolation with IFRNet, in and around VapourSynth."
    )
    parser.add_argument("--version", action="version", version=f"vsifrnet {__version__}")
    shtab.add_argument_to(parser, "--print-completion", help="for the shell, and leave")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        importlib.import_module(f"vsifrnet.cli.{command}").add_parser(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 done, 1 failed, 2 wrong usage, 130 Ctrl-C)."""
    arguments = build_parser().parse_args(argv)
    quiet = getattr(arguments, "quiet", False)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING if quiet else logging.INFO,
        format="%(message)s",
    )
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        sys.stderr.write(f"vsifrnet {arguments.command}: {error}; see the extras in the README\n")
        return 1
    except (CommandError, ValueError, OSError) as error:
        sys.stderr.write(f"vsifrnet {arguments.command}: {error}\n")
        return 1
    except RuntimeError as error:
        from vsifrnet.engine import backend

        if not backend.is_out_of_memory(error):
            raise
        sys.stderr.write(f"vsifrnet {arguments.command}: {backend.explain(error)}\n")
        return 1
    return code
