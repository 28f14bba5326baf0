"""The conversions of :mod:`~vsifrnet.graph.yuv` as one Triton kernel each."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from vsifrnet.engine.kernels import colour
from vsifrnet.engine.memory import RECORDING, is_out_of_memory
from vsifrnet.graph.yuv import Axis, Converter, Layout, sample_dtype

__all__ = ["KernelConverter", "settled_converter"]

log = logging.getLogger("vsifrnet")

TOLERANCE = 1 / 1024
"""Maximum difference from the eager converter's RGB, two steps of half floats near 1."""


class KernelConverter(Converter):
    """Converts frames of one layout on one device, each in one kernel."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        super().__init__(layout, device)
        self._tables = [
            colour.Tables(
                luma=layout.shapes[0],
                chroma=layout.shapes[1],
                matrix=matrix,
                rows=_on(device, axes[0]),
                columns=_on(device, axes[1]),
                bits=layout.bits,
            )
            for matrix, axes in (
                (self._to_rgb, self._axes_up),
                (self._to_yuv, self._axes_down),
            )
        ]

    def to_rgb(self, samples: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """See :class:`Converter`."""
        return colour.yuv_to_rgb(samples, self._tables[0], dtype)

    def from_rgb(self, picture: Tensor) -> Tensor:
        """See :class:`Converter`."""
        return colour.rgb_to_yuv(picture, self._tables[1])


def _on(device: torch.device, axis: Axis) -> colour.Axis:
    return colour.Axis(
        weights=axis.weights.float().to(device),
        positions=axis.positions.to(device, torch.int32),
        step=axis.step,
    )


def settled_converter(layout: Layout, device: torch.device) -> Converter:
    """Return a converter with kernels if it converts a random frame as the eager one does.

    Otherwise log a warning and return the eager converter.
    """
    eager = Converter(layout, device)
    try:
        # Compiling and loading kernels would break a CUDA graph that another thread records.
        with RECORDING:
            kernels = KernelConverter(layout, device)
            reason = _difference(eager, kernels, layout, device)
    except Exception as error:  # Triton's compiler, the driver or a kernel failed.
        if is_out_of_memory(error, device):
            raise
        reason = f"{type(error).__name__}: {error}"
    if reason is None:
        return kernels
    log.warning("ifrnet: Triton kernels do not convert colour: %s", reason)
    return eager


def _difference(
    eager: Converter, kernels: Converter, layout: Layout, device: torch.device
) -> str | None:
    count = sum(height * width for height, width in layout.shapes)
    generator = torch.Generator().manual_seed(0)
    samples = torch.randint(0, 1 << layout.bits, (count,), generator=generator)
    samples = samples.to(sample_dtype(layout.bits)).to(device)
    picture = eager.to_rgb(samples)
    error = float((picture - kernels.to_rgb(samples)).abs().max())
    if not error <= TOLERANCE:
        return f"RGB is off by {error:g}"
    converters = eager, kernels
    back, made = (each.from_rgb(picture).int() & 0xFFFF for each in converters)
    steps = int((back - made).abs().max())
    return None if steps <= 1 else f"samples are off by {steps}"
