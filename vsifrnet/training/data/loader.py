"""Batches by step, made in worker processes ahead of their use."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from vsifrnet.errors import TrainingError
from vsifrnet.training.data.sample import Batch, DataSet, collate

__all__ = ["Batches", "load_batches"]


class Batches(Dataset[Batch | TrainingError]):
    """The batch of one process at a step: its share of the samples from ``first(step)`` on.

    So the samples of a step are the same however many processes share them.
    """

    def __init__(self, data: DataSet, batch: int, *, rank: int = 0, world: int = 1) -> None:
        if batch % world:
            raise TrainingError(f"batch is {batch}: it must divide by the {world} processes")
        self.data = data
        self.batch = batch
        self.share = batch // world
        self.rank = rank
        self.offset = 0
        """Samples used beyond ``step * batch``: not 0 after steps of another batch."""

    def first(self, step: int) -> int:
        """The first sample of a step, of all processes; so many were used before it."""
        return self.offset + step * self.batch

    def __getitem__(self, step: int) -> Batch | TrainingError:
        first = self.first(step) + self.rank * self.share
        try:
            return collate([self.data.sample(i) for i in range(first, first + self.share)])
        except TrainingError as error:
            # Returned, not raised: a worker process would bury it in a second traceback.
            return error


def load_batches(
    batches: Batches, steps: range, *, workers: int, pinned: bool = False
) -> Iterator[Batch]:
    """The batches of ``steps`` in order; in ``pinned`` memory, which CUDA copies from meanwhile.

    Raises:
        TrainingError: what a data set said was wrong, or a worker process died.
    """
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=list(steps),
        num_workers=workers,
        # Not a fork: the threads of OpenCV and PyTorch would be missing in it, and it would hang.
        multiprocessing_context="spawn" if workers else None,
        pin_memory=pinned,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
    )
    iterator = _start(loader)
    while True:
        try:
            batch = next(iterator, None)
        except RuntimeError as error:
            if not re.search("exited unexpectedly|killed by signal", str(error)):
                raise
            raise TrainingError(
                f"a process that makes samples died ({error}): perhaps memory ran out, or /dev/shm "
                f"is too small; fewer --workers than {workers} need less of both, 0 no /dev/shm"
            ) from error
        if batch is None:
            return
        if isinstance(batch, TrainingError):
            raise batch
        yield batch


def _start(loader: DataLoader[Batch | TrainingError]) -> Iterator[Batch | TrainingError]:
    """An iterator whose dead workers are noticed by ``next`` alone.

    PyTorch's handler of SIGCHLD would raise wherever the main thread is, far from load_batches.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    iterator = iter(loader)
    signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)
    return iterator


def _one_thread(_worker: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
