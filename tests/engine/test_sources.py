"""Source frames are read once, and a bounded number is kept on the device."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from torch import Tensor

from vsifrnet.engine.sources import SourceFrame, Uploads


def test_frames_are_read_once_for_neighbouring_pairs() -> None:
    reads: list[int] = []
    all_asked = threading.Barrier(4)
    uploads = Uploads(torch.device("cpu"), 4)
    shared: list[SourceFrame] = []

    def read(number: int) -> Tensor:
        reads.append(number)
        return torch.full((3, 2, 2), number / 8)

    def request(n: int) -> None:
        pair = [uploads.read(SourceFrame(k, partial(read, k))) for k in (n, n + 1)]
        all_asked.wait(10)
        shared.extend(pair)

    threads = [threading.Thread(target=request, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reads) == [0, 1, 2, 3, 4]
    assert all(s.samples[0, 0, 0] == s.number / 8 for s in shared)
    kept = [weakref.ref(source) for source in shared]
    shared.clear()
    assert all(source() is None for source in kept)  # nothing is kept for it


def test_frames_on_the_device_are_not_read() -> None:
    uploads = Uploads(torch.device("cpu"), 2)
    frame = torch.rand(3, 2, 2)
    uploads.get(SourceFrame(0, lambda: frame))

    def fail() -> Tensor:
        raise AssertionError

    assert torch.equal(uploads.get(uploads.read(SourceFrame(0, fail))), frame)


def test_uploads_are_bounded_and_shared() -> None:
    reads: list[int] = []
    uploads = Uploads(torch.device("cpu"), 3)

    def source(number: int) -> SourceFrame:
        return SourceFrame(
            number, lambda: (reads.append(number), torch.full((3, 2, 2), number / 4))[1]
        )

    for number in (0, 1, 1, 2, 1, 3, 0, 1):
        assert torch.equal(uploads.get(source(number)), torch.full((3, 2, 2), number / 4))
    assert reads == [0, 1, 2, 3, 0]


def test_pinned_memory_is_allocated_with_the_networks_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For a thread of VapourSynth the current device is the first GPU: it would get a context."""
    current = [torch.device("cuda", 0)]

    @contextmanager
    def device(other: torch.device) -> Iterator[None]:
        before, current[0] = current[0], other
        yield
        current[0] = before

    monkeypatch.setattr(torch.cuda, "device", device)
    seen: list[torch.device] = []

    def read() -> Tensor:
        seen.append(current[0])
        return torch.zeros(3, 2, 2)

    Uploads(torch.device("cuda", 1), 3).read(SourceFrame(0, read))
    Uploads(torch.device("cpu"), 3).read(SourceFrame(0, read))
    assert seen == [torch.device("cuda", 1), torch.device("cuda", 0)]
