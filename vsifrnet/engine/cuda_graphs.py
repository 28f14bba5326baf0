"""CUDA graphs: recordings of an eager runner, replayed for every further pair.

:class:`CudaGraphRunner` records what an eager runner does for pictures of one size and replays it,
which takes two launches instead of several hundred. The pictures are the same: each recording is
compared with the eager run when it is made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import torch
from torch import Tensor

from vsifrnet.engine.backend import is_out_of_memory
from vsifrnet.engine.runner import EagerRunner

__all__ = ["RECORDING", "CudaGraphRecorder", "CudaGraphRunner", "Recorder"]

log = logging.getLogger("vsifrnet")

TOLERANCE = 1 / 1024
"""Largest accepted difference of a recording from the eager run: a quarter of an 8-bit step."""

RECORDING = threading.Lock()
"""Held while a graph is recorded, including the eager run before it.

In a first run cuDNN may try several algorithms and wait for the whole device, and a thread that
runs out of memory frees PyTorch's cached blocks. Either would break another thread's recording.
"""

type Recorder = Callable[[Callable[[], Tensor | None]], tuple[Tensor | None, Callable[[], None]]]
"""Runs work once; returns its result and a function that repeats it in place."""


class CudaGraphRunner:
    """Replays a recording of an eager runner, and records again when the size changes."""

    def __init__(self, eager: EagerRunner, recorder: Callable[[], Recorder]) -> None:
        self._eager = eager
        self._recorder = recorder
        self._trusted = True
        self.clear()

    def encode(self, img0: Tensor, img1: Tensor) -> None:
        """See :class:`~vsifrnet.engine.runner.Runner`."""
        if self._trusted and (self._inputs is None or self._inputs.shape[1:] != img0.shape):
            with RECORDING:
                self._record(img0, img1)
        if not self._trusted:
            self._eager.encode(img0, img1)
            return
        assert self._inputs is not None
        self._inputs[0].copy_(img0, non_blocking=True)
        self._inputs[1].copy_(img1, non_blocking=True)
        self._replay_encode()

    def decode(self, t: float) -> Tensor:
        """See :class:`~vsifrnet.engine.runner.Runner`."""
        if not self._trusted:
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

    def _record(self, img0: Tensor, img1: Tensor) -> None:
        eager = self._eager
        self.clear()
        # This run is not recorded: in it libraries choose their algorithms.
        eager.encode(img0, img1)
        expected = eager.decode(0.25)
        eager.clear()  # Its memory is needed for the recording.
        # Recorded on black pictures: the comparison shows whatever does not follow the inputs.
        inputs = torch.zeros((2, *img0.shape), dtype=img0.dtype, device=eager.device)
        time = torch.zeros(1, dtype=torch.float32, device=eager.device)
        record = self._recorder()
        try:
            _, replay_encode = record(lambda: eager.encode(inputs[0], inputs[1]))
            picture, replay_decode = record(lambda: eager.decode_at(time))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            # Other code in the process can break a recording.
            self._distrust(str(error))
            return
        self._inputs, self._time, self._picture = inputs, time, picture
        self._replay_encode, self._replay_decode = replay_encode, replay_decode
        self.encode(img0, img1)
        difference = float((self.decode(0.25) - expected).abs().max())
        if not difference <= TOLERANCE:
            self._distrust(f"their picture is off by {difference:g}")

    def _distrust(self, reason: str) -> None:
        log.warning("ifrnet: CUDA graphs are not used: %s", reason)
        self.clear()
        self._trusted = False


class CudaGraphRecorder:
    """A :data:`Recorder` of CUDA graphs that share one memory pool and are replayed in order."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        # PyTorch has one default capture stream for all devices, so each recorder has its own.
        # Streams come from one pool per priority; with another priority than the workers' streams
        # it is never one of these.
        self._stream = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    def __call__(
        self, work: Callable[[], Tensor | None]
    ) -> tuple[Tensor | None, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
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
                result = work()
        except RuntimeError as error:
            # Ending a recording that ran out of memory fails as well, which would hide the cause.
            if isinstance(error.__context__, torch.OutOfMemoryError):
                raise error.__context__ from None
            raise
        return result, graph.replay


def _nothing() -> None:
    raise AssertionError("nothing was recorded")
