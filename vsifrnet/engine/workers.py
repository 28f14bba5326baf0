"""Threads that make pictures, each with its stream and its pair, and what they share.

VapourSynth asks from many threads; a picture is made on a thread of a worker. On CUDA a worker has
a stream of its own, so that copies and kernels of different workers overlap; frames go up from
pinned memory, once for all workers, and pictures come down into pinned memory. On the CPU the
workers share out the cores: threads of one operator wait for each other at its end, those of two
workers do not.
"""

from __future__ import annotations

import itertools
import logging
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from fractions import Fraction
from functools import partial
from weakref import WeakValueDictionary

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from vsifrnet.engine.backend import is_out_of_memory
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.runner import RECORDING

__all__ = ["Convert", "SourceFrame", "Uploads", "Worker", "Workers"]

log = logging.getLogger("vsifrnet")


type Convert = Callable[[Tensor], Tensor]
"""From a frame's samples to RGB (3, H, W), or back, on the device."""


class SourceFrame:
    """A frame of the source clip, read when its samples are first asked for. Thread-safe.

    ``to_rgb`` turns the samples into a picture once they are on the device; without it they are
    one, (3, H, W), already.
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
        """The frame on the host; on CUDA in pinned memory."""
        with self._lock:
            if self._samples is None:
                self._samples = self._read()
            return self._samples

    def picture(self, device: torch.device) -> Tensor:
        """The frame on the device, RGB (3, H, W)."""
        samples = self.samples.to(device, non_blocking=True)
        return self._to_rgb(samples) if self._to_rgb else samples


class Uploads:
    """The last source frames on the device, whichever pairs and workers they are for.

    Thread-safe. A frame that is gone is uploaded anew: what comes out is always the same.
    """

    def __init__(self, device: torch.device, kept: int) -> None:
        """Keep up to ``kept`` frames."""
        self.device = device
        self._kept = kept
        self._lock = threading.Lock()
        self._frames: OrderedDict[int, tuple[Tensor, torch.cuda.Event | None]] = OrderedDict()

    def __contains__(self, source: SourceFrame) -> bool:
        with self._lock:
            return source.number in self._frames

    def get(self, source: SourceFrame) -> Tensor:
        """The frame on the device, all numbers finite; on CUDA for the calling thread's stream.

        Whoever uses it there holds it until that stream is done: its memory is another stream's.
        """
        key = source.number
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
            frame, ready = self._frames.get(key, (None, None))
        if frame is None:
            frame = source.picture(self.device)
            frame.nan_to_num_(0.0, 1.0, 0.0)
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


class Worker:
    """One thread, on CUDA with a stream, that makes the pictures of one pair at a time.

    Work always runs on the worker's own thread, whichever of VapourSynth's asks for it: PyTorch
    keeps a team of OpenMP threads for every thread that it was ever called from. The asking
    thread waits without holding the GIL.
    """

    def __init__(
        self,
        interpolator: Interpolator,
        uploads: Uploads,
        name: str,
        start: Callable[[], object] | None = None,
    ) -> None:
        """``start`` is called once, by the worker's thread."""
        self._interpolator = interpolator
        self._uploads = uploads
        self._stream: torch.cuda.Stream | None = None
        if uploads.device.type == "cuda":
            self._stream = torch.cuda.Stream(uploads.device)  # type: ignore[no-untyped-call]
            # What the network's weights went up on.
            self._stream.wait_stream(torch.cuda.current_stream(uploads.device))
        self._executor = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix=name, initializer=start
        )

    def submit(
        self, first: SourceFrame, following: SourceFrame, t: Fraction, from_rgb: Convert | None
    ) -> Future[Tensor]:
        """Make the picture of :meth:`Workers.make` after those asked for before."""
        return self._executor.submit(self._make, first, following, t, from_rgb)

    def clear(self) -> None:
        """Free what the worker holds, once it has made what it was asked for."""
        self._executor.submit(self._interpolator.clear).result()

    def _make(
        self, first: SourceFrame, following: SourceFrame, t: Fraction, from_rgb: Convert | None
    ) -> Tensor:
        try:
            with torch.cuda.stream(self._stream) if self._stream else nullcontext():
                pair = (self._uploads.get(first), self._uploads.get(following))
                picture = self._interpolator(*pair, t, key=(first.number, following.number))
                picture = from_rgb(picture) if from_rgb else picture.to(pair[0].dtype)
                # The pair is held until the picture is here, and so the stream is done with it.
                return picture if self._stream is None else self._download(picture)
        except RuntimeError as error:
            if self._stream is not None:
                with suppress(RuntimeError):  # as above; a device that is lost has said so
                    self._stream.synchronize()
            if not is_out_of_memory(error):
                raise
            # Whoever goes on with fewer workers needs what this one holds, and so do the variables
            # of the calls that failed.
            self._interpolator.clear()
            traceback.clear_frames(error.__traceback__)
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise torch.OutOfMemoryError(str(error)) from error

    def _download(self, picture: Tensor) -> Tensor:
        host = torch.empty(picture.shape, dtype=picture.dtype, pin_memory=True)
        host.copy_(picture, non_blocking=True)
        # Blocking: to wait in a loop, as a stream's synchronize does, would take a core.
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record()
        done.synchronize()
        return host


