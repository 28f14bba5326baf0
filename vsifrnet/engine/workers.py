"""Workers make the pictures: each is one thread with one interpolator and, on CUDA, one stream.

VapourSynth requests frames from many threads; each picture is made on a worker's thread. On CUDA
the copies and kernels of different workers overlap, because each worker has its own stream. Frames
are uploaded from pinned memory once for all workers, and pictures come down into pinned memory. On
the CPU the workers share the cores: the threads of one operator wait for each other at its end,
those of two workers do not.
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

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from vsifrnet.engine.downloads import Download
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.memory import DeviceMemory, borrow_stream, is_out_of_memory
from vsifrnet.engine.sources import Convert, SourceFrame, Uploads

__all__ = ["Slots", "Worker", "Workers"]

log = logging.getLogger("vsifrnet")


class Slots:
    """Chooses the slot of each made frame. Thread-safe.

    Every worker has two slots, and each slot has one request at a time: while the worker makes the
    picture of one, frames of the other are read or written. Slot s belongs to worker
    ``s % workers``. Whichever slot is chosen, the picture is the same.
    """

    def __init__(self, workers: int, *, keep_pairs: bool) -> None:
        """With ``keep_pairs`` all times of a pair go to one worker, which encodes the pair once.

        On the CPU this is worth less than an even load: VapourSynth requests no more frames at
        once than it has threads, so with a large ``multi`` on few cores they could all be of one
        pair. Encoding a pair twice takes 7% of a frame's time; an idle worker costs more.
        """
        self._workers = workers
        self._keep_pairs = keep_pairs
        self._turns = itertools.count()
        self._sides = [itertools.count() for _ in range(workers)]
        self._pairs: OrderedDict[int, int] = OrderedDict()
        """Worker of each of the latest pairs."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return 2 * self._workers

    def choose(self, pair: int) -> int:
        """Return the slot for a frame that is made between the frames of ``pair``."""
        if not self._keep_pairs:
            return next(self._turns) % len(self)
        with self._lock:
            if pair in self._pairs:
                worker = self._pairs.pop(pair)
            else:
                worker = next(self._turns) % self._workers
            self._pairs[pair] = worker
            while len(self._pairs) > 2 * len(self):
                self._pairs.popitem(last=False)
            return worker + self._workers * (next(self._sides[worker]) % 2)


class Worker:
    """One thread that makes the pictures of one pair at a time, on CUDA in its own stream.

    Work always runs on the worker's own thread, whichever thread requests it, because PyTorch
    keeps a team of OpenMP threads for every thread that ever called it. The requesting thread
    waits without holding the GIL.
    """

    def __init__(
        self,
        interpolator: Interpolator,
        uploads: Uploads,
        memory: DeviceMemory,
        name: str,
        start: Callable[[], object] | None = None,
    ) -> None:
        """``start`` is called once, in the worker's thread."""
        self._interpolator = interpolator
        self._uploads = uploads
        self._memory = memory
        self._records = self._needs_room = True
        self._stream: torch.cuda.Stream | None = None
        if uploads.device.type == "cuda":
            # Recordings have the default priority, so conversions precede another worker's graph.
            self._stream = borrow_stream(self, uploads.device, priority=-1)
            # The network's weights were uploaded in the current stream.
            self._stream.wait_stream(torch.cuda.current_stream(uploads.device))
        self._executor = ThreadPoolExecutor(
            max_workers=1,
            thread_name_prefix=name,
            initializer=_begin,
            initargs=(start, memory),
        )

    def submit(
        self, first: SourceFrame, following: SourceFrame, t: Fraction, from_rgb: Convert | None
    ) -> Future[Download]:
        """Make the picture of :meth:`Workers.make` after those that were submitted before."""
        return self._executor.submit(self._make, first, following, t, from_rgb)

    def clear(self) -> None:
        """Free what the worker holds once it has made all submitted pictures."""
        self._executor.submit(self._clear).result()

    def stop_recording(self) -> bool:
        """Record no more, which needs less memory; return False if the worker did not record."""
        return self._executor.submit(self._stop_recording).result()

    def _clear(self) -> None:
        self._interpolator.clear()
        self._needs_room = self._records

    def _stop_recording(self) -> bool:
        self._records = self._needs_room = False
        return self._interpolator.stop_recording()

    def _make(
        self, first: SourceFrame, following: SourceFrame, t: Fraction, from_rgb: Convert | None
    ) -> Download:
        try:
            with torch.cuda.stream(self._stream) if self._stream else nullcontext():
                with self._memory.first_picture() if self._needs_room else nullcontext():
                    pair = (self._uploads.get(first), self._uploads.get(following))
                    picture = self._interpolator(*pair, t, key=(first.number, following.number))
                    picture = from_rgb(picture) if from_rgb else picture.to(pair[0].dtype)
                    self._needs_room = False
                # The pair is held until the download ends, and so until the stream is done with it.
                return Download(picture, pair)
        except RuntimeError as error:
            if self._stream is not None:
                # The pair is held until here for the same reason. A lost device fails again.
                with suppress(RuntimeError):
                    self._stream.synchronize()
            if not is_out_of_memory(error, self._uploads.device):
                raise
            # The remaining workers need what this one holds, including the variables of the calls
            # that failed.
            self._clear()
            traceback.clear_frames(error.__traceback__)
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise torch.OutOfMemoryError(str(error)) from error


