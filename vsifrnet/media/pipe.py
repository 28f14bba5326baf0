"""A clip as y4m (YUV4MPEG2), and to the standard input of an encoder."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from fractions import Fraction
from threading import Thread
from typing import IO, Any

import vapoursynth as vs

from vsifrnet.errors import EncodeError
from vsifrnet.media.formats import RANGES, SUBSAMPLING, check_opaque

__all__ = ["pipe", "write_y4m"]

LAST_LINES = 12


CHROMA = {0: "mpeg2", 1: "jpeg", 2: "paldv"}
"""What y4m calls locations of 4:2:0 chroma, by the prop ``_ChromaLocation``."""

FIELDS = {1: "b", 2: "t"}
"""What y4m calls field orders, by the prop ``_FieldBased``."""


def write_y4m(clip: vs.VideoNode, file: IO[bytes]) -> Generator[int]:
    """Write a clip to an open file; gives the number of frames so far after each one.

    Args:
        clip: YUV or GRAY of integers, with a constant frame rate.
        file: gets a header that says all of the first frame's props for which y4m has words.

    Raises:
        EncodeError: the clip is of another format, or has transparent places.
    """
    with clip.get_frame(0) as first:
        file.write(_header(clip, dict(first.props)).encode())
    for n, frame in enumerate(clip.frames(close=True), start=1):
        check_opaque(frame, n - 1, "y4m")
        file.write(b"FRAME\n")
        for chunk in frame.readchunks():
            file.write(chunk)
        yield n


def _header(clip: vs.VideoNode, props: Mapping[str, Any]) -> str:
    form = clip.format
    bits, sampling = form.bits_per_sample, (form.subsampling_w, form.subsampling_h)
    digits = next((k for k, v in SUBSAMPLING.items() if v == sampling), None)
    if form.color_family == vs.RGB or form.sample_type != vs.INTEGER or digits is None:
        raise EncodeError(f"y4m cannot carry {form.name}: accepted are YUV and GRAY of integers")
    if form.color_family == vs.GRAY:
        kind = "mono" if bits == 8 else f"mono{bits}"
    elif bits > 8:
        kind = f"{digits}p{bits}"
    else:
        kind = digits + CHROMA.get(props.get("_ChromaLocation", -1), "") * (digits == "420")
    colour_range = {1: " XCOLORRANGE=LIMITED", 2: " XCOLORRANGE=FULL"}.get(
        RANGES.get(props.get("_Range"), 0), ""
    )
    num, den = props.get("_SARNum", 0), props.get("_SARDen", 0)
    aspect = f"{num}:{den}" if num > 0 and den > 0 else "0:0"
    fps = Fraction(clip.fps)
    return (
        f"YUV4MPEG2 C{kind} W{clip.width} H{clip.height} F{fps.numerator}:{fps.denominator} "
        f"I{FIELDS.get(props.get('_FieldBased', 0), 'p')} A{aspect}{colour_range} "
        f"XLENGTH={clip.num_frames}\n"
    )


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

    try:
        for done in write_y4m(clip, process.stdin):
            progress(done)
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
