"""Collects FFmpeg's log messages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av

__all__ = ["ffmpeg_messages", "svt_errors_only"]


SVT_LOG = "SVT_LOG"
"""Environment variable that says how much SVT-AV1 writes to the terminal by itself."""


@contextmanager
def svt_errors_only() -> Iterator[None]:
    """Keep SVT-AV1 from writing between our progress, unless the user has asked for its words."""
    if SVT_LOG in os.environ:
        yield
        return
    os.environ[SVT_LOG] = "1"
    try:
        yield
    finally:
        os.environ.pop(SVT_LOG, None)


@contextmanager
def ffmpeg_messages() -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """Collect FFmpeg's errors inside the block, as pairs of component and message.

    The list can be asked for inside the context only.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logs:
            yield lambda: [(name, text.strip()) for _, name, text in logs]
    finally:
        av.logging.set_level(level)
