"""Workers make the same pictures in any order, share the cores, and survive a full device."""

from __future__ import annotations

import gc
import logging
import random
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SetThreads, moving, picture, same
from safetensors.torch import save_file
from torch import Tensor

from vsifrnet import ifrnet
from vsifrnet.engine import workers as workers_module
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.sources import SourceFrame
from vsifrnet.engine.workers import Slots, Workers
from vsifrnet.network import IFRNet

HALF = Fraction(1, 2)


class Full:
    """Lets an interpolator run out of memory while there are more than ``fit`` of its kind."""

    def __init__(self, inner: Interpolator, alive: set[int], fit: int, error: RuntimeError) -> None:
        self._inner, self._alive, self._fit, self._error = inner, alive, fit, error

    def __call__(self, *args: Tensor, **kwargs: object) -> Tensor:
        self._alive.add(id(self))
        if len(self._alive) > self._fit:
            self._alive.discard(id(self))
            raise self._error
        return self._inner(*args, **kwargs)  # type: ignore[arg-type]

    def stop_recording(self) -> bool:
        return self._inner.stop_recording()

    def clear(self) -> None:
        self._alive.discard(id(self))
        self._inner.clear()


@pytest.mark.parametrize("fit", [0, 1, 2])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("no room"),
        RuntimeError("GET was unable to find an engine to execute this computation"),  # cuDNN's
    ],
    ids=["torch", "cudnn"],
)
def test_full_memory_means_fewer_workers(
    network: IFRNet, fit: int, error: RuntimeError, caplog: pytest.LogCaptureFixture
) -> None:
    alive: set[int] = set()
    inner = [Full(Interpolator(network), alive, fit, error) for _ in range(3)]
    workers = Workers(inner, torch.device("cpu"))  # type: ignore[arg-type]
    made: dict[int, Tensor | Exception] = {}

    def make(n: int) -> None:
        pair = [SourceFrame(k, lambda k=k: picture(k)) for k in (n, n + 1)]
        try:
            made[n] = workers.make(n, *pair, HALF)
        except torch.OutOfMemoryError as error:
            made[n] = error

    threads = [threading.Thread(target=make, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if fit == 0:
        assert all(isinstance(result, torch.OutOfMemoryError) for result in made.values())
        return
    assert len(workers) <= 3 - (fit < 3)
    assert "num_streams=2" in caplog.text
    for n, result in made.items():
        assert torch.equal(result, Interpolator(network)(picture(n), picture(n + 1), HALF))


@pytest.mark.parametrize(("num_streams", "threads"), [(1, 2), (2, 4), (3, 3)])
def test_order_changes_nothing(num_streams: int, threads: int, torch_threads: SetThreads) -> None:
    """Seeks in any order, several times: bit for bit the same."""
    torch_threads(threads)
    clip = moving(5)
    linear = list(ifrnet(clip, multi=3, sc=False, num_streams=num_streams).frames())
    order = list(range(len(linear))) * 2
    random.Random(0).shuffle(order)
    out = ifrnet(clip, multi=3, sc=False, num_streams=num_streams)
    for n in order:
        with out.get_frame(n) as frame:
            assert same(frame, linear[n]), n


def test_streams_change_rounding_at_most() -> None:
    """With other numbers of threads oneDNN may add in another order."""
    clip = moving(5)
    one, three = (ifrnet(clip, multi=3, sc=False, num_streams=n) for n in (1, 3))
    for a, b in zip(one.frames(), three.frames(), strict=True):
        for p in range(3):
            assert abs(np.asarray(a[p]).astype(int) - np.asarray(b[p])).max() <= 1


@pytest.mark.parametrize("cores", [1, 2])
def test_workers_share_the_cores(cores: int, torch_threads: SetThreads) -> None:
    """Each worker has its share of PyTorch's threads, and nobody else has fewer for it."""
    seen: dict[str, int] = {}

    class Spy:
        def __call__(self, img0: Tensor, *_: object, **__: object) -> Tensor:
            seen[threading.current_thread().name] = torch.get_num_threads()
            return img0

        def clear(self) -> None:
            pass

    def other() -> None:
        seen["other"] = torch.get_num_threads()

    torch_threads(2 * cores)
    workers = Workers([Spy(), Spy()], torch.device("cpu"))  # type: ignore[list-item]
    for slot in range(len(workers.slots)):
        workers.make(
            slot, SourceFrame(0, lambda: picture(0)), SourceFrame(1, lambda: picture(1)), HALF
        )
    assert torch.get_num_threads() == 2 * cores
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == {"ifrnet-0_0": cores, "ifrnet-1_0": cores, "other": 2 * cores}


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("times", "holds"), [(1, 1), (2, 1), (7, 1), (1, 2), (3, 2), (1, 3)])
def test_pairs_stay_on_a_worker_and_workers_take_turns(count: int, times: int, holds: int) -> None:
    """Whatever frames are made: ``times`` in every gap, or only in every second or third."""
    slots = Slots(count, keep_pairs=True)
    pairs = [pair for pair in range(0, 12 * holds, holds) for _ in range(times)]
    chosen = [slots.choose(pair) for pair in pairs]
    workers: dict[int, set[int]] = {pair: set() for pair in pairs}
    for pair, slot in zip(pairs, chosen, strict=True):
        workers[pair].add(slot % count)
    assert all(len(worker) == 1 for worker in workers.values())  # encoded once
    order = [worker.pop() for worker in workers.values()]
    assert all((b - a) % count == 1 % count for a, b in pairwise(order))
    for worker in range(count):
        assert all(a != b for a, b in pairwise([s for s in chosen if s % count == worker]))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_without_pairs_slots_take_turns(count: int) -> None:
    slots = Slots(count, keep_pairs=False)
    chosen = [slots.choose(pair) for pair in (0, 0, 0, 1, 2, 2, 7)]
    assert all((b - a) % len(slots) == 1 for a, b in pairwise(chosen))


def test_weights_that_ignore_t_take_one_worker_beyond_the_middle(
    network: IFRNet,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its halves depend on each other; two workers would each make all of them."""
    state = {key: value.clone().contiguous() for key, value in network.state_dict().items()}
    state["decoder4.convblock.0.0.weight"][:, -1] = 0
    path = tmp_path / "blind.safetensors"
    save_file(state, path)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for arguments, expected in (
        ({"multi": 2}, 2),
        ({"multi": 4}, 1),
        ({"multi": 4, "num_streams": 2}, 2),
    ):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            ifrnet(moving(2), model=path, device="cpu", **arguments)
        assert f"num_streams={expected}" in caplog.text


def test_reloading_keeps_no_threads() -> None:
    before = set(threading.enumerate())
    clip = moving(2)
    for _ in range(5):
        ifrnet(clip, sc=False, num_streams=2).get_frame(1).close()
    gc.collect()
    new = set(threading.enumerate()) - before
    workers = [thread for thread in new if thread.name.startswith("ifrnet-")]
    for thread in workers:
        thread.join(10)
    assert not any(thread.is_alive() for thread in workers)


def test_a_worker_goes_on_while_its_picture_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    second = threading.Event()

    class Numbered:
        def __call__(self, img0: Tensor, *_: object, **__: object) -> Tensor:
            made.append(len(made))
            if len(made) == 2:
                second.set()
            return img0

        def clear(self) -> None:
            pass

    class Slow(workers_module.Download):
        def wait(self) -> Tensor:
            assert second.wait(30), "the worker waited for the download of its first picture"
            return super().wait()

    monkeypatch.setattr(workers_module, "Download", Slow)
    workers = Workers([Numbered()], torch.device("cpu"))  # type: ignore[list-item]
    pair = [SourceFrame(k, lambda: torch.zeros(3, 2, 2)) for k in (0, 1)]
    results: list[Tensor] = []
    threads = [
        threading.Thread(target=lambda: results.append(workers.make(0, *pair, HALF)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
