"""What several steps need: the device, pictures, clips, the switch of the kernels, warnings."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vsifrnet.engine import backend
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.weights.load import load_weights

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "tests" / "reference"
VIDEO = ROOT / "examples" / "launch.webm"


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where a step runs."""

    device: torch.device
    dry: bool = False
    """Whether this is a dry run on the CPU, of tiny sizes."""

    @property
    def cuda(self) -> bool:
        """Whether there is a card."""
        return self.device.type == "cuda"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size, or a tiny one in a dry run."""
        return (64, 48) if self.dry else (width, height)


def shipped() -> Any:
    """Return the weights in the package."""
    return load_weights()


def random_weights(name: str, folder: Path) -> Path:
    """Write random weights of a size that ships none; the speed is that of any others."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = folder / f"random_{name}.safetensors"
    network = IFRNet(CONFIGS[name])
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    return path


def pictures(width: int, height: int, seed: int = 0, shift: int = 4) -> tuple[Tensor, Tensor]:
    """Return two smooth pictures (3, H, W) of which the second is shifted."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, height // 16 + 4, width // 16 + 4), generator=generator)
    large = torch.nn.functional.interpolate(coarse, size=(height, width + 32), mode="bicubic")
    large = large.clamp(0, 1)[0]
    return large[:, :, 16 : 16 + width].clone(), large[
        :, :, 16 - shift : 16 - shift + width
    ].clone()


def real_pairs(size: tuple[int, int]) -> list[tuple[Tensor, Tensor]]:
    """Return pairs of frames, two apart, of the video in the repository."""
    reader = cv2.VideoCapture(str(VIDEO))
    frames = []
    while len(frames) < 40:
        found, frame = reader.read()
        if not found:
            break
        frame = cv2.resize(frame[..., ::-1], size, interpolation=cv2.INTER_AREA)
        frames.append(torch.from_numpy(frame.transpose(2, 0, 1).astype(np.float32) / 255))
    assert len(frames) >= 6, f"cannot read {VIDEO}"
    return [(frames[n], frames[n + 2]) for n in range(0, len(frames) - 2, 12)]


def psnr(a: Tensor, b: Tensor) -> float:
    """Return the PSNR in dB of pictures in [0, 1]."""
    error = (a.double() - b.double()).square().mean().clamp_min(1e-20)
    return round(float(-10 * torch.log10(error)), 2)


def bytes_of(frame: vs.VideoFrame) -> bytes:
    """Return all samples of a frame, and free it."""
    with frame:
        return b"".join(np.asarray(frame[p]).tobytes() for p in range(frame.format.num_planes))


@contextmanager
def switched(kernels: bool) -> Iterator[None]:
    """Let filters that are made meanwhile use the Triton kernels, or not."""
    original = backend.resolve
    backend.resolve = partial(original, kernels=kernels)
    try:
        yield
    finally:
        backend.resolve = original


class _Collect(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def warnings() -> Iterator[list[str]]:
    """Collect what the filter warns of."""
    handler, log = _Collect(), logging.getLogger("vsifrnet")
    log.addHandler(handler)
    try:
        yield handler.lines
    finally:
        log.removeHandler(handler)


@contextmanager
def exact() -> Iterator[None]:
    """Multiply in single precision where that is asked for, not in TF32."""
    modules = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [module.allow_tf32 for module in modules]
    for module in modules:
        module.allow_tf32 = False
    try:
        yield
    finally:
        for module, value in zip(modules, before, strict=True):
            module.allow_tf32 = value


def release(context: Context) -> None:
    """Free what no longer has an owner."""
    gc.collect()
    if context.cuda:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
