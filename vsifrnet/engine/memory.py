"""The memory of a CUDA device: whether it is full, what a worker takes of it, giving it back."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

__all__ = ["RECORDING", "DeviceMemory", "borrow_stream", "is_out_of_memory"]

log = logging.getLogger("vsifrnet")

RECORDING = threading.RLock()
"""Held while a CUDA graph is recorded, including the eager run before it.

In a first run cuDNN may try several algorithms and wait for the whole device, and giving PyTorch's
cached blocks back to the device does so as well. Either would break another thread's recording.
"""

FULL = (
    "out of memory",  # torch.AcceleratorError, when a graph is instantiated or a module loaded
    "ran out of memory outside PyTorch's allocator",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Messages of a RuntimeError that mean that the device's memory is full."""

PERHAPS_FULL = (
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "unable to find an engine",  # cuDNN skips algorithms without memory for their workspace.
)
"""Messages that mean a full device, or libraries that do not fit the device or its driver."""


_FREE_STREAMS: defaultdict[tuple[torch.device, int], list[torch.cuda.Stream]] = defaultdict(list)
"""Streams without an owner, by device and priority."""


def borrow_stream(owner: object, device: torch.device, priority: int) -> torch.cuda.Stream:
    """Return a stream that nobody else uses until ``owner`` is collected.

    Streams are used again because PyTorch keeps a cuBLAS workspace for each stream that ever
    multiplied matrices, 32 MiB on an H100. Every reload of a script would add several.
    """
    free = _FREE_STREAMS[device, priority]
    try:
        stream = free.pop()
    except IndexError:
        stream = torch.cuda.Stream(device, priority=priority)  # type: ignore[no-untyped-call]
    # Appending to a list takes no lock, so a finalizer may do it at any moment.
    weakref.finalize(owner, free.append, stream)
    return stream


def is_out_of_memory(error: BaseException, device: torch.device | None = None) -> bool:
    """Return whether an error means that the memory of ``device`` is full.

    Errors that can have another cause count unless at least half of the memory is free. None is
    the current device.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = str(error)
    if any(sign in text for sign in FULL):
        return True
    return any(sign in text for sign in PERHAPS_FULL) and not _half_is_free(device)


def _half_is_free(device: torch.device | None) -> bool:
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    try:
        free, total = _free_and_total(device or torch.device("cuda", torch.cuda.current_device()))
    except RuntimeError:  # The device is lost.
        return False
    return 2 * free >= total


def _free_and_total(device: torch.device) -> tuple[int, int]:
    """Return the bytes that are free and that exist, within the limit set for the process."""
    free, total = torch.cuda.mem_get_info(device)
    limit = int(torch.cuda.get_per_process_memory_fraction(device) * total)
    return min(free, limit - torch.cuda.memory_reserved(device)), min(total, limit)


class DeviceMemory:
    """The memory of one device, as the workers of one filter share it. Thread-safe.

    On the CPU it does nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._taken = 0

    @property
    def limited(self) -> bool:
        """True if the device has memory of its own."""
        return self._device.type == "cuda"

    def free(self) -> int:
        """Return the bytes that are free on the device."""
        return _free_and_total(self._device)[0]

    def reserved(self) -> int:
        """Return the bytes that PyTorch has taken, in use or not."""
        return torch.cuda.memory_reserved(self._device)

    def release(self) -> None:
        """Give PyTorch's unused blocks back to the device.

        While a graph is recorded PyTorch gives no blocks back, whichever thread needs memory, and
        reports a full device instead; this waits for the end of the recording.
        """
        # PyTorch before 2.14 refuses this after a failed recording.
        with RECORDING, suppress(RuntimeError):
            self._empty_cache()

    def _empty_cache(self) -> None:
        if self.limited:
            with torch.cuda.device(self._device):
                torch.cuda.empty_cache()

    @contextmanager
    def first_picture(self) -> Iterator[None]:
        """Hold :data:`RECORDING` while a worker makes its first picture, if there is room for it.

        A worker records in its first picture and keeps that memory. When a device is full, the
        driver of Windows moves memory to the host instead of failing, which is many times slower.
        So the free memory is compared with what the largest worker so far has taken.

        Raises:
            torch.OutOfMemoryError: another worker would not fit.
        """
        if not self.limited:
            yield
            return
        with RECORDING:
            self.release()
            free = self.free()
            if free < self._taken:
                raise torch.OutOfMemoryError(
                    f"a worker takes {self._taken >> 20} MiB, and {free >> 20} MiB are free"
                )
            before = self.reserved()
            yield
            self._taken = max(self._taken, self.reserved() - before)
