"""The filter: it checks its arguments and passes the parts to :mod:`vsifrnet.graph.wire`."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import torch
import vapoursynth as vs

from vsifrnet import argument_table, arguments
from vsifrnet.detect import held, scenes
from vsifrnet.detect.plan import DUP_MAX
from vsifrnet.engine import backend
from vsifrnet.engine.interpolator import Fp32Fallback, Interpolator, prepare
from vsifrnet.engine.workers import Workers
from vsifrnet.errors import InputError
from vsifrnet.graph import transport, wire
from vsifrnet.graph.timecodes import Timecodes
from vsifrnet.weights.load import load_weights

__all__ = ["ifrnet"]

log = logging.getLogger("vsifrnet")


def ifrnet(
    clip: vs.VideoNode,
    *,
    multi: int | Fraction = 2,
    fps_num: int | None = None,
    fps_den: int | None = None,
    model: str | Path | None = None,
    scale: float | Literal["auto"] = argument_table.AUTO,
    ensemble: bool = False,
    sc: bool = True,
    sc_threshold: float = scenes.DEFAULT_THRESHOLD,
    sc_mode: str = "hold",
    dup_mode: str = "keep",
    dup_max: int = 3,
    dup_threshold: float = held.DEFAULT_THRESHOLD,
    timecodes: Timecodes | None = None,
    matrix: int | str | None = None,
    device: str | int | torch.device | None = None,
    precision: str = "auto",
    num_streams: int | None = None,
    auto_download: bool = False,
) -> vs.VideoNode:
    """Interpolate frames with IFRNet.

    Output frame n shows the source at time n / multi, counted in source frames. Where a source
    frame lies at that time, output frame n is that frame, bit for bit. Elsewhere a frame is made
    between two source frames, unless these are equal or a scene change lies between them. The
    result has the source's format and dimensions and floor(frames * multi) frames, or with
    ``fps_num`` as many as the source lasts, to the nearest. The last source frame is shown until
    the end.
    ``_Alpha`` is interpolated along with the picture.

    Args:
        clip: constant format and size, at least 2 frames; GRAY, YUV or RGB, 8 to 16 bit integer,
            half or single float.
        multi: output frames per source frame, an int or a Fraction from 1/100 to 1000.
        fps_num, fps_den: target frame rate in place of ``multi``; needs a clip with a frame rate.
        model: a model's name, or a path to weights (.safetensors, .pth, or ncnn's .param or .bin);
            None is the model in the package.
        scale: resolution of the flow relative to the picture: 0.25, 0.5, 1, 2 or 4. A value below
            1 is faster and finds larger motion, for 4K; a value above 1 is finer, for small
            pictures. "auto" is 1; layers that move as a whole (pans, rolls of lettering, zooms)
            are moved exactly, in place of the network's result.
        ensemble: average four mirrored runs: four times the work, slightly better.
        sc: make no frames across scene changes.
        sc_threshold: how much must change for a scene change, above 0 and at most 1.
        sc_mode: what is shown at a scene change: "hold" (the left frame), "nearest", or "blend".
        dup_mode: what happens to a drawing that is held for several frames: "keep" shows it as
            long as the source does and makes frames in its last gap only; "bridge" moves in even
            steps from its first frame to the next drawing's.
        dup_max: with "bridge", the longest run of held frames that is a drawing, 1 to 8; a longer
            run is a still picture.
        dup_threshold: with "bridge", the change within 32x32 pixels, in 8-bit steps, from which
            a frame shows another drawing, 0 to 255.
        timecodes: the frames' times, for a target rate on a clip of variable frame rate: a
            timecode file (v1, v2), or one time in seconds per frame. Needs ``fps_num``.
        matrix: matrix of YUV frames that carry no ``_Matrix``: a name or a number as in
            ``core.resize``; None is 709 above 576 lines and 170m up to there.
        device: None (CUDA if there is a GPU, else the CPU), "cpu", "cuda", "cuda:1", or an index.
        precision: "auto", "fp32", "fp16" or "bf16"; see :func:`vsifrnet.engine.backend.resolve`.
        num_streams: how many pairs of frames are interpolated at once; on the CPU they share the
            cores. None is 2, or 1 where PyTorch has one thread.
        auto_download: download a named model that is not on this machine yet.

    Raises:
        vs.Error: an argument is not accepted; the message names it, its value and what is accepted.
    """
    try:
        arguments.check_clip(clip)
        timeline = arguments.timeline(clip, multi, fps_num, fps_den, timecodes)
        arguments.check_choice("scale", scale, (argument_table.AUTO, *argument_table.SCALES))
        arguments.check_bool("ensemble", ensemble)
        arguments.check_bool("sc", sc)
        arguments.check_bool("auto_download", auto_download)
        arguments.check_unit("sc_threshold", sc_threshold)
        arguments.check_choice("sc_mode", sc_mode, argument_table.SC_MODES)
        arguments.check_choice("dup_mode", dup_mode, argument_table.DUP_MODES)
        arguments.check_int("dup_max", dup_max, 1, DUP_MAX)
        arguments.check_up_to("dup_threshold", dup_threshold, 255)
        options = wire.Options(
            timeline=timeline,
            matrix=arguments.default_matrix(clip, matrix),
            sc_threshold=sc_threshold if sc else None,
            sc_mode=sc_mode,
            dup_threshold=dup_threshold,
            dup_max=dup_max if dup_mode == "bridge" else 0,
        )
        engine = backend.resolve(device, precision, num_streams)
        loaded = load_weights(model, auto_download=auto_download)
        if loaded.t_blind:
            arguments.check_halving(timeline, dup_mode, loaded.t_blind_reason)
            if num_streams is None and engine.device.type == "cpu" and timeline.grid not in (1, 2):
                # A quarter is made from a half, so a second worker would make the half again.
                engine = replace(engine, num_streams=1)
    except InputError as error:
        raise vs.Error(f"ifrnet: {error}") from error

    log.info("ifrnet: model %s on %s", loaded.name, engine)
    fallback = Fp32Fallback(loaded.build, engine) if precision == "auto" else None
    try:
        network = prepare(loaded.build(), engine)
    except RuntimeError as error:  # The GPU is full, or its driver is too old.
        raise vs.Error(f"ifrnet: {engine}: {backend.explain(error)}") from error
    interpolators = [
        Interpolator(
            network,
            t_blind=loaded.t_blind,
            scale=scale,
            ensemble=ensemble,
            fallback=fallback,
        )
        for _ in range(engine.num_streams)
    ]
    workers = Workers(interpolators, engine.device)
    carrier = transport.choose(clip, options.matrix, engine)
    return wire.build(clip, options, carrier, workers)