class Workers:
    """All workers of a device: fewer of them once its memory is full.

    Each has two queues: while the picture of one is made, frames of the other are read or written.
    On the CPU the workers share out the threads that PyTorch has when they are made.
    """

    def __init__(self, interpolators: Sequence[Interpolator], device: torch.device) -> None:
        # Neighbouring pairs share a frame, and so do the workers that they are on.
        self._uploads = Uploads(device, len(interpolators) + 2)
        start: Callable[[], object] | None = None
        if device.type == "cuda":
            # Of that thread alone; else it would put a context on the first GPU as well.
            start = partial(torch.cuda.set_device, device)
        elif len(interpolators) > 1:
            cores = max(1, torch.get_num_threads() // len(interpolators))
            start = partial(_use_cores, ThreadpoolController(), cores)
        self._workers = [
            Worker(interpolator, self._uploads, f"ifrnet-{index}", start)
            for index, interpolator in enumerate(interpolators)
        ]
        self._count = len(self._workers)
        self._turns = itertools.count()
        self._sides = [itertools.count() for _ in self._workers]
        self._pairs: OrderedDict[int, int] = OrderedDict()
        """The last pairs, each with its worker."""
        self._reading: WeakValueDictionary[int, SourceFrame] = WeakValueDictionary()
        """Frames in somebody's hands: neighbouring pairs are often asked for at the same time."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def queues(self) -> int:
        """Number of queues, in each of which one picture is asked for at a time."""
        return 2 * self._count

    def choose(self, pair: int) -> int:
        """The queue for a frame that is made of pair ``pair``: any makes the same picture.

        On CUDA all times of a pair go to one worker, which then encodes the pair once. On the CPU
        frames take turns: VapourSynth asks for no more of them at a time than it has threads,
        so that with a large ``multi`` on few cores all of these could be of one pair, and
        encoding a pair twice costs less (7% of a frame) than a worker that has nothing to do.
        """
        if self._uploads.device.type == "cpu":
            return next(self._turns) % self.queues
        with self._lock:
            worker = (
                self._pairs.pop(pair) if pair in self._pairs else next(self._turns) % self._count
            )
            self._pairs[pair] = worker
            while len(self._pairs) > 2 * self.queues:
                self._pairs.popitem(last=False)
            return worker + self._count * (next(self._sides[worker]) % 2)

    def make(
        self,
        queue: int,
        first: SourceFrame,
        following: SourceFrame,
        t: Fraction,
        from_rgb: Convert | None = None,
    ) -> Tensor:
        """The picture at time ``t`` between two frames, asked for in ``queue``.

        Returns:
            What ``from_rgb`` makes of it, or (3, H, W) in the dtype of the frames; on the CPU.

        Raises:
            torch.OutOfMemoryError: the device's memory is too small for a single worker.
        """
        # By the asking thread: the worker's time is dear.
        pair = self._read(first), self._read(following)
        while True:
            with self._lock:  # so that no worker is asked that has been dropped
                count = len(self._workers)
                future = self._workers[queue % self._count % count].submit(*pair, t, from_rgb)
            try:
                return future.result()
            except torch.OutOfMemoryError:
                if not self._retreat(count):
                    raise

    def _read(self, source: SourceFrame) -> SourceFrame:
        """The frame, read unless it is on the device; of several that read it now, one's."""
        if source not in self._uploads:
            with self._lock:
                source = self._reading.setdefault(source.number, source)
            source.samples  # noqa: B018 (now, while its frame is at hand)
        return source

    def _retreat(self, count: int) -> bool:
        """Go on with fewer than ``count`` workers; False if there was only one."""
        with self._lock:
            if count == 1:
                return False
            if len(self._workers) < count:
                return True  # another thread was quicker
            dropped = self._workers.pop()
            log.warning("ifrnet: the device's memory is full: num_streams=%d from now", count - 1)
            # Nobody is asked anything new before its memory is free, or the last worker would fail.
            dropped.clear()
            self._uploads.clear()
            if self._uploads.device.type == "cuda":
                # Some versions of PyTorch refuse this once a recording has failed.
                with RECORDING, suppress(RuntimeError):
                    torch.cuda.empty_cache()
            return True


def _use_cores(controller: ThreadpoolController, count: int) -> None:
    """Let PyTorch work with ``count`` threads for the calling thread, and for no other."""
    torch.get_num_threads()  # PyTorch sets a thread's number when it first asks for it
    controller.limit(limits=count, user_api="openmp")
