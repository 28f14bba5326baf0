"""The exceptions that this package raises on purpose; each message says what to change.

Everything else that is raised is a bug. The filter turns all of these into ``vapoursynth.Error``,
and the command line prints their message without a traceback.
"""

from __future__ import annotations

__all__ = [
    "CacheError",
    "DataError",
    "EncodeError",
    "FetchError",
    "InputError",
    "NotFiniteError",
    "TrainingError",
    "VsifrnetError",
    "WeightsError",
]


class VsifrnetError(Exception):
    """Base class of all exceptions of this package."""


class InputError(VsifrnetError, ValueError):
    """An argument or an input file cannot be used."""


class WeightsError(InputError):
    """A model cannot be found, or its file is not one that can be used."""


class CacheError(VsifrnetError, OSError):
    """The folder of downloaded models cannot be written, or what it holds is damaged."""


class FetchError(CacheError):
    """A model cannot be downloaded from any of its addresses."""


class EncodeError(VsifrnetError):
    """A video cannot be encoded or written."""


class TrainingError(VsifrnetError, ValueError):
    """Training cannot start or go on; the message says why and what is left on disk."""


class DataError(TrainingError):
    """Training data is missing, empty or broken; the message names the file."""


class NotFiniteError(TrainingError):
    """The loss, a gradient or a weight became NaN or infinite."""


def without_traceback(message: str) -> str:
    """Reduce the message of a ``vapoursynth.Error`` to what was wrong.

    VapourSynth makes a whole traceback the message where Python code that makes a frame raises.
    """
    lines = [line for line in message.splitlines() if line.strip()]
    if not any(line.startswith("Traceback (most recent call last)") for line in lines):
        return message
    first = next(n for n in reversed(range(len(lines))) if lines[n].startswith("  ")) + 1
    name, _, text = "\n".join(lines[first:]).partition(": ")
    return text if name.isidentifier() or "." in name else f"{name}: {text}"
