"""Recordings are tested with a recorder that does on the CPU what CUDA graphs do."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch
from conftest import picture
from fake_cuda import replaying
from torch import Tensor

from vsifrnet.engine import cuda_graphs, memory
from vsifrnet.engine.cuda_graphs import CudaGraphRecorder, CudaGraphRunner
from vsifrnet.engine.memory import RECORDING
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.engine.workers import Workers
from vsifrnet.network import IFRNet


@pytest.mark.parametrize("ensemble", [False, True])
def test_recording_never_shows_an_earlier_pair(network: IFRNet, ensemble: bool) -> None:
    eager = EagerRunner(network, ensemble=ensemble)
    graphed = CudaGraphRunner(EagerRunner(network, ensemble=ensemble), lambda: replaying)
    sizes = [(48, 32), (48, 32), (40, 30)]
    with torch.inference_mode():
        kept = []
        for n, size in enumerate(sizes):
            images = picture(n, *size), picture(n + 1, *size)
            eager.encode(*images)
            graphed.encode(*images)
            for t in (0.5, 0.125):
                kept.append((graphed.decode(t), eager.decode(t)))
        assert all(torch.equal(made, expected) for made, expected in kept)


def test_recording_that_differs_is_not_used(
    network: IFRNet, caplog: pytest.LogCaptureFixture
) -> None:
    def stale(work: Callable[[], Tensor | None]) -> tuple[Tensor | None, Callable[[], None]]:
        return work(), lambda: None

    graphed, eager = CudaGraphRunner(EagerRunner(network), lambda: stale), EagerRunner(network)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        for n in range(2):
            for runner in (graphed, eager):
                runner.encode(picture(n), picture(n + 1))
            assert torch.equal(graphed.decode(0.5), eager.decode(0.5))
    assert caplog.text.count("CUDA graphs are not used") == 1


def test_nobody_records_while_another_prepares_to(network: IFRNet) -> None:
    """The first, eager run may do what the recording of another thread does not survive."""
    free: list[bool] = []

    def try_it() -> None:
        free.append(RECORDING.acquire(blocking=False))
        if free[-1]:
            RECORDING.release()

    class Watched(EagerRunner):
        def encode(self, img0: Tensor, img1: Tensor) -> None:
            thread = threading.Thread(target=try_it)
            thread.start()
            thread.join()
            super().encode(img0, img1)

    graphed = CudaGraphRunner(Watched(network), lambda: replaying)
    with torch.inference_mode():
        graphed.encode(picture(0), picture(1))
    # The eager run, the recording, its comparison; then a replay, for which nobody has to wait.
    assert free == [False, False, False, True]


class Breaking:
    """Records as :func:`replaying` does, but the first ``times`` recordings fail."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.tries = 0

    def __call__(
        self, work: Callable[[], Tensor | None]
    ) -> tuple[Tensor | None, Callable[[], None]]:
        self.tries += 1
        if self.tries <= self.times:
            work()
            raise torch.AcceleratorError("CUDA error: operation failed due to a previous error")
        return replaying(work)


def run_beside_eager(runner: CudaGraphRunner, network: IFRNet, pairs: range) -> None:
    eager = EagerRunner(network)
    with torch.inference_mode():
        for n in pairs:
            for each in (runner, eager):
                each.encode(picture(n), picture(n + 1))
            for t in (0.5, 0.125):
                assert torch.equal(runner.decode(t), eager.decode(t))


