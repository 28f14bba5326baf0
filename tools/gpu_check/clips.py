"""The clip of a measurement, in vspipe's process."""

from __future__ import annotations

import json

import vapoursynth as vs

from gpu_check.common import switched
from vsifrnet import ifrnet
from vsifrnet.evaluation.contenders import CONTENDERS
from vsifrnet.evaluation.task import Task, moving

__all__ = ["output"]


def output(text: str) -> None:
    """Build the clip that a task (JSON) asks for, warm it up, and set it as output."""
    task = json.loads(text)
    length = (task["warm_up"] + task["frames"]) // 2 + 2
    clip = moving(task["width"], task["height"], length)
    name, _, scale = task["contender"].partition(", scale ")
    if name in ("ours", "kernels"):
        with switched(name == "kernels"):
            out = ifrnet(
                clip,
                model=task["model"],
                scale=float(scale) if scale else "auto",
                device=task["device"],
                sc=False,
            )
    else:
        described = Task(
            width=task["width"],
            height=task["height"],
            model=task["model"],
            device=task["device"],
            onnx=f"{task['folder']}/network.onnx",
        )
        out = CONTENDERS[task["contender"]](clip, described)
    for frame in out[: task["warm_up"]].frames(close=True):
        assert isinstance(frame, vs.VideoFrame)
    out.set_output()
