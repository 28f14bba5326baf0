"""Bad input raises a vs.Error that names the argument, its value and what is accepted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import vapoursynth as vs
from conftest import core, moving, planes, same
from safetensors.torch import save_file

from vsifrnet import ifrnet
from vsifrnet.engine import backend
from vsifrnet.weights.load import load_weights

BAD_ARGUMENTS = [
    ({"multi": 0}, "multi=0", "from 1/100 to 1000"),
    ({"multi": -2}, "multi=-2", "from 1/100 to 1000"),
    ({"multi": 2.5}, "multi=2.5", "Fraction"),
    ({"multi": "2"}, "multi='2'", "Fraction"),
    ({"multi": True}, "multi=True", "Fraction"),
    ({"multi": Fraction(2.397602398)}, "multi=", r"denominator up to 1000000"),
    ({"multi": Fraction(1, 10)}, "makes 0 frames", "1 to"),
    ({"multi": 1001}, "multi=1001", "from 1/100 to 1000"),
    ({"multi": Fraction(1, 101)}, "multi=Fraction(1, 101)", "from 1/100 to 1000"),
    ({"fps_num": 10**6}, "fps_num=1000000", "1/100 to 1000 times"),
    ({"fps_den": 1}, "fps_den=1", "fps_num"),
    ({"fps_num": 0}, "fps_num=0", "from 1 to"),
    ({"fps_num": 60.0}, "fps_num=60.0", "from 1 to"),
    ({"fps_num": 10**20 + 1, "fps_den": 10**18 + 3}, "fps_num=1000", "from 1 to"),
    ({"fps_num": 60, "fps_den": -1}, "fps_den=-1", "from 1 to"),
    ({"multi": 3, "fps_num": 60}, "multi=3 and fps_num=60", "one of the two"),
    ({"timecodes": [0, 1, 2]}, "timecodes", "fps_num"),
    ({"timecodes": [0, 1], "fps_num": 60}, "2 times for a clip of 3", "one per frame"),
    ({"timecodes": [0, 2, 1], "fps_num": 60}, "frame 2 at 1.0 s", "increasing"),
    ({"timecodes": "no.txt", "fps_num": 60}, "timecodes='no.txt'", "cannot be read"),
    ({"scale": 3}, "scale=3", "0.25, 0.5, 1.0, 2.0, 4.0"),
    ({"scale": "Auto"}, "scale='Auto'", "'auto'"),
    ({"scale": "1"}, "scale='1'", "0.25"),
    ({"scale": Fraction(1, 2)}, "scale=Fraction(1, 2)", "0.25"),  # equal, and fails in PyTorch
    ({"scale": 2 + 0j}, "scale=(2+0j)", "0.25"),
    ({"ensemble": 1}, "ensemble=1", "True or False"),
    ({"auto_download": 1}, "auto_download=1", "True or False"),
    ({"sc": "yes"}, "sc='yes'", "True or False"),
    ({"sc_threshold": 0}, "sc_threshold=0", "above 0 and at most 1"),
    ({"sc_threshold": 1.5}, "sc_threshold=1.5", "above 0 and at most 1"),
    ({"sc_mode": "copy"}, "sc_mode='copy'", "'hold', 'nearest', 'blend'"),
    ({"dup_mode": "drop"}, "dup_mode='drop'", "'keep', 'bridge'"),
    ({"dup_mode": "bridge", "dup_max": 9}, "dup_max=9", "from 1 to 8"),
    ({"dup_threshold": -1}, "dup_threshold=-1", "from 0 to 255"),
    ({"dup_threshold": 10**400}, "dup_threshold=1000", "from 0 to 255"),
    ({"matrix": "601"}, "matrix='601'", "'709' (1)"),
    ({"matrix": 0}, "matrix=0", "'709' (1)"),
    ({"device": "tpu"}, "device='tpu'", "'cuda:<index>'"),
    ({"device": True}, "device=True", "'cuda:<index>'"),
    ({"device": 97}, "device=97", "PyTorch finds"),
    ({"device": "cuda:97"}, "device='cuda:97'", "PyTorch finds"),
    ({"precision": "half"}, "precision='half'", "'auto', 'fp32', 'fp16', 'bf16'"),
    ({"precision": []}, "precision=[]", "'auto', 'fp32', 'fp16', 'bf16'"),
    ({"matrix": "ictcp"}, "matrix='ictcp'", "'709' (1)"),
    ({"num_streams": 33}, "num_streams=33", "from 1 to 32"),
    ({"model": ""}, "model=''", "a name or a path"),
    ({"num_streams": 0}, "num_streams=0", "from 1 to 32"),
    ({"num_streams": 1.5}, "num_streams=1.5", "from 1 to 32"),
    ({"model": "no_such_model"}, "no_such_model", "ifrnet_s"),
    ({"model": "no_such_file.pth"}, "no_such_file.pth", ""),
]


@pytest.mark.parametrize(
    ("arguments", "named", "accepted"),
    BAD_ARGUMENTS,
    ids=[" ".join(f"{k}={v!r}" for k, v in arguments.items()) for arguments, *_ in BAD_ARGUMENTS],
)
def test_bad_argument(arguments: dict[str, object], named: str, accepted: str) -> None:
    with pytest.raises(vs.Error) as caught:
        ifrnet(moving(3), **arguments)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith("ifrnet: ")
    assert named in message
    assert accepted in message


def test_clips_that_do_not_fit() -> None:
    clip = moving(3)
    variable = core.std.BlankClip(clip, varformat=True)
    resized = core.std.BlankClip(clip, varsize=True)
    deep = core.std.BlankClip(format=vs.GRAY32, length=3)
    for bad, named in (
        (variable, "variable"),
        (resized, "variable"),
        (deep, "Gray32"),
        (clip[0], "1 frame"),
        ("video.mkv", "clip='video.mkv'"),
    ):
        with pytest.raises(vs.Error, match=f"ifrnet: clip.*{named}|ifrnet: {named}"):
            ifrnet(bad)


def test_target_rate_without_a_rate() -> None:
    clip = moving(3)
    vfr = clip.std.BlankClip(fpsnum=0, fpsden=1)
    with pytest.raises(vs.Error, match="fps_num=60: the clip has no constant frame rate"):
        ifrnet(vfr, fps_num=60)
    assert ifrnet(vfr, fps_num=60, timecodes=[0, 0.1, 0.2]).num_frames == 18


@pytest.mark.parametrize(
    ("prop", "value"), [("_Matrix", 0), ("_Matrix", 3), ("_Matrix", 14), ("_ChromaLocation", 6)]
)
def test_props_that_cannot_be_converted(prop: str, value: int) -> None:
    out = ifrnet(moving(3).std.SetFrameProps(**{prop: value}), sc=False)
    out.get_frame(0)
    with pytest.raises(vs.Error, match=f"ifrnet: frame 1: {prop}={value}: must be"):
        out.get_frame(1)


def test_transfer_and_primaries_have_no_say() -> None:
    plain = ifrnet(moving(2), sc=False).get_frame(1)
    odd = ifrnet(moving(2).std.SetFrameProps(_Transfer=3, _Primaries=77), sc=False).get_frame(1)
    assert same(plain, odd)
    assert odd.props["_Primaries"] == 77


def test_not_a_number_is_black() -> None:
    clip = moving(3, format=vs.RGBS)
    bad = clip.std.Expr("x 0 / x 0 / -")  # inf - inf
    assert np.isnan(planes(bad.get_frame(1))[0]).any()
    mixed = (clip[0] + bad[1:]).std.SetFrameProps(_SceneChangeNext=1)
    for out in (ifrnet(clip[0] + bad[1:], sc=False), ifrnet(mixed, sc_mode="blend")):
        made = planes(out.get_frame(1))
        assert all(np.isfinite(plane).all() and plane.min() >= 0 for plane in made)


def test_errors_of_the_source_come_through() -> None:
    def fail(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if n == 2:
            raise vs.Error("the disk is gone")
        return f

    clip = moving(4)
    out = ifrnet(clip.std.ModifyFrame(clip, fail), sc=False)
    with pytest.raises(vs.Error, match="the disk is gone"):
        out.get_frame(3)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"multi": 3}, "multi=3"),
        ({"multi": Fraction(5, 2)}, "multi=5/2"),
        ({"multi": 2, "dup_mode": "bridge"}, "dup_mode='bridge'"),
        ({"fps_num": 60, "timecodes": [0, 1, 2]}, "timecodes"),
    ],
)
def test_models_that_ignore_the_time(arguments: dict[str, Any], named: str, tmp_path: Path) -> None:
    network = load_weights().build()
    network.state_dict()["decoder4.convblock.0.0.weight"][:, -1] = 0
    blind = tmp_path / "blind.safetensors"
    save_file(network.state_dict(), blind)
    with pytest.raises(vs.Error, match=rf"ifrnet: {named}.*ifrnet_s"):
        ifrnet(moving(3), model=blind, **arguments)
    assert ifrnet(moving(3), model=blind, multi=4, sc=False).get_frame(1).width == 64


def test_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        ifrnet(moving(3), 2)  # type: ignore[misc]


def test_damaged_weights(tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(vs.Error, match=r"^ifrnet: .*damaged\.safetensors"):
        ifrnet(moving(3), model=path)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    ],
)
def test_out_of_memory_says_which_frame_and_what_helps(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsifrnet.engine.interpolator import Interpolator

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Interpolator, "__call__", fail)
    out = ifrnet(moving(3), sc=False)
    out.get_frame(0)
    with pytest.raises(vs.Error, match="ifrnet: frame 1: out of memory") as caught:
        out.get_frame(1)
    assert "scale" in str(caught.value)
    assert "num_streams" in str(caught.value)


@pytest.mark.parametrize(
    ("capability", "made_for", "fits"),
    [
        ((8, 6), ["sm_75", "sm_80"], True),  # a binary of 8.0 runs on all of 8.x
        ((6, 1), ["sm_75", "sm_80", "sm_120"], False),
        ((8, 0), ["sm_86"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((9, 0), ["sm_80", "sm_90a"], True),
        ((10, 0), ["sm_90a"], False),
        ((7, 5), ["compute_80"], False),
    ],
)
def test_a_gpu_that_pytorch_is_not_made_for(
    capability: tuple[int, int],
    made_for: list[str],
    fits: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gpu(monkeypatch, capability, made_for)
    assert backend.resolve(None).device.type == ("cuda" if fits else "cpu")
    assert ("the CPU is used" in caplog.text) == (not fits)
    if fits:
        assert backend.resolve("cuda").dtype == torch.float16
        return
    with pytest.raises(ValueError, match=r"device='cuda': must be one .* has kernels for"):
        backend.resolve("cuda")


@pytest.mark.parametrize(("capability", "fits"), [((7, 5), False), ((8, 0), True)])
def test_bf16_needs_a_gpu_that_multiplies_it(
    capability: tuple[int, int], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, capability, ["sm_75", "sm_80"])
    if fits:
        assert backend.resolve("cuda", "bf16").dtype == torch.bfloat16
        return
    with pytest.raises(ValueError, match=r"precision='bf16': must be 'auto', 'fp32' or 'fp16' on"):
        backend.resolve("cuda", "bf16")


def gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], made_for: list[str]) -> None:
    """A machine with one GPU, as far as it is asked before anything runs there."""
    for name, result in {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "a GPU",
        "get_device_capability": capability,
        "get_arch_list": made_for,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, result=result: result)
    monkeypatch.setattr(torch.version, "hip", None)
