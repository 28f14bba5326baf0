"""Every script of examples/ runs on a part of a real clip and does what it says."""

from __future__ import annotations

import runpy
from fractions import Fraction
from pathlib import Path

import onnx
import pytest
import vapoursynth as vs
from conftest import core, planes
from onnx import TensorProto, helper
from paths import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.vpy"))


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for Real-CUGAN: doubles both sides."""
    node = helper.make_node(
        "Resize",
        ["x", "", "scales"],
        ["y"],
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    graph = helper.make_graph(
        [node],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, "h2", "w2"])],
        [helper.make_tensor("scales", TensorProto.FLOAT, [4], [1, 1, 2, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path_factory.mktemp("onnx") / "up2x.onnx"
    onnx.save(model, path)
    return path


def run(script: Path, **arguments: str) -> vs.VideoNode:
    vs.clear_outputs()
    runpy.run_path(str(script), init_globals=arguments)
    clip = vs.get_output(0).clip
    vs.clear_outputs()
    return clip


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example(script: Path, upscaler: Path, tmp_path: Path) -> None:
    source = str(ROOT / "examples" / "launch.webm")
    clip = core.bs.VideoSource(source, cachemode=0)
    out = run(script, source=source, cugan=str(upscaler), timecodes=str(tmp_path / "timecodes.txt"))
    rate = Fraction(60) if "60fps" in script.stem else clip.fps * 2
    assert out.fps == rate
    seconds = Fraction(out.num_frames) / out.fps
    assert abs(seconds - clip.num_frames / clip.fps) < Fraction(1, 10)
    factor = 2 if "upscale" in script.stem else 1
    assert (out.width, out.height) == (factor * clip.width, factor * clip.height)
    made = planes(out.get_frame(1))[0]
    assert made.std() > 0
    if "vfr" in script.stem:
        assert (tmp_path / "timecodes.txt").exists()


def test_all_examples_are_documented() -> None:
    readme = (ROOT / "README.md").read_text()
    assert EXAMPLES
    for script in EXAMPLES:
        assert script.name in readme
