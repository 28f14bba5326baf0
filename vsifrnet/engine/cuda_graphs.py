"""CUDA graphs: recordings of an eager runner, replayed for every further pair.

:class:`CudaGraphRunner` records what an eager runner does for pictures of one size and replays it,
which takes two launches instead of several hundred. The pictures are the same: each recording is
compared with the eager run when it is made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from vsifrnet.engine.memory import RECORDING, borrow_stream, is_out_of_memory
from vsifrnet.engine.runner import RecordableRunner

__all__ = ["CudaGraphRecorder", "CudaGraphRunner", "Recorder"]

log = logging.getLogger("vsifrnet")

TOLERANCE = 1 / 1024
"""Largest accepted difference of a recording from the eager run: a quarter of an 8-bit step."""

MAX_FAILURES = 2
"""Number of failed recordings after which a runner records no more."""

RECOVERS = torch.__version__ >= "2.14"
"""True if this PyTorch can record again after a recording that could not be ended.

Before 2.14 the allocator goes on as if it were being recorded: the pool's memory is lost, and
``torch.cuda.empty_cache`` fails.
"""

_UNUSABLE = threading.Event()
"""Set after such a recording in a PyTorch that cannot recover: the process records no more."""

type Recorder = Callable[[Callable[[], Tensor | None]], tuple[Tensor | None, Callable[[], None]]]
"""Runs work once; returns its result and a function that repeats it in place."""


class CudaGraphRunner:
    """Replays a recording of an eager runner, and records again when the size changes."""

    def __init__(self, eager: RecordableRunner, recorder: Callable[[], Recorder]) -> None:
        self._eager = eager
        self._recorder = recorder
        self._records = True
        self._failures = 0
        self.clear()

    def encode(self, img0: Tensor, img1: Tensor) -> None:
        """See :class:`~vsifrnet.engine.runner.Runner`."""
        if self._records and (self._inputs is None or self._inputs.shape[1:] != img0.shape):
            with RECORDING:
                self._record(img0, img1)
        if self._inputs is None:
            self._eager.encode(img0, img1)
            return
        self._inputs[0].copy_(img0, non_blocking=True)
        self._inputs[1].copy_(img1, non_blocking=True)
        self._replay_encode()

    def decode(self, t: float) -> Tensor:
        """See :class:`~vsifrnet.engine.runner.Runner`."""
        if self._inputs is None:
            return self._eager.decode(t)
        assert self._time is not None
        assert self._picture is not None
        self._time.fill_(t)
        self._replay_decode()
        # The next replay overwrites this memory.
        return self._picture.clone()

    def clear(self) -> None:
        """See :class:`~vsifrnet.engine.runner.Runner`."""
        self._inputs: Tensor | None = None
        self._time: Tensor | None = None
        self._picture: Tensor | None = None
        self._replay_encode: Callable[[], None] = _nothing
        self._replay_decode: Callable[[], None] = _nothing
        self._eager.clear()

    def stop_recording(self, reason: str) -> bool:
        """Run eagerly from now on, for ``reason``; return False if that was so already."""
        if not self._records:
            return False
        log.warning("ifrnet: CUDA graphs are not used: %s", reason)
        self.clear()
        self._records = False
        return True

    def _record(self, img0: Tensor, img1: Tensor) -> None:
        eager = self._eager
        self.clear()
        if _UNUSABLE.is_set():
            self.stop_recording("an earlier recording failed, and this PyTorch cannot recover")
            return
        # This run is not recorded: in it libraries choose their algorithms.
        eager.encode(img0, img1)
        expected = eager.decode(0.25)
        if not bool(expected.isfinite().all()):
            self.stop_recording("the network's picture is not finite")
            return
        eager.clear()  # Its memory is needed for the recording.
        # Recorded on black pictures: the comparison shows whatever does not follow the inputs.
        inputs = torch.zeros((2, *img0.shape), dtype=img0.dtype, device=eager.device)
        time = torch.zeros(1, dtype=torch.float32, device=eager.device)
        record = self._recorder()
        try:
            _, replay_encode = record(lambda: eager.encode(inputs[0], inputs[1]))
            picture, replay_decode = record(lambda: eager.decode_at(time))
        except RuntimeError as error:
            if is_out_of_memory(error, eager.device):
                raise
            # Other code in the process can break a recording by waiting for the device.
            self._failures += 1
            eager.clear()
            if self._failures == MAX_FAILURES or _UNUSABLE.is_set():
                self.stop_recording(str(error))
            return
        self._inputs, self._time, self._picture = inputs, time, picture
        self._replay_encode, self._replay_decode = replay_encode, replay_decode
        self.encode(img0, img1)
        difference = float((self.decode(0.25) - expected).abs().max())
        if not difference <= TOLERANCE:
            self.stop_recording(f"their picture is off by {difference:g}")


class CudaGraphRecorder:
    """A :data:`Recorder` of CUDA graphs that share one memory pool and are replayed in order."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        # PyTorch has one default capture stream for all devices, so each recorder has its own.
        # Streams come from one pool per priority. The workers' streams have a higher priority, so
        # this is never one of them, and a worker's conversions precede another worker's graph.
        self._stream = borrow_stream(self, device, priority=0)

    def __call__(
        self, work: Callable[[], Tensor | None]
    ) -> tuple[Tensor | None, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        before = torch.cuda.current_stream(self._device)
        failed: list[BaseException] = []

        def watched() -> Tensor | None:
            try:
                return work()
            except BaseException as error:
                failed.append(error)
                raise

        try:
            # With thread_local the calls of other workers are not part of this recording.
            with (
                torch.cuda.device(self._device),  # torch.cuda.graph waits for the current device.
                torch.cuda.graph(
                    graph,
                    pool=self._pool,
                    stream=self._stream,
                    capture_error_mode="thread_local",
                ),
            ):
                result = watched()
        except RuntimeError as error:
            if error not in failed:
                # The recording could not be ended, and torch.cuda.graph left its stream in place.
                torch.cuda.set_stream(before)
                if not RECOVERS:
                    _UNUSABLE.set()
            with suppress(RuntimeError):
                graph.reset()
            # Work that ran out of memory is the cause; that the recording has no end is not.
            if failed and is_out_of_memory(failed[0], self._device):
                raise failed[0] from None
            raise
        return result, graph.replay


def _nothing() -> None:
    raise AssertionError("nothing was recorded")
