"""Clips and fixtures for the tests: moving shapes in any format, made from arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
import vapoursynth as vs
from torch import Tensor

from vsifrnet.engine import backend
from vsifrnet.engine.interpolator import prepare
from vsifrnet.network import IFRNet
from vsifrnet.weights.load import load_weights

core = vs.core


def clip_from(pictures: Sequence[np.ndarray], *, fps: tuple[int, int] = (24, 1)) -> vs.VideoNode:
    """Return pictures (H, W, 3) in [0, 1] as an RGBS clip."""
    height, width, _ = pictures[0].shape
    blank = core.std.BlankClip(
        width=width,
        height=height,
        format=vs.RGBS,
        length=len(pictures),
        fpsnum=fps[0],
        fpsden=fps[1],
        keep=True,
    )

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for p in range(3):
            np.copyto(np.asarray(frame[p]), pictures[n][..., p])
        return frame

    return blank.std.ModifyFrame(blank, fill).std.SetFrameProps(_Matrix=0)


def scene(n: int, width: int, height: int, *, seed: int = 0, speed: float = 2.0) -> np.ndarray:
    """Return a picture at time ``n`` of a panning background and a disc that moves against it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = rng.uniform(0.05, 0.35, (4, 2))
    tints = rng.uniform(0.2, 0.8, (4, 3))
    picture = np.zeros((height, width, 3), np.float32)
    for (a, b), tint in zip(waves, tints, strict=True):
        wave = 0.5 + 0.5 * np.sin(a * (x - speed * n / 2) + b * y)
        picture += wave[..., None] * tint / 4
    disc = (x - width / 2 - speed * n) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 5) ** 2
    picture[disc] = rng.uniform(0, 1, 3)
    return picture.astype(np.float32)


def moving(
    length: int = 6, width: int = 64, height: int = 48, format: int = vs.YUV420P8, seed: int = 0
) -> vs.VideoNode:
    """Return a clip of :func:`scene` in ``format``."""
    rgb = clip_from([scene(n, width, height, seed=seed) for n in range(length)])
    if format == vs.RGBS:
        return rgb
    if core.get_video_format(format).color_family == vs.RGB:
        return rgb.resize.Bicubic(format=format)
    return rgb.resize.Bicubic(format=format, matrix=6)


def planes(frame: vs.VideoFrame) -> list[np.ndarray]:
    """Return copies of a frame's planes."""
    return [np.array(frame[p]) for p in range(frame.format.num_planes)]


def same(a: vs.VideoFrame, b: vs.VideoFrame) -> bool:
    """Return whether every sample of two frames is equal."""
    return all(np.array_equal(x, y) for x, y in zip(planes(a), planes(b), strict=True))


def psnr(a: np.ndarray, b: np.ndarray, peak: float = 1.0) -> float:
    """Return the PSNR in dB, limited by a mean squared error of 1e-20."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(peak**2 / max(error, 1e-20)))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Run PyTorch with one thread, because several threads only slow small pictures."""
    torch.set_num_threads(1)


class Counter:
    """Counts calls."""

    def __init__(self) -> None:
        self.calls = 0


@pytest.fixture
def network_runs(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Count how often an interpolator has made a picture since the test began."""
    from vsifrnet.engine.interpolator import Interpolator

    counter = Counter()
    original: Callable[..., object] = Interpolator.__call__

    def counted(self: Interpolator, *args: object, **kwargs: object) -> object:
        counter.calls += 1
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Interpolator, "__call__", counted)
    return counter


def picture(n: float, width: int = 96, height: int = 64, seed: int = 0) -> Tensor:
    """Return :func:`scene` as a tensor (3, H, W)."""
    return torch.from_numpy(scene(n, width, height, seed=seed).transpose(2, 0, 1).copy())


def both_ways(work: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the results of ``work`` with ``no_grad`` and with ``inference_mode``."""
    with torch.no_grad():
        plain = work()
    with torch.inference_mode():
        return plain, work()


@pytest.fixture(scope="session")
def network() -> IFRNet:
    """Return the model in the package, fp32, on the CPU."""
    return prepare(load_weights().build(), backend.resolve("cpu", "fp32"))


type SetThreads = Callable[[int], None]


@pytest.fixture
def torch_threads() -> Iterator[SetThreads]:
    """Return a function that sets PyTorch's number of threads until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
