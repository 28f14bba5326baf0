"""Source frames on their way to the network: read once, and kept on the device for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from weakref import WeakValueDictionary

import torch
from torch import Tensor

__all__ = ["Convert", "SourceFrame", "Uploads"]

type Convert = Callable[[Tensor], Tensor]
"""Converts a frame's samples to RGB (3, H, W) on the device, or the other way round."""


class SourceFrame:
    """A frame of the source clip, whose samples are read when they are first needed. Thread-safe.

    ``to_rgb`` turns the samples into a picture once they are on the device; without it the samples
    are a picture (3, H, W) already.
    """

    def __init__(
        self, number: int, read: Callable[[], Tensor], to_rgb: Convert | None = None
    ) -> None:
        self.number = number
        self._read = read
        self._to_rgb = to_rgb
        self._samples: Tensor | None = None
        self._lock = threading.Lock()

    @property
    def samples(self) -> Tensor:
        """Samples of the frame on the host, in pinned memory if the network is on CUDA."""
        with self._lock:
            if self._samples is None:
                self._samples = self._read()
            return self._samples

    def picture(self, device: torch.device) -> Tensor:
        """Return the frame on the device as RGB (3, H, W), all numbers finite.

        NaN is replaced by 0, infinity by 1 and negative infinity by 0.
        """
        samples = self.samples.to(device, non_blocking=True)
        # What is converted has integer samples, which are finite.
        return self._to_rgb(samples) if self._to_rgb else samples.nan_to_num_(0.0, 1.0, 0.0)


class Uploads:
    """The latest source frames on the device, shared by all workers and pairs. Thread-safe.

    A frame that is no longer kept is uploaded again, so results never depend on what is kept.
    """

    def __init__(self, device: torch.device, kept: int) -> None:
        """Keep up to ``kept`` frames."""
        self.device = device
        self._kept = kept
        self._lock = threading.Lock()
        self._frames: OrderedDict[int, tuple[Tensor, torch.cuda.Event | None]] = OrderedDict()
        self._reading: WeakValueDictionary[int, SourceFrame] = WeakValueDictionary()
        """Sources being read now; concurrent requests share one read."""

    def read(self, source: SourceFrame) -> SourceFrame:
        """Read ``source`` in the calling thread, unless its frame is on the device.

        Returns:
            The source to use in its place: that of a concurrent request for the same frame, or
            ``source`` itself.
        """
        with self._lock:
            if source.number in self._frames:
                return source
            source = self._reading.setdefault(source.number, source)
        # Pinned memory is allocated with the context of the current device, which for a thread of
        # VapourSynth is the first GPU, whichever the network is on.
        with torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            source.samples  # noqa: B018 (reads them)
        return source

    def get(self, source: SourceFrame) -> Tensor:
        """Return the frame on the device, ready for the calling thread's stream.

        On CUDA the caller must hold the tensor until its stream is done with it, because the
        memory belongs to another stream, which may reuse it as soon as it is freed.
        """
        key = source.number
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
            frame, ready = self._frames.get(key, (None, None))
        if frame is None:
            frame = source.picture(self.device)
            if self.device.type == "cuda":
                ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
                ready.record()
            with self._lock:
                self._frames[key] = frame, ready
                while len(self._frames) > self._kept:
                    self._frames.popitem(last=False)
        elif ready is not None:
            torch.cuda.current_stream(self.device).wait_event(ready)
        return frame

    def clear(self) -> None:
        """Free all frames."""
        with self._lock:
            self._frames.clear()
