"""A full device is recognised, the workers go on, and memory is given back."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import defaultdict
from contextlib import nullcontext
from fractions import Fraction

import pytest
import torch
from conftest import picture
from fake_cuda import FakeMemory, replaying
from torch import Tensor

from vsifrnet.engine import memory
from vsifrnet.engine.backend import explain
from vsifrnet.engine.cuda_graphs import CudaGraphRunner
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.memory import RECORDING, DeviceMemory, borrow_stream, is_out_of_memory
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.engine.sources import SourceFrame
from vsifrnet.engine.workers import Workers
from vsifrnet.network import IFRNet

CUDA = torch.device("cuda", 1)
GIB = 1 << 30
HALF = Fraction(1, 2)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("CUDA ran out of memory outside PyTorch's allocator. If this"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_a_full_device(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
    assert explain(error).startswith("out of memory;") is (expected or "memory" in str(error)[:14])


def device_with(
    monkeypatch: pytest.MonkeyPatch, free: int, total: int, *, fraction: float = 1.0
) -> None:
    """A CUDA device, as far as its memory is asked for."""
    for name, result in {
        "is_initialized": True,
        "current_device": 0,
        "mem_get_info": (free, total),
        "memory_reserved": total - free,
        "get_per_process_memory_fraction": fraction,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, result=result: result)


@pytest.mark.parametrize(
    "text",
    [
        "GET was unable to find an engine to execute this computation",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    ],
)
def test_errors_that_have_two_causes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With half of the memory free it is the other one: libraries that do not fit."""
    error = RuntimeError(text)
    assert is_out_of_memory(error)  # where no device can be asked
    device_with(monkeypatch, 1 * GIB, 8 * GIB)
    assert is_out_of_memory(error, CUDA)
    device_with(monkeypatch, 7 * GIB, 8 * GIB)
    assert not is_out_of_memory(error, CUDA)
    assert explain(error) == text
    device_with(monkeypatch, 77 * GIB, 80 * GIB, fraction=0.05)  # a limit of 4 GiB, 3 of it taken
    assert is_out_of_memory(error, CUDA)

    def lost(_: object) -> None:
        raise RuntimeError("CUDA error: the device is lost")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lost)
    assert is_out_of_memory(error, CUDA)


def test_release_survives_a_pytorch_that_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.14 empty_cache fails after a failed recording."""
    held: list[bool] = []

    def refuse() -> None:
        thread = threading.Thread(target=lambda: held.append(not RECORDING.acquire(blocking=False)))
        thread.start()
        thread.join()
        raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")

    monkeypatch.setattr(torch.cuda, "empty_cache", refuse)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    DeviceMemory(CUDA).release()
    assert held == [True]


class Sized:
    """An interpolator that takes ``size`` bytes in its first picture, less without recording."""

    def __init__(self, device: FakeMemory, size: int, eager: int, *, spills: bool = False) -> None:
        self._device, self._size, self._eager, self._spills = device, size, eager, spills
        self._held = 0
        self.records = True
        self.calls = 0

    def __call__(self, img0: Tensor, *_: object, **__: object) -> Tensor:
        self.calls += 1
        needed = (self._size if self.records else self._eager) - self._held
        if needed > self._device.free() and not self._spills:
            # While another thread records, the allocator does not give its cached blocks back.
            raise torch.OutOfMemoryError(f"no room for {needed}")
        self._device.used += needed
        self._held += needed
        return img0

    def stop_recording(self) -> bool:
        was, self.records = self.records, False
        self.clear()
        return was

    def clear(self) -> None:
        self._device.used -= self._held
        self._held = 0


def make_all(workers: Workers, count: int) -> list[Tensor | Exception]:
    """Request ``count`` pictures in turn, in all slots."""
    made: list[Tensor | Exception] = []
    for n in range(count):
        pair = [SourceFrame(k, lambda k=k: torch.full((3, 2, 2), k / 99)) for k in (n, n + 1)]
        try:
            made.append(workers.make(n % len(workers.slots), *pair, HALF))
        except torch.OutOfMemoryError as error:
            made.append(error)
    return made


def test_a_false_full_device_costs_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    """What another recording kept the allocator from giving back is given back before retreating.

    DeviceMemory releases before a worker's first picture; here blocks are cached after that.
    """
    device = FakeMemory(100)
    inner = [Sized(device, 30, 20) for _ in range(2)]
    workers = Workers(inner, torch.device("cpu"), device)  # type: ignore[arg-type]
    make_all(workers, 4)
    for interpolator in inner:
        interpolator.clear()
    device.cached = 90
    assert not any(isinstance(result, Exception) for result in make_all(workers, 4))
    assert len(workers) == 2
    assert not caplog.records


def test_a_device_that_spills_loses_a_worker_before_it_is_full(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As on Windows, where nothing fails and everything is slow."""
    device = FakeMemory(100)
    inner = [Sized(device, 40, 20, spills=True) for _ in range(3)]
    workers = Workers(inner, torch.device("cpu"), device)  # type: ignore[arg-type]
    assert not any(isinstance(result, Exception) for result in make_all(workers, 12))
    assert len(workers) == 2
    assert device.used <= device.size
    assert "num_streams=2 from now" in caplog.text


