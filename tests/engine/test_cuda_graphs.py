"""Recordings, with a recorder that does on the CPU what CUDA graphs do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
import torch
from conftest import picture
from fake_cuda import replaying
from torch import Tensor

from vsifrnet.engine.cuda_graphs import RECORDING, CudaGraphRunner
from vsifrnet.engine.runner import EagerRunner
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
