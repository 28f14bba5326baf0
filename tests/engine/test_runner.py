"""Tests of the memory that a runner needs."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vsifrnet.engine.align import aligned
from vsifrnet.engine.motion import MotionRunner
from vsifrnet.engine.runner import EagerRunner, RecordableRunner
from vsifrnet.weights.load import load_weights


class Memory(TorchDispatchMode):
    """Bytes of all tensors that exist, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._seen and self._seen[key]() is storage:
            return

        def gone(_: object) -> None:
            del self._seen[key]
            self.now -= size

        self._seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)


@pytest.mark.parametrize("scale", ["auto", 1.0])
def test_a_worker_needs_two_gigabytes_of_a_gpu_at_4k(scale: str | float) -> None:
    """So that two, beside what CUDA and cuDNN take, fit into 6 GB. Tensors of no content."""
    wide = aligned(load_weights().build(), 8)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode(), Memory() as memory:
        state = {
            key: torch.empty(value.shape, dtype=torch.float16, device="cuda")
            for key, value in wide.state_dict().items()
        }
        wide.load_state_dict(state, assign=True)
        eager: RecordableRunner = EagerRunner(wide, flows=scale == "auto")
        if scale == "auto":
            eager = MotionRunner(eager)
        eager.encode(*torch.empty((2, 3, 2160, 3840), dtype=torch.float16, device="cuda"))
        encoded = memory.most
        eager.decode(0.5)
    assert encoded < memory.most
    assert 1.5 * 2**30 < memory.most < 2 * 2**30  # 2.7 where every input is held to the end
