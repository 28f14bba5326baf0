"""Runs the network on one pair after the other: as it is written, or as recorded CUDA graphs.

A runner holds one encoded pair. :class:`EagerRunner` calls the network; :class:`CudaGraphRunner`
records what an eager runner does for pictures of one size and then replays it, which takes two
launches in place of several hundred. Both give the same pictures: a recording is compared when it
is made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from vsifrnet.engine.backend import is_out_of_memory
from vsifrnet.network import IFRNet, Pair, pair_mean

__all__ = ["RECORDING", "CudaGraphRecorder", "CudaGraphRunner", "EagerRunner", "Recorder", "Runner"]

log = logging.getLogger("vsifrnet")

TOLERANCE = 1 / 1024
"""How far a recording may be from the eager network: a quarter of an 8-bit step."""

RECORDING = threading.Lock()
"""Held by who records, the runs before it included.

In a first run cuDNN may try its algorithms and wait for the whole device, and who runs out of
memory gives back what PyTorch keeps of it: neither goes with the recording of another thread.
"""

type Recorder = Callable[[Callable[[], Tensor | None]], tuple[Tensor | None, Callable[[], None]]]
"""Runs work once; returns its result and what runs it again on the same tensors, in place."""


class Runner(Protocol):
    """Encodes a pair, then makes pictures at any number of times t. Not thread-safe."""

    def encode(self, img0: Tensor, img1: Tensor) -> None:
        """Take up the pair (3, H, W), RGB, mostly in [0, 1], in place of the one before."""

    def decode(self, t: float) -> Tensor:
        """The picture at time ``t``: (3, H, W), float32, in [0, 1] or the range of the pair."""

    def clear(self) -> None:
        """Free the pair and all that was kept for speed."""


class EagerRunner:
    """Calls the network; pads and crops around it, and averages mirrored runs."""

    def __init__(self, network: IFRNet, *, scale: float = 1.0, ensemble: bool = False) -> None:
        self.device = next(network.parameters()).device
        self._network = network
        self._scale = scale
        self._multiple = int(16 / scale)
        # Mirrored runs whose results are averaged: as it is, left-right, upside down, both.
        self._flips: tuple[list[int], ...] = ([], [3], [2], [2, 3]) if ensemble else ([],)
        self._pairs: list[Pair] = []
        self._size = 0, 0

    def encode(self, img0: Tensor, img1: Tensor) -> None:
        """See :class:`Runner`; pictures of any device and floating-point type."""
        self._pairs = []
        # On CUDA half floats stay half the bytes until they are needed in full.
        dtype = torch.float32 if self.device.type == "cpu" else img0.dtype
        pair = [img[None].to(self.device, dtype) for img in (img0, img1)]
        height, width = self._size = img0.shape[1], img0.shape[2]
        low, high = torch.aminmax(torch.stack([torch.stack(img.aminmax()) for img in pair]))
        # Values beyond [0, 1] (whiter than white, colours beyond RGB) are moved with the picture
        # as they are, or they would flicker; the network has learned to look at the others.
        beyond = self.device.type != "cpu" or bool((low < 0.0) | (high > 1.0))
        seen = [img.clamp(0.0, 1.0) for img in pair] if beyond else pair
        mean = pair_mean(*seen)
        right, bottom = -width % self._multiple, -height % self._multiple
        if right or bottom:
            # Replicated, the border neither shifts the mean nor puts an edge into the picture.
            border = partial(F.pad, pad=(0, right, 0, bottom), mode="replicate")
            pair, seen = [border(img) for img in pair], [border(img) for img in seen]
        for flip in self._flips:
            flipped = [img.flip(flip) for img in seen] if flip else seen
            encoded = self._network.encode(*flipped, scale=self._scale, mean=mean)
            if beyond:
                pictures = torch.cat([img.flip(flip) for img in pair] if flip else pair)
                pictures = pictures.float().sub_(mean)
                limits = low.clamp(max=0.0), high.clamp(min=1.0)
                encoded = replace(encoded, pictures=pictures, limits=limits)
            self._pairs.append(encoded)

    def decode(self, t: float) -> Tensor:
        """See :class:`Runner`."""
        # Filled on the device: a copy from the host would wait for all that is queued there.
        return self.decode_at(torch.full((1,), t, dtype=torch.float32, device=self.device))

    def decode_at(self, t: Tensor) -> Tensor:
        """As :meth:`decode`, with the time as a tensor (1,) on the device."""
        height, width = self._size
        pictures = [self._network.decode(pair, t).image for pair in self._pairs]
        picture = pictures[0]
        if len(pictures) > 1:
            back = [made.flip(flip) for made, flip in zip(pictures, self._flips, strict=True)]
            picture = torch.stack(back).mean(0)
        return picture[0, :, :height, :width]

    def clear(self) -> None:
        """See :class:`Runner`."""
        self._pairs = []


class CudaGraphRunner:
    """Replays a recording of an eager runner, made anew where pictures come in another size."""

    def __init__(self, eager: EagerRunner, recorder: Callable[[], Recorder]) -> None:
        self._eager = eager
        self._recorder = recorder
        self._trusted = True
        self.clear()

    def encode(self, img0: Tensor, img1: Tensor) -> None:
        """See :class:`Runner`."""
        if self._trusted and (self._inputs is None or self._inputs.shape[1:] != img0.shape):
            with RECORDING:
                self._record(img0, img1)
        if not self._trusted:
            self._eager.encode(img0, img1)
            return
        assert self._inputs is not None
        self._inputs[0].copy_(img0, non_blocking=True)
        self._inputs[1].copy_(img1, non_blocking=True)
        self._replay_encode()

    def decode(self, t: float) -> Tensor:
        """See :class:`Runner`."""
        if not self._trusted:
            return self._eager.decode(t)
        assert self._time is not None
        assert self._picture is not None
        self._time.fill_(t)
        self._replay_decode()
        # The next replay writes to the same memory.
        return self._picture.clone()

    def clear(self) -> None:
        """See :class:`Runner`."""
        self._inputs: Tensor | None = None
        self._time: Tensor | None = None
        self._picture: Tensor | None = None
        self._replay_encode: Callable[[], None] = _nothing
        self._replay_decode: Callable[[], None] = _nothing
        self._eager.clear()

    def _record(self, img0: Tensor, img1: Tensor) -> None:
        eager = self._eager
        self.clear()
        # Outside of the recording: libraries choose their algorithms in the first run.
        eager.encode(img0, img1)
        expected = eager.decode(0.25)
        eager.clear()  # now, or its memory would be missing beside the recording's
        # Recorded on empty pictures, so that what a recording did not take from its inputs shows.
        inputs = torch.zeros((2, *img0.shape), dtype=img0.dtype, device=eager.device)
        time = torch.zeros(1, dtype=torch.float32, device=eager.device)
        record = self._recorder()
        try:
            _, replay_encode = record(lambda: eager.encode(inputs[0], inputs[1]))
            picture, replay_decode = record(lambda: eager.decode_at(time))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            # Another program in the process can break a recording.
            self._distrust(str(error))
            return
        self._inputs, self._time, self._picture = inputs, time, picture
        self._replay_encode, self._replay_decode = replay_encode, replay_decode
        self.encode(img0, img1)
        difference = float((self.decode(0.25) - expected).abs().max())
        if not difference <= TOLERANCE:
            self._distrust(f"their picture is off by {difference:g}")

    def _distrust(self, reason: str) -> None:
        log.warning("ifrnet: CUDA graphs are not used: %s", reason)
        self.clear()
        self._trusted = False


class CudaGraphRecorder:
    """A :data:`Recorder`: CUDA graphs that share their memory, for replay in turn."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        # PyTorch's own is one for all devices. Streams are handed out in turn from a pool for
        # each priority, so that one of another priority is never the stream of a worker.
        self._stream = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    def __call__(
        self, work: Callable[[], Tensor | None]
    ) -> tuple[Tensor | None, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        try:
            # Other workers go on meanwhile: what their threads call is not part of this recording.
            with (
                torch.cuda.device(self._device),  # which torch.cuda.graph waits for
                torch.cuda.graph(
                    graph,
                    pool=self._pool,
                    stream=self._stream,
                    capture_error_mode="thread_local",
                ),
            ):
                result = work()
        except RuntimeError as error:
            # To end a recording that ran out of memory fails as well, and would hide why.
            if isinstance(error.__context__, torch.OutOfMemoryError):
                raise error.__context__ from None
            raise
        return result, graph.replay


def _nothing() -> None:
    raise AssertionError("nothing was recorded")
