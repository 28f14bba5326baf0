"""Pictures on their way from the device to the host."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Download"]


class Download:
    """A picture that is copied to the host, on CUDA in the current stream and into pinned memory.

    The worker starts the copy and goes on with its next picture; whoever requested this one waits.
    """

    def __init__(self, picture: Tensor, held: tuple[Tensor, ...]) -> None:
        """Start the copy; ``held`` are tensors that the stream needs until the copy has ended."""
        self._host, self._held = picture, held
        self._done: torch.cuda.Event | None = None
        self._device = picture.device
        if picture.is_cuda:
            self._host = torch.empty(picture.shape, dtype=picture.dtype, pin_memory=True)
            self._host.copy_(picture, non_blocking=True)
            # A blocking event sleeps; a stream's synchronize would poll and occupy a core.
            self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._done.record()

    def wait(self) -> Tensor:
        """Return the picture on the host once it is there."""
        if self._done is not None:
            # In a thread of VapourSynth another device is the current one, and would be set up.
            with torch.cuda.device(self._device):
                self._done.synchronize()
        self._held = ()
        return self._host
