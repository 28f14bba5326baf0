"""A clip to the standard input of an encoder, as y4m."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from threading import Thread
from typing import IO

import vapoursynth as vs

from vsifrnet.errors import EncodeError, without_traceback
from vsifrnet.media import y4m

__all__ = ["pipe"]

LAST_LINES = 12


def pipe(
    clip: vs.VideoNode, frames: Iterator[vs.VideoFrame], command: str, *, quiet: bool
) -> Generator[int]:
    """Run ``command`` in the shell and write frames to its standard input as y4m.

    Gives the number of frames so far after each one.

    Args:
        clip: has the format and rate; YUV or GRAY, with a constant frame rate.
        frames: its frames in order.
        command: what it writes is its own affair; its standard output is ours.
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
    try:
        yield from y4m.write(clip, frames, process.stdin)
    except (OSError, vs.Error) as error:
        failure = error
    finally:
        # At its end, and after Ctrl-C, too: an encoder then finishes the file that it writes.
        with suppress(OSError):
            process.stdin.close()
        code = process.wait()
        reader.join()
    if failure is not None or code:
        reason = f"ended with exit code {code}" if code else without_traceback(str(failure))
        raise EncodeError("\n".join([f"{command!r} {reason}", *lines]))


def _listen(stream: IO[bytes], lines: deque[str], quiet: bool) -> None:
    # Encoders end the lines of their progress with a carriage return.
    for raw in stream:
        text = raw.decode(errors="replace")
        lines.extend(part for part in text.replace("\r", "\n").splitlines() if part.strip())
        if not quiet:
            sys.stderr.write(text)
