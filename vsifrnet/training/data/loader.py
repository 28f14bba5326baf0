"""Loading of batches by step; worker processes make them in advance."""

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
    """The batches of one training process: its share of the samples of each step.

    The samples of a step do not depend on the number of processes that share them.
    """

    def __init__(self, data: DataSet, batch: int, *, rank: int = 0, world: int = 1) -> None:
        if batch % world:
            raise TrainingError(
                f"batch={batch}: must be a multiple of the number of processes, {world}"
            )
        self.data = data
        self.batch = batch
        self.share = batch // world
        self.rank = rank
        self.offset = 0
        """Samples used in addition to ``step * batch``, by steps of another batch size."""

    def first(self, step: int) -> int:
        """Return the number of a step's first sample, over all processes."""
        return self.offset + step * self.batch

    def __getitem__(self, step: int) -> Batch | TrainingError:
        first = self.first(step) + self.rank * self.share
        try:
            return collate([self.data.sample(i) for i in range(first, first + self.share)])
        except TrainingError as error:
            # A raised error would be buried in a second traceback of the worker process.
            return error


def load_batches(
    batches: Batches, steps: range, *, workers: int, pinned: bool = False
) -> Iterator[Batch]:
    """Yield the batches of ``steps`` in order; ``pinned`` memory lets CUDA copy asynchronously.

    Raises:
        TrainingError: a data set raised it, or a worker process died.
    """
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=list(steps),
        num_workers=workers,
        # A forked process would hang, because it lacks the threads of OpenCV and PyTorch.
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
                f"a process that makes samples died ({error}): memory or /dev/shm may be full; use "
                f"fewer --workers than {workers} (0 needs no /dev/shm)"
            ) from error
        if batch is None:
            return
        if isinstance(batch, TrainingError):
            raise batch
        yield batch


def _start(loader: DataLoader[Batch | TrainingError]) -> Iterator[Batch | TrainingError]:
    """Return an iterator that reports a dead worker in ``next`` only.

    PyTorch's SIGCHLD handler would raise anywhere in the main thread, far from load_batches.
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
