"""YUV that tensors convert, as on a GPU, equals core.resize, and so do the filter's frames."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import vapoursynth as vs
from conftest import moving, planes, same
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vsifrnet import ifrnet
from vsifrnet.engine.backend import Backend
from vsifrnet.graph import frames, transport
from vsifrnet.graph.frames import Colour
from vsifrnet.graph.yuv import Converter

core = vs.core
CPU = torch.device("cpu")
FORMATS = [
    core.query_video_format(vs.YUV, vs.INTEGER, bits, w, h).id
    for w, h in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 2)]
    for bits in (8, 10, 16)
]
NAMES = [core.get_video_format(format).name for format in FORMATS]


def noise(format: int, width: int, height: int, **props: int) -> vs.VideoNode:
    """One frame of all values that the format has, most of them beyond RGB."""
    form = core.get_video_format(format)
    rng = np.random.default_rng(0)
    blank = core.std.BlankClip(width=width, height=height, format=format, length=1)
    frame = blank.get_frame(0).copy()
    for p in range(3):
        array = np.asarray(frame[p])
        array[...] = rng.integers(0, 1 << form.bits_per_sample, array.shape)
    return blank.std.ModifyFrame(blank, lambda n, f: frame.copy()).std.SetFrameProps(**props)


def converter_of(frame: vs.VideoFrame) -> Converter:
    """By its props; 6 (170m) stands in where it has no matrix."""
    return Converter(frames.layout(frame, Colour.of(frame.props), 6), CPU)


def as_tensor(frame: vs.VideoFrame) -> Tensor:
    return torch.from_numpy(np.stack(planes(frame)))


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
@pytest.mark.parametrize("full", [0, 1])
@pytest.mark.parametrize("matrix", [int(matrix) for matrix in frames.MATRICES.values()])
def test_conversion_equals_zimg(format: int, full: int, matrix: int) -> None:
    for chromaloc, (width, height) in enumerate([(40, 24), (16, 16), (4, 4)] * 2):
        props = {"_Matrix": matrix, "_Range": full, "_ChromaLocation": chromaloc}
        clip = noise(format, width, height, **props)
        rgb = clip.resize.Bicubic(format=vs.RGBS)
        back = rgb.resize.Bicubic(format=format, matrix=matrix, range=full, chromaloc=chromaloc)
        frame, picture = clip.get_frame(0), as_tensor(rgb.get_frame(0))
        converter = converter_of(frame)
        made = converter.to_rgb(frames.read_samples(frame))
        torch.testing.assert_close(made, picture, atol=2e-6, rtol=0)
        written = frames.write_samples(converter.from_rgb(picture), like=frame)
        samples, expected = frames.read_samples(written), frames.read_samples(back.get_frame(0))
        steps = ((samples.int() - expected.int() + 1) & 0xFFFF) - 1
        assert steps.abs().max() <= 1  # where two are as near, but for single precision
        assert steps.count_nonzero() <= 0.02 * len(steps)


def test_what_is_not_said_is_taken_as_zimg_takes_it() -> None:
    clip = noise(vs.YUV420P8, 32, 32).std.RemoveFrameProps()
    expected = as_tensor(clip.resize.Bicubic(format=vs.RGBS, matrix_in=6).get_frame(0))
    frame = clip.get_frame(0)
    made = converter_of(frame).to_rgb(frames.read_samples(frame))
    torch.testing.assert_close(made, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_all_of_it_runs_on_a_gpu(format: int) -> None:
    """With tensors of no content, which know what device they are on and refuse to be mixed."""
    frame = noise(format, 32, 16, _Matrix=1).get_frame(0)
    layout = frames.layout(frame, Colour.of(frame.props), 1)
    samples = frames.read_samples(frame)
    with FakeTensorMode(allow_non_fake_inputs=True):
        converter = Converter(layout, torch.device("cuda"))
        picture = converter.to_rgb(samples.to("cuda"))
        back = converter.from_rgb(picture)
    assert picture.device.type == back.device.type == "cuda"
    assert (picture.shape, picture.dtype) == ((3, 16, 32), torch.float32)
    assert (back.shape, back.dtype) == (samples.shape, samples.dtype)


@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_samples_there_and_back(format: int) -> None:
    frame = noise(format, 36, 20).get_frame(0)
    assert same(frames.write_samples(frames.read_samples(frame), like=frame), frame)


def test_a_gpu_is_given_yuv_as_it_is() -> None:
    cuda = Backend(device=torch.device("cuda", 0), dtype=torch.float16, num_streams=2)
    cpu = Backend(device=CPU, dtype=torch.float32, num_streams=2)
    for format, kind in (
        (vs.YUV420P8, transport.YUV),
        (vs.YUV444P16, transport.YUV),
        (vs.YUV420PS, transport.RGB),
        (vs.RGB24, transport.RGB),
        (vs.GRAY8, transport.RGB),
    ):
        clip = core.std.BlankClip(format=format, length=2)
        assert isinstance(transport.choose(clip, 1, cuda), kind)
        assert isinstance(transport.choose(clip, 1, cpu), transport.RGB)


def render(
    carrier: type[transport.Transport],
    monkeypatch: pytest.MonkeyPatch,
    clip: vs.VideoNode,
    **arguments: Any,
) -> list[vs.VideoFrame]:
    """All frames of the filter with a given transport, as it would choose on a GPU or a CPU."""
    with monkeypatch.context() as patch:
        patch.setattr(transport, "choose", carrier)
        return [frame.copy() for frame in ifrnet(clip, precision="fp32", **arguments).frames()]


def compare(
    monkeypatch: pytest.MonkeyPatch, clip: vs.VideoNode, *, within: int = 1, **arguments: Any
) -> int:
    """How many frames are made; all are within so many steps of those that go through zimg."""
    ours = render(transport.YUV, monkeypatch, clip, **arguments)
    zimg = render(transport.RGB, monkeypatch, clip, **arguments)
    assert len(ours) == len(zimg)
    for a, b in zip(ours, zimg, strict=True):
        assert dict(a.props) == dict(b.props)
        for x, y in zip(planes(a), planes(b), strict=True):
            assert np.abs(x.astype(int) - y.astype(int)).max() <= within
    return sum(not any(same(frame, source) for source in clip.frames()) for frame in ours)


@pytest.mark.parametrize(
    ("format", "within"),
    [
        (vs.YUV420P8, 1),
        (vs.YUV420P10, 1),
        (vs.YUV422P8, 1),
        (vs.YUV444P16, 16),  # the network sees pictures that differ in their last bits
    ],
)
@pytest.mark.parametrize("multi", [2, Fraction(5, 2)], ids=str)
def test_the_filter_makes_the_same_frames(
    format: int, within: int, multi: Fraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = moving(4, 72, 40, format).std.SetFrameProps(_ChromaLocation=1, _Range=1)
    made = compare(monkeypatch, clip, within=within, multi=multi, sc=False)
    assert made == (3 if multi == 2 else 6)


def test_held_drawings_are_bridged_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    # On twos; the second of each drawing has another colour, which what is made from it has.
    other = moving(4).std.SetFrameProps(_Range=1, _Matrix=1)
    clip = core.std.Interleave([moving(4), other])
    assert compare(monkeypatch, clip, dup_mode="bridge", sc=False) == 9


@pytest.mark.parametrize("sc_mode", ["blend", "nearest"])
def test_cuts_are_alike(sc_mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = moving(2).std.SetFrameProps(_SceneChangeNext=1)  # after 0 and 1
    cut += moving(2, seed=3).std.SetFrameProps(_Range=1, _Matrix=1)
    made = compare(monkeypatch, cut, sc_mode=sc_mode)
    assert made == (3 if sc_mode == "blend" else 1)


def test_each_frame_has_its_own_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spliced from sources that differ: read by a frame's own props, written by the left one's."""
    parts = [
        moving(6)[k].std.SetFrameProps(_Matrix=m, _Range=r, _ChromaLocation=c)
        for k, (m, r, c) in enumerate([(1, 0, 0), (6, 1, 2), (9, 0, 1), (9, 0, 1), (8, 1, 5)])
    ]
    assert compare(monkeypatch, core.std.Splice(parts), sc=False) == 4


def test_colours_beyond_rgb_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = noise(vs.YUV420P8, 64, 48, _Matrix=1)
    assert compare(monkeypatch, frame + moving(1, 64, 48), sc=False) == 1


def test_a_wrong_prop_of_either_frame_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in (0, 1):
        clip = moving(2)
        parts = [clip[k].std.SetFrameProps(_Range=7) if k == bad else clip[k] for k in (0, 1)]
        with pytest.raises(vs.Error, match="ifrnet: frame 1: _Range=7: must be one of 0, 1"):
            render(transport.YUV, monkeypatch, core.std.Splice(parts), sc=False)