class Workers:
    """All workers of a device.

    If its memory is full, their number is reduced; if a single one does not fit, it stops
    recording. On the CPU the workers share the threads that PyTorch has when they are created.
    """

    def __init__(
        self,
        interpolators: Sequence[Interpolator],
        device: torch.device,
        memory: DeviceMemory | None = None,
    ) -> None:
        """Create one worker for each of ``interpolators``; ``memory`` is that of the device."""
        self._memory = memory or DeviceMemory(device)
        # Neighbouring pairs share a frame, and so do the workers that make them.
        self._uploads = Uploads(device, len(interpolators) + 2)
        start: Callable[[], object] | None = None
        if device.type == "cuda":
            # For that thread alone: otherwise it would create a context on the first GPU as well.
            start = partial(torch.cuda.set_device, device)
        elif len(interpolators) > 1:
            cores = max(1, torch.get_num_threads() // len(interpolators))
            start = partial(_use_cores, ThreadpoolController(), cores)
        self._workers = [
            Worker(interpolator, self._uploads, self._memory, f"ifrnet-{index}", start)
            for index, interpolator in enumerate(interpolators)
        ]
        self._count = len(self._workers)
        self.slots = Slots(self._count, keep_pairs=device.type == "cuda")
        """Slots in which pictures are requested."""
        self._lock = threading.Lock()
        self._level = len(self._workers)
        """Number of workers that record; 0 is one worker that does not."""

    def __len__(self) -> int:
        return len(self._workers)

    def make(
        self,
        slot: int,
        first: SourceFrame,
        following: SourceFrame,
        t: Fraction,
        from_rgb: Convert | None = None,
    ) -> Tensor:
        """Return the picture at time ``t`` between two frames, requested in ``slot``.

        Returns:
            The result of ``from_rgb`` on the CPU; without it the picture, (3, H, W), in the dtype
            of the frames.

        Raises:
            torch.OutOfMemoryError: the device's memory is too small for a single worker, even
                without recording.
        """
        # Read in the calling thread so that the worker never waits for it.
        pair = self._uploads.read(first), self._uploads.read(following)
        failed_at: int | None = None
        while True:
            with self._lock:  # No picture may be submitted to a worker that has been dropped.
                level, worker = self._level, slot % self._count % len(self._workers)
                future = self._workers[worker].submit(*pair, t, from_rgb)
            try:
                download = future.result()
            except torch.OutOfMemoryError:
                if failed_at != level:
                    # Another worker's recording may have kept PyTorch from giving blocks back.
                    failed_at = level
                    self._memory.release()
                elif not self._retreat(level):
                    raise
            else:
                # The worker makes its next picture meanwhile.
                return download.wait()

    def _retreat(self, level: int) -> bool:
        """Go on below ``level``; return False if there is nothing below."""
        with self._lock:
            if self._level < level:
                return True  # Another thread has done it.
            if level == 0:
                return False
            # Nothing new is submitted before the memory is free, or the last worker would fail.
            if level == 1:
                if not self._workers[0].stop_recording():
                    return False
            else:
                log.warning(
                    "ifrnet: the device's memory is full: num_streams=%d from now", level - 1
                )
                self._workers.pop().clear()
            self._level -= 1
            self._uploads.clear()
            self._memory.release()
            return True


class _Release:
    """Gives memory back when it is deleted."""

    def __init__(self, memory: DeviceMemory) -> None:
        self._memory = memory

    def __del__(self) -> None:
        self._memory.release()


_thread = threading.local()


def _begin(start: Callable[[], object] | None, memory: DeviceMemory) -> None:
    """Prepare a worker's thread, which gives memory back when it ends.

    The thread ends when nothing refers to the worker any more, so other filters can have the
    memory. A finalizer of the worker could not do it: the garbage collector may call one in any
    thread at any time, and giving memory back waits for a lock.
    """
    if start is not None:
        start()
    _thread.release = _Release(memory)


def _use_cores(controller: ThreadpoolController, count: int) -> None:
    """Let PyTorch work with ``count`` threads in the calling thread, and in no other."""
    torch.get_num_threads()  # PyTorch sets a thread's number when it is first queried.
    controller.limit(limits=count, user_api="openmp")
