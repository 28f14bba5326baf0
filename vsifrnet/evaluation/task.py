"""The task of the speed benchmark's contenders: a clip and the filter's arguments."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import vapoursynth as vs

from vsifrnet.argument_table import AUTO
from vsifrnet.engine.backend import Backend, resolve
from vsifrnet.evaluation.arrays import clip_from
from vsifrnet.media.source import index

__all__ = ["Task", "moving", "source"]

STEPS = 64
"""Number of frames after which the synthetic pan repeats."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A clip to double and the filter's arguments, the same for every contender."""

    width: int
    height: int
    multi: int = 2
    model: str | None = None
    scale: float | Literal["auto"] = 1.0
    device: str = "cpu"
    precision: str = "auto"
    num_streams: int | None = None
    clip: str | None = None
    """Absolute path of a video; None is the synthetic pan."""
    onnx: str | None = None
    """Path of the exported network, for contenders that run it."""

    @property
    def flow_scale(self) -> float:
        """Resolution of the flow for contenders that only run the network."""
        return 1.0 if self.scale == AUTO else self.scale

    def backend(self) -> Backend:
        """Return the device, precision and number of workers that the task asks for."""
        return resolve(self.device, self.precision, self.num_streams)

    def to_json(self) -> str:
        """Return the task as text for :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return the task that :meth:`to_json` wrote."""
        return cls(**json.loads(text))


def source(task: Task, length: int) -> vs.VideoNode:
    """Return ``length`` frames of the task's video, repeated, or of the synthetic pan: YUV420P8."""
    if task.clip is None:
        return moving(task.width, task.height, length)
    clip = index(Path(task.clip))
    clip = clip.resize.Bicubic(task.width, task.height, format=vs.YUV420P8)
    return clip.std.Loop(-(-length // clip.num_frames))[:length]


def moving(width: int, height: int, length: int) -> vs.VideoNode:
    """Return a clip of a textured picture that pans by 2 x 2 pixels a frame, at little cost."""
    core = vs.core
    rng = np.random.default_rng(0)
    # These values are far enough from black and white that YUV clips none.
    coarse = torch.from_numpy(rng.uniform(0.3, 0.7, (1, 3, 48, 64)).astype(np.float32))
    large = torch.nn.functional.interpolate(
        coarse, size=(height + 2 * STEPS, width + 2 * STEPS), mode="bicubic"
    ).clamp(0, 1)[0]

    still = clip_from([list(large.numpy())], vs.RGBS)
    still = still.resize.Bicubic(format=vs.YUV420P8, matrix=1)
    still.get_frame(0).close()
    views = [
        still.std.CropAbs(width=width, height=height, left=2 * k, top=2 * k) for k in range(STEPS)
    ]
    clip = core.std.Interleave(views)
    return clip.std.Loop(-(-length // STEPS))[:length].std.AssumeFPS(fpsnum=24)