@pytest.mark.parametrize(("eager", "fits"), [(60, True), (120, False)])
def test_a_single_worker_that_does_not_fit_stops_recording(eager: int, fits: bool) -> None:
    device = FakeMemory(100)
    inner = [Sized(device, 110, eager) for _ in range(2)]
    workers = Workers(inner, torch.device("cpu"), device)  # type: ignore[arg-type]
    made = make_all(workers, 6)
    assert all(isinstance(result, torch.OutOfMemoryError) is not fits for result in made)
    assert len(workers) == 1
    assert not inner[0].records
    if fits:
        assert inner[0].calls == 4 + 6  # it tried to record twice beside the other, twice alone


def test_threads_that_fail_together_retreat_once() -> None:
    device = FakeMemory(100)
    inner = [Sized(device, 110, 60) for _ in range(3)]
    workers = Workers(inner, torch.device("cpu"), device)  # type: ignore[arg-type]
    made: dict[int, Tensor] = {}

    def make(n: int) -> None:
        pair = [SourceFrame(k, lambda k=k: torch.full((3, 2, 2), k / 9)) for k in (n, n + 1)]
        made[n] = workers.make(n, *pair, HALF)

    threads = [threading.Thread(target=make, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(made[n], torch.full((3, 2, 2), n / 9)) for n in range(6))


def test_stopping_keeps_the_pictures(network: IFRNet, caplog: pytest.LogCaptureFixture) -> None:
    runner, eager = CudaGraphRunner(EagerRunner(network), lambda: replaying), EagerRunner(network)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        for n in range(3):
            if n == 1:
                assert runner.stop_recording("for a test")
                assert not runner.stop_recording("for a test")
            for each in (runner, eager):
                each.encode(picture(n), picture(n + 1))
            assert torch.equal(runner.decode(0.5), eager.decode(0.5))
    assert caplog.text.count("for a test") == 1
    assert not Interpolator(network).stop_recording()  # on the CPU there is nothing to stop


def test_workers_that_are_gone_give_their_memory_back() -> None:
    device = FakeMemory(100)
    inner = [Sized(device, 30, 20) for _ in range(2)]
    workers = Workers(inner, torch.device("cpu"), device)  # type: ignore[arg-type]
    make_all(workers, 2)  # of two workers on the CPU, each has made one
    assert device.used == 60
    before = device.releases
    del workers
    gc.collect()
    deadline = time.monotonic() + 10
    while device.releases < before + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert device.releases == before + 2  # by each worker's thread when it ended


def test_streams_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that is reloaded needs no more streams than are in use at once."""

    class Owner:
        pass

    made = []

    def stream(device: torch.device, *, priority: int) -> tuple[int, torch.device, int]:
        made.append(priority)
        return len(made), device, priority

    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(memory, "_FREE_STREAMS", defaultdict(list))
    gpu = torch.device("cuda", 0)
    for _ in range(5):
        one, other = Owner(), Owner()
        assert borrow_stream(one, gpu, -1) != borrow_stream(other, gpu, -1)
        del one, other
    assert made == [-1, -1]
    keep = Owner()
    assert borrow_stream(keep, torch.device("cuda", 1), -1)[1].index == 1
    assert made == [-1, -1, -1]
