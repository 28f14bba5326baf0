"""Stand-ins for CUDA graphs and for a device's memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vsifrnet.engine.memory import DeviceMemory


def replaying(
    work: Callable[[], Tensor | None],
) -> tuple[Tensor | None, Callable[[], None]]:
    """Do what a CUDA graph does, on the CPU: repeat work on the same tensors, result in place."""
    result = work()

    def replay() -> None:
        again = work()
        if result is not None and again is not None:
            result.copy_(again)

    return result, replay


class FakeMemory(DeviceMemory):
    """A device of ``size`` bytes whose allocator caches memory until it is released."""

    limited = True

    def __init__(self, size: int) -> None:
        super().__init__(torch.device("cpu"))
        self.size = size
        self.used = self.cached = self.releases = 0

    def free(self) -> int:
        return self.size - self.reserved()

    def reserved(self) -> int:
        return self.used + self.cached

    def _empty_cache(self) -> None:
        self.releases += 1
        self.cached = 0
