"""Contenders of the speed comparison show the same frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.sources import SourceFrame
from vsifrnet.evaluation import contenders
from vsifrnet.graph import transport
from vsifrnet.graph.yuv import Converter


def test_contenders_show_the_same_frames() -> None:
    clip = contenders.moving(96, 64, 4)
    task = {"multi": 2, "model": None, "scale": 1.0, "device": "cpu", "precision": "fp32"}
    ours, official = (
        contenders.CONTENDERS[name](clip, {**task, "num_streams": 1})
        for name in ("ours", "official")
    )
    for n in range(2, 5):
        with ours.get_frame(n) as a, official.get_frame(n) as b:
            for p in range(3):
                steps = np.asarray(a[p]).astype(int) - np.asarray(b[p])
                assert abs(steps).max() <= 1


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_contenders_that_pad_show_the_same_frames(scale: float, tmp_path: Path) -> None:
    # Of a width that has to be padded: each does so in its own way, which shows up to its right.
    width, height = 248, 96
    clip = contenders.moving(width, height, 4)
    task = {"multi": 2, "model": None, "scale": scale, "device": "cpu", "precision": "fp32"}
    task |= {"width": width, "height": height, "onnx": str(tmp_path / "network.onnx")}
    contenders.export_onnx(task)
    ours, *others = (
        contenders.CONTENDERS[name](clip, {**task, "num_streams": 1})
        for name in ("ours", "official", "ort", "ov")
    )
    for n in range(2, 5):
        for other in others:
            assert (other.width, other.height) == (width, height)
            with ours.get_frame(n) as a, other.get_frame(n) as b:
                steps = np.asarray(a[0]).astype(int) - np.asarray(b[0])
                assert abs(steps)[:, : width - 64].max() <= 2


@pytest.mark.parametrize("name", ["no-network", "host"])
def test_without_the_network_all_else_is_done(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, replaced in (
        (Interpolator, "__call__"),
        (SourceFrame, "picture"),
        (Converter, "from_rgb"),
        (transport, "choose"),
    ):
        monkeypatch.setattr(owner, replaced, getattr(owner, replaced))  # put back at the end
    clip = contenders.moving(96, 64, 4)
    task = {"multi": 2, "model": None, "scale": 1.0, "device": "cpu", "precision": "fp32"}
    out = contenders.CONTENDERS[name](clip, {**task, "num_streams": 1})
    assert out.num_frames == 8
    with clip.get_frame(1) as left, clip.get_frame(2) as right, out.get_frame(3) as made:
        luma, before, after = (np.asarray(frame[0]).astype(int) for frame in (made, left, right))
        assert abs(luma - before).max() <= 1
        assert abs(luma - after).max() > 4