@pytest.mark.parametrize(("times", "tries"), [(1, 3), (2, 2)])
def test_a_failed_recording_is_tried_once_more(
    network: IFRNet, times: int, tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    breaking = Breaking(times)
    runner = CudaGraphRunner(EagerRunner(network), lambda: breaking)
    run_beside_eager(runner, network, range(4))
    assert breaking.tries == tries  # a recording is made in two parts
    assert caplog.text.count("CUDA graphs are not used") == (times == 2)


def test_a_recording_that_runs_out_of_memory_says_so(network: IFRNet) -> None:
    def full(_: object) -> tuple[None, Callable[[], None]]:
        raise torch.AcceleratorError("CUDA error: out of memory")

    runner = CudaGraphRunner(EagerRunner(network), lambda: full)
    with torch.inference_mode(), pytest.raises(torch.AcceleratorError, match="out of memory"):
        runner.encode(picture(0), picture(1))


class FakeCuda:
    """Streams and graphs of ``torch.cuda``, where the end of a recording can fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current = "the worker's stream"
        self.end_fails = False
        self.resets = 0
        self.streams: list[dict[str, object]] = []
        fakes = {
            "graph_pool_handle": lambda: "pool",
            "Stream": self._stream,
            "CUDAGraph": lambda: self,
            "device": lambda _: nullcontext(),
            "graph": self._graph,
            "current_stream": lambda _: self.current,
            "set_stream": self._set_stream,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr(memory, "_FREE_STREAMS", defaultdict(list))

    def _stream(self, device: torch.device, **settings: object) -> str:
        self.streams.append(settings)
        return "the recording's stream"

    def _set_stream(self, stream: str) -> None:
        self.current = stream

    @contextmanager
    def _graph(self, _: object, *, stream: str, **__: object) -> Iterator[None]:
        """As ``torch.cuda.graph`` does, whose own exit fails before it restores the stream."""
        before, self.current = self.current, stream
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
        if self.end_fails:
            raise RuntimeError("CUDA error: operation failed due to a previous error") from error
        self.current = before
        if error is not None:
            raise error

    def replay(self) -> None:
        pass

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def usable(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The process's mark that it can record no more, for this test alone."""
    event = threading.Event()
    monkeypatch.setattr(cuda_graphs, "_UNUSABLE", event)
    return event


@pytest.mark.parametrize("recovers", [True, False])
@pytest.mark.parametrize("error", [None, torch.OutOfMemoryError("no room"), ValueError("a bug")])
def test_a_recording_without_an_end_restores_the_stream(
    recovers: bool,
    error: Exception | None,
    monkeypatch: pytest.MonkeyPatch,
    usable: threading.Event,
) -> None:
    cuda = FakeCuda(monkeypatch)
    cuda.end_fails = True
    monkeypatch.setattr(cuda_graphs, "RECOVERS", recovers)
    expected = torch.OutOfMemoryError if isinstance(error, torch.OutOfMemoryError) else RuntimeError

    def work() -> Tensor:
        if error is not None:
            raise error
        return torch.zeros(1)

    with pytest.raises(expected):
        CudaGraphRecorder(torch.device("cuda", 0))(work)
    assert cuda.current == "the worker's stream"
    assert cuda.resets == 1
    assert usable.is_set() is not recovers


def test_work_that_fails_leaves_the_process_recording(
    monkeypatch: pytest.MonkeyPatch, usable: threading.Event
) -> None:
    """Its recording has an end, so that every version of PyTorch goes on."""
    cuda = FakeCuda(monkeypatch)
    monkeypatch.setattr(cuda_graphs, "RECOVERS", False)

    def work() -> Tensor:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        CudaGraphRecorder(torch.device("cuda", 0))(work)
    assert cuda.current == "the worker's stream"
    assert not usable.is_set()


def test_a_process_that_cannot_record_runs_eagerly(
    network: IFRNet, usable: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    usable.set()
    breaking = Breaking(0)
    runner = CudaGraphRunner(EagerRunner(network), lambda: breaking)
    run_beside_eager(runner, network, range(2))
    assert breaking.tries == 0
    assert caplog.text.count("CUDA graphs are not used: an earlier recording failed") == 1


def test_workers_streams_have_the_higher_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lower number is a higher priority; a worker's conversions precede another's graph."""
    cuda = FakeCuda(monkeypatch)
    CudaGraphRecorder(torch.device("cuda", 0))
    recording = cuda.streams.pop().get("priority", 0)
    monkeypatch.setattr(cuda, "_stream", None)
    stream = Recorded()
    monkeypatch.setattr(torch.cuda, "Stream", stream)
    Workers([Nothing()], torch.device("cuda", 0))  # type: ignore[list-item]
    assert stream.priority == recording - 1


class Recorded:
    """A stream that keeps its priority."""

    def __call__(self, _: torch.device, *, priority: int = 0) -> Recorded:
        self.priority = priority
        return self

    def wait_stream(self, _: object) -> None:
        pass


class Nothing:
    """An interpolator of which no picture is asked."""

    def clear(self) -> None:
        pass
