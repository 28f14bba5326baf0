"""A clip to the standard input of an encoder, as y4m."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import IO

import vapoursynth as vs

from vsifrnet.errors import EncodeError

__all__ = ["pipe"]

LAST_LINES = 12


def pipe(
    clip: vs.VideoNode, command: str, *, progress: Callable[[int], object], quiet: bool
) -> None:
    """Run ``command`` in the shell and write ``clip`` to its standard input.

    Args:
        clip: YUV or GRAY, with a constant frame rate.
        command: what it writes is its own affair; its standard output is ours.
        progress: called with the number of frames so far.
        quiet: do not pass on what it writes to standard error.

    Raises:
        EncodeError: it could not be run or ended with an error; its last lines are in the message.
    """
    process = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    lines: deque[str] = deque(maxlen=LAST_LINES)
    reader = Thread(target=_listen, args=(process.stderr, lines, quiet), daemon=True)
    reader.start()
    failure = None

    def report(done: int, total: int) -> None:
        progress(done)

    try:
        clip.output(process.stdin, y4m=True, progress_update=report)
    except (OSError, vs.Error) as error:
        failure = error
    finally:
        # At its end, and after Ctrl-C, too: an encoder then finishes the file that it writes.
        with suppress(OSError):
            process.stdin.close()
        code = process.wait()
        reader.join()
    if failure is not None or code:
        reason = f"ended with exit code {code}" if code else str(failure)
        raise EncodeError("\n".join([f"{command!r} {reason}", *lines]))


def _listen(stream: IO[bytes], lines: deque[str], quiet: bool) -> None:
    # Encoders end the lines of their progress with a carriage return.
    for raw in stream:
        text = raw.decode(errors="replace")
        lines.extend(part for part in text.replace("\r", "\n").splitlines() if part.strip())
        if not quiet:
            sys.stderr.write(text)
