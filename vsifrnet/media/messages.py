"""What FFmpeg says while it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av

__all__ = ["ffmpeg_messages"]


@contextmanager
def ffmpeg_messages() -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """Collect FFmpeg's errors meanwhile: each is the part that speaks, and what it says.

    The list can be asked for inside the context only.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logs:
            yield lambda: [(name, text.strip()) for _, name, text in logs]
    finally:
        av.logging.set_level(level)
