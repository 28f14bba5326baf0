"""The fast forms give what the plain ones give, whatever was run before. No timing."""

from __future__ import annotations

import gc
import logging
import random
import threading
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import moving, psnr, same, scene
from safetensors.torch import save_file
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vsifrnet import ifrnet
from vsifrnet.engine import backend, ops
from vsifrnet.engine.interpolator import Interpolator, prepare
from vsifrnet.engine.runner import RECORDING, CudaGraphRunner, EagerRunner
from vsifrnet.engine.workers import SourceFrame, Uploads, Workers
from vsifrnet.network import CONFIGS, IFRNet, aligned, pair_mean
from vsifrnet.weights import load as weights

HALF = Fraction(1, 2)


type SetThreads = Callable[[int], None]


@pytest.fixture
def torch_threads() -> Iterator[SetThreads]:
    """Sets PyTorch's number of threads until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def picture(n: float, width: int = 96, height: int = 64) -> Tensor:
    return torch.from_numpy(scene(n, width, height).transpose(2, 0, 1).copy())


def random_like(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last)


def both_ways(work: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """The plain result and the one of inference mode."""
    with torch.no_grad():
        plain = work()
    with torch.inference_mode():
        return plain, work()


@pytest.fixture(scope="module")
def network() -> IFRNet:
    return prepare(weights.load(), backend.resolve("cpu", "fp32"))


@pytest.mark.parametrize(("height", "width"), [(8, 12), (5, 7), (1, 3)])
def test_prelu(height: int, width: int) -> None:
    x, slope = random_like(2, 5, height, width), torch.linspace(-0.5, 1.5, 5)
    assert torch.equal(ops.prelu(x, slope), F.prelu(x, slope))


@pytest.mark.parametrize("band", [1, 2000, 5000, 1 << 40])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (7, 2)])
def test_convolution_in_bands(
    band: int, kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "BAND", band)
    torch.manual_seed(0)
    conv, slope = nn.Conv2d(6, 5, kernel, stride, kernel // 2), torch.rand(5)
    x = random_like(2, 6, 22, 18)
    residual = random_like(2, 5, -(-22 // stride), -(-18 // stride), seed=1)
    plain, fast = both_ways(lambda: ops.conv_prelu(x, conv, slope, residual))
    assert torch.equal(plain, F.prelu(conv(x) + residual, slope))
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


def test_transposed_convolution() -> None:
    torch.manual_seed(0)
    up = ops.Up(7, 5)
    plain, fast = both_ways(lambda: up(random_like(2, 7, 6, 9)))
    assert torch.equal(plain, nn.ConvTranspose2d.forward(up, random_like(2, 7, 6, 9)))
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("reach", [0.0, 1.0, 40.0])
@pytest.mark.parametrize(("height", "width"), [(16, 24), (2, 2), (1, 5), (5, 1)])
def test_warp(height: int, width: int, reach: float) -> None:
    """Also far outside, at whole positions, and for pictures of one row or column."""
    pictures = random_like(4, 5, height, width)
    flows = reach * torch.randn((2, 4, height, width), generator=torch.Generator().manual_seed(1))
    flows[0] = flows[0].round()
    mask = torch.rand((2, 1, height, width), generator=torch.Generator().manual_seed(2))
    plain, fast = both_ways(lambda: ops.warp_both(pictures, flows))
    separate = [ops.warp(pictures[:2], flows[:, :2]), ops.warp(pictures[2:], flows[:, 2:])]
    assert torch.equal(plain, torch.cat(separate, dim=1))
    torch.testing.assert_close(fast, plain, atol=2e-4, rtol=1e-4)
    plain, fast = both_ways(lambda: ops.blend(pictures, flows, mask))
    torch.testing.assert_close(fast, plain, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_network_in_both_modes(name: str, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    model = IFRNet(CONFIGS[name]).eval().to(memory_format=layout)
    images = picture(0)[None], picture(2)[None]
    plain, fast = both_ways(lambda: model(*images, torch.tensor([0.3])))
    torch.testing.assert_close(fast, plain, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_aligned_network_is_equal(name: str) -> None:
    torch.manual_seed(0)
    model = IFRNet(CONFIGS[name]).eval()
    wide = aligned(model, 8)
    convolutions = [m for m in wide.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hidden = [m for m in convolutions if m.kernel_size == (3, 3) and m.stride == (1, 1)]
    encoder = {m for m in wide.encoder.modules() if isinstance(m, nn.Conv2d)}
    assert all(m.in_channels % 8 == m.out_channels % 8 == 0 for m in hidden if m not in encoder)
    images = picture(0)[None], picture(2)[None]
    state = torch.get_rng_state()
    aligned(model, 8)
    assert torch.equal(torch.get_rng_state(), state)
    for result in both_ways(lambda: wide(*images, torch.tensor([0.3]))):
        with torch.no_grad():
            expected = model(*images, torch.tensor([0.3]))
        torch.testing.assert_close(result, expected, atol=2e-5, rtol=0)


def test_network_leaves_its_inputs(network: IFRNet) -> None:
    images = picture(0)[None], picture(1)[None]
    before = [image.clone() for image in images]
    with torch.inference_mode():
        pair = network.encode(*images)
        first, second = (network.decode(pair, torch.tensor([0.5])).image for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(image, kept) for image, kept in zip(images, before, strict=True))


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_bf16_against_plain_fp32(network: IFRNet, scale: float) -> None:
    images = [picture(n, 320, 192) for n in (0, 2)]
    low = prepare(weights.load(), backend.resolve("cpu", "bf16"))
    with torch.no_grad():
        exact = network(images[0][None], images[1][None], torch.tensor([0.5]), scale)[0]
    assert psnr(Interpolator(low, scale=scale)(*images, HALF).numpy(), exact.numpy()) >= 50


def replaying(
    work: Callable[[], Tensor | None],
) -> tuple[Tensor | None, Callable[[], None]]:
    """What CUDA graphs do, on the CPU: the same work on the same tensors, result in place."""
    result = work()

    def replay() -> None:
        again = work()
        if result is not None and again is not None:
            result.copy_(again)

    return result, replay


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


def test_frames_are_read_once_for_neighbouring_pairs(network: IFRNet) -> None:
    reads: list[int] = []
    all_asked = threading.Barrier(4)

    class First:
        def __call__(self, img0: Tensor, *_: object, **__: object) -> Tensor:
            return img0

        def clear(self) -> None:
            pass

    def read(number: int) -> Tensor:
        reads.append(number)
        return torch.full((3, 2, 2), number / 8)

    workers = Workers([First(), First()], torch.device("cpu"))  # type: ignore[list-item]
    made: dict[int, Tensor] = {}

    def make(n: int) -> None:
        pair = [SourceFrame(k, partial(read, k)) for k in (n, n + 1)]
        held = [workers._read(source) for source in pair]
        all_asked.wait(10)
        made[n] = workers.make(n, *pair, HALF)
        del held

    threads = [threading.Thread(target=make, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reads) == [0, 1, 2, 3, 4]
    assert all(torch.equal(result, torch.full((3, 2, 2), n / 8)) for n, result in made.items())
    assert not workers._reading  # nothing is kept for it


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
def test_full_memory_means_fewer_lanes(
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
def test_lanes_share_out_the_cores(cores: int, torch_threads: SetThreads) -> None:
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
    for queue in range(workers.queues):
        workers.make(
            queue, SourceFrame(0, lambda: picture(0)), SourceFrame(1, lambda: picture(1)), HALF
        )
    assert torch.get_num_threads() == 2 * cores
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == {"ifrnet-0_0": cores, "ifrnet-1_0": cores, "other": 2 * cores}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("times", "holds"), [(1, 1), (2, 1), (7, 1), (1, 2), (3, 2), (1, 3)])
def test_lanes_take_turns(network: IFRNet, device: str, count: int, times: int, holds: int) -> None:
    """Whatever frames are made: ``times`` in every gap, or only in every second or third."""
    workers = Workers([Interpolator(network) for _ in range(count)], torch.device("cpu"))
    workers._uploads.device = torch.device(device)  # for the choice alone: nothing is made
    pairs = [pair for pair in range(0, 12 * holds, holds) for _ in range(times)]
    queues = [workers.choose(pair) for pair in pairs]
    if device == "cpu":
        assert all((b - a) % workers.queues == 1 for a, b in pairwise(queues))
        return
    chosen: dict[int, set[int]] = {pair: set() for pair in pairs}
    for pair, queue in zip(pairs, queues, strict=True):
        chosen[pair].add(queue % count)
    assert all(len(worker) == 1 for worker in chosen.values())  # encoded once
    order = [worker.pop() for worker in chosen.values()]
    assert all((b - a) % count == 1 % count for a, b in pairwise(order))
    for worker in range(count):
        assert all(a != b for a, b in pairwise([q for q in queues if q % count == worker]))
    assert len(workers._pairs) <= 2 * workers.queues


def test_weights_that_ignore_t_take_one_lane_beyond_the_middle(
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


def test_mean_does_not_depend_on_threads(torch_threads: SetThreads) -> None:
    images = torch.rand(2, 1, 3, 700, 900, generator=torch.Generator().manual_seed(0))
    means = []
    for count in (1, 2, 3, 8):
        torch_threads(count)
        means.append(float(pair_mean(*images)))
    assert len(set(means)) == 1
    assert means[0] == pytest.approx(float(images.double().mean()), rel=1e-6)


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


def test_a_lane_needs_two_gigabytes_of_a_gpu_at_4k() -> None:
    """So that two, beside what CUDA and cuDNN take, fit into 6 GB. Tensors of no content."""
    wide = aligned(weights.load().build(), 8)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode(), Memory() as memory:
        state = {
            key: torch.empty(value.shape, dtype=torch.float16, device="cuda")
            for key, value in wide.state_dict().items()
        }
        wide.load_state_dict(state, assign=True)
        eager = EagerRunner(wide)
        eager.encode(*torch.empty((2, 3, 2160, 3840), dtype=torch.float16, device="cuda"))
        encoded = memory.most
        eager.decode(0.5)
    assert encoded < memory.most
    assert 1.5 * 2**30 < memory.most < 2 * 2**30  # 2.7 where every input is held to the end
