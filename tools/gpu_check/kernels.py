"""The Triton kernels on a card: right, in graphs, in any order. On the CPU nothing is checked."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
import vapoursynth as vs

from gpu_check.common import (
    Context,
    bytes_of,
    exact,
    pictures,
    psnr,
    real_pairs,
    shipped,
    switched,
    warnings,
)
from vsifrnet import ifrnet
from vsifrnet.engine.backend import resolve
from vsifrnet.engine.interpolator import Interpolator, prepare
from vsifrnet.evaluation.task import moving
from vsifrnet.graph import frames
from vsifrnet.graph.frames import Colour

__all__ = ["colour", "filter_frames", "network", "steps_from_zimg"]

HALF = Fraction(1, 2)
NONE = {"skipped": "no card"}


def network(context: Context) -> dict[str, Any]:
    """The network with kernels is the network: 1e-4 in single precision, 50 dB in half."""
    if not context.cuda:
        return NONE
    result: dict[str, Any] = {}
    with warnings() as heard, exact():
        pair = [x.to(context.device) for x in pictures(650, 370, seed=3)]
        made = [
            Interpolator(prepare(shipped().build(), resolve(context.device, "fp32", kernels=on)))(
                *pair, Fraction(1, 4)
            )
            for on in (False, True)
        ]
        result["fp32 max difference"] = float((made[0] - made[1]).abs().max())
        for name, on in (("eager", False), ("kernels", True)):
            low = Interpolator(
                prepare(shipped().build(), resolve(context.device, "fp16", kernels=on))
            )
            high = Interpolator(prepare(shipped().build(), resolve(context.device, "fp32")))
            result[f"fp16 dB, {name}"] = [
                psnr(low(*pair, HALF), high(*pair, HALF))
                for pair in (
                    [x.to(context.device) for x in pair] for pair in real_pairs((1280, 720))
                )
            ]
    assert not heard, heard
    assert result["fp32 max difference"] <= 1e-4, result
    assert min(result["fp16 dB, kernels"]) >= 50, result
    return result


def colour(context: Context) -> dict[str, Any]:
    """Conversions by kernels are those of ``core.resize``, to a step."""
    if not context.cuda:
        return NONE
    from vsifrnet.graph.yuv_kernels import KernelConverter

    result = {
        vs.core.get_video_format(form).name: steps_from_zimg(context, form, KernelConverter)
        for form in (vs.YUV420P8, vs.YUV420P10, vs.YUV444P16, vs.YUV411P8)
    }
    assert max(result.values()) <= 1, result
    return result


def filter_frames(context: Context) -> dict[str, Any]:
    """The filter's frames with kernels: the same in each run, and near those without."""
    if not context.cuda:
        return NONE
    clip = moving(640, 360, 12)
    made: dict[str, list[bytes]] = {}
    with warnings() as heard:
        for name, on in (("eager", False), ("kernels", True), ("again", True)):
            with switched(on):
                out = ifrnet(clip, multi=3, sc=False, device=str(context.device))
            numbers = range(len(out)) if name != "again" else reversed(range(len(out)))
            found = {n: bytes_of(out.get_frame(n)) for n in numbers}
            made[name] = [found[n] for n in range(len(out))]
    assert not heard, heard
    assert made["kernels"] == made["again"], "frames depend on the order"
    steps = [
        np.abs(np.frombuffer(a, np.uint8).astype(int) - np.frombuffer(b, np.uint8))
        for a, b in zip(made["eager"], made["kernels"], strict=True)
    ]
    most, mean = max(int(step.max()) for step in steps), float(np.mean([s.mean() for s in steps]))
    assert mean <= 0.1, (most, mean)
    return {"most steps": most, "mean steps": round(mean, 4)}


def steps_from_zimg(context: Context, form: int, make: Any) -> int:
    """Return the most steps between a converter's samples and those of ``core.resize``."""
    width, height = 64, 48
    rng = np.random.default_rng(0)
    rgb = vs.core.std.BlankClip(width=width, height=height, format=vs.RGBS, length=1)
    values = rng.uniform(0, 1, (3, height, width)).astype(np.float32)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for p in range(3):
            np.copyto(np.asarray(frame[p]), values[p])
        return frame

    rgb = rgb.std.ModifyFrame(rgb, fill)
    clip = rgb.resize.Bicubic(format=form, matrix=1)
    frame = clip.get_frame(0)
    converter = make(frames.layout(frame, Colour.of(frame.props), 1), context.device)
    picture = converter.to_rgb(frames.read_samples(frame).to(context.device))
    expected = clip.resize.Bicubic(format=vs.RGBS).get_frame(0)
    planes = torch.from_numpy(np.stack([np.asarray(expected[p]) for p in range(3)]))
    assert float((picture.cpu() - planes).abs().max()) <= 1e-5, "RGB is off"
    made = converter.from_rgb(torch.from_numpy(values).to(context.device)).cpu()
    wide = [
        (x.int() & 0xFFFF) if x.dtype == torch.int16 else x.int()
        for x in (made, frames.read_samples(frame))
    ]
    return int((wide[0] - wide[1]).abs().max())
