"""The alpha of made frames moves as the picture does."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import vapoursynth as vs
from conftest import moving, planes, same
from fake_cuda import replaying

from vsifrnet import ifrnet
from vsifrnet.engine.cuda_graphs import CudaGraphRunner
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.ops import warp
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.graph import transport
from vsifrnet.graph.frames import Colour
from vsifrnet.weights.load import load_weights

core = vs.core
SPEED = 4


def with_alpha(clip, square=None, format=vs.GRAY8):
    """Attach alpha: a square that moves by SPEED, or opaque where ``square`` is None."""
    canvas = core.std.BlankClip(clip, format=format, keep=True)

    def fill(n, f):
        frame = f.copy()
        plane = np.asarray(frame[0])
        peak = 2**f.format.bits_per_sample - 1 if f.format.sample_type == vs.INTEGER else 1
        plane[:] = peak if square is None else 0
        if square is not None:
            plane[16:48, 20 + SPEED * n : 52 + SPEED * n] = peak
        return frame

    return clip.std.ClipToProp(canvas.std.ModifyFrame(canvas, fill), prop="_Alpha")


def alpha(frame):
    plane = frame.props["_Alpha"]
    assert (plane.width, plane.height) == (frame.width, frame.height)
    return np.array(plane[0])


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.YUV444P16, vs.RGB24, vs.RGBS, vs.GRAY8])
@pytest.mark.parametrize("depth", [vs.GRAY8, vs.GRAY16, vs.GRAYS])
def test_it_moves_with_the_picture(format, depth):
    clip = with_alpha(moving(3, 96, 64, format), "moves", depth)
    out = ifrnet(clip, sc=False, device="cpu")
    peak = alpha(clip.get_frame(0)).max()
    for n in range(5):
        frame = out.get_frame(n)
        assert frame.props["_Alpha"].format.id == depth
        row = np.flatnonzero(alpha(frame)[32] > peak / 2)
        middle = (row[0] + row[-1]) / 2
        assert middle == pytest.approx(35.5 + SPEED * n / 2, abs=0.5 if n % 2 else 0)
        assert alpha(frame).max() <= peak
        if n % 2 == 0:
            assert np.array_equal(alpha(frame), alpha(clip.get_frame(n // 2)))
        props = set(clip.get_frame(n // 2).props)
        assert set(frame.props) - {"_AbsoluteTime"} == props | {"_DurationNum", "_DurationDen"}


def test_it_moves_with_layers_that_move_as_a_whole():
    clip = with_alpha(moving(2, 96, 64, vs.RGB24), "moves")
    made = alpha(ifrnet(clip, sc=False, scale="auto", device="cpu").get_frame(1))
    row = np.flatnonzero(made[32] > 127)
    assert (row[0] + row[-1]) / 2 == pytest.approx(35.5 + SPEED / 2, abs=0.5)


def test_opaque_alpha_changes_no_colour():
    clip = moving(3, 96, 64, vs.YUV420P8)
    plain = ifrnet(clip, sc=False, device="cpu").get_frame(1)
    made = ifrnet(with_alpha(clip), sc=False, device="cpu").get_frame(1)
    assert same(plain, made)
    assert alpha(made).min() == 255


def test_frames_that_differ_in_alpha_alone_are_not_equal(network_runs):
    still = core.std.BlankClip(format=vs.RGB24, width=96, height=64, length=2, color=[90, 9, 200])
    made = ifrnet(with_alpha(still, "moves"), device="cpu").get_frame(1)
    assert network_runs.calls == 1
    row = np.flatnonzero(alpha(made)[32] > 127)
    assert list(row[[0, -1]]) == [22, 53]
    assert np.abs(np.stack(planes(made))[:, 32, 24:50].T.astype(int) - (90, 9, 200)).max() <= 2
    ifrnet(with_alpha(still), device="cpu").get_frame(1)
    assert network_runs.calls == 1


def test_it_is_blended_at_cuts():
    black, white = (
        core.std.BlankClip(format=vs.RGBS, width=64, height=64, length=1, color=[level] * 3)
        for level in (0, 1)
    )
    half = core.std.BlankClip(format=vs.GRAY8, width=64, height=64, length=1, color=128)
    full = half.std.BlankClip(color=255)
    clip = black.std.ClipToProp(full) + white.std.ClipToProp(half)
    clip = clip.std.SetFrameProps(_SceneChangeNext=1)
    frame = ifrnet(clip, sc_mode="blend", device="cpu").get_frame(1)
    assert alpha(frame)[0, 0] == pytest.approx((255 + 128) / 2, abs=1)
    # White has half the weight that its alpha gives it.
    assert planes(frame)[0][0, 0] == pytest.approx(128 / (255 + 128), abs=0.01)


@pytest.mark.parametrize("cut", [False, True])
def test_alpha_of_another_size_is_refused(cut):
    clip = moving(2, 96, 64).std.SetFrameProps(_SceneChangeNext=int(cut))
    other = core.std.BlankClip(clip, width=48, height=32, format=vs.GRAY8)
    out = ifrnet(clip.std.ClipToProp(other), sc_mode="blend", device="cpu")
    message = "frame 1: _Alpha is Gray8 of 48x32: must be GRAY of 96x64"
    with pytest.raises(vs.Error, match=message):
        out.get_frame(1)


@pytest.fixture(scope="module")
def pair():
    clip = with_alpha(moving(2, 64, 64, vs.RGBS), "moves", vs.GRAYS)
    return [
        torch.from_numpy(np.stack([*planes(frame), np.array(frame.props["_Alpha"][0])]))
        for frame in clip.frames()
    ]


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_more_planes_take_the_pictures_flows_and_mask(pair, scale):
    network = load_weights().build()
    runner = EagerRunner(network, scale=scale)
    with torch.inference_mode():
        runner.encode(*pair)
        made = runner.decode(0.25)
        rgb = [img[:3] for img in pair]
        encoded = network.encode(*(img[None] for img in rgb), scale=scale)
        synthesis = network.decode(encoded, torch.tensor([0.25]))
        planes0, planes1 = (img[None, 3:] for img in pair)
        warped0, warped1 = (
            warp(plane, flows[0], network.sampling)
            for plane, flows in ((planes0, synthesis.flows0), (planes1, synthesis.flows1))
        )
        # The planes are within [0, 1], which a bicubic blend is clamped to.
        expected = torch.lerp(warped1, warped0, synthesis.mask).clamp(0, 1)
    assert torch.allclose(made[:3], synthesis.image[0], atol=1e-4)
    assert torch.allclose(made[3:], expected[0], atol=1e-4)


def test_a_recording_has_them_too(pair):
    network = load_weights().build()
    with torch.inference_mode():
        eager, graphs = (
            EagerRunner(network),
            CudaGraphRunner(EagerRunner(network), lambda: replaying),
        )
        for planes_of in ([img[:3] for img in pair], pair, [img[:3] for img in pair]):
            eager.encode(*planes_of)
            graphs.encode(*planes_of)
            assert graphs.decode(0.5).shape == planes_of[0].shape
            assert torch.allclose(graphs.decode(0.5), eager.decode(0.5), atol=1e-5)


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("t_blind", [False, True])
def test_padding_halving_and_mirrored_runs(pair, ensemble, t_blind):
    odd = [img[:, :45, :61] for img in pair]
    network = load_weights().build()
    interpolator = Interpolator(network, ensemble=ensemble, t_blind=t_blind)
    made = interpolator(*odd, Fraction(1, 4))
    assert made.shape == odd[0].shape
    assert 0 <= made[3].min() <= made[3].max() <= 1
    row = np.flatnonzero(made[3, 32].numpy() > 0.5)
    assert row[0] == pytest.approx(20 + SPEED / 4, abs=1)


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.YUV420P10, vs.YUV444P16])
def test_yuv_brings_it_to_a_device_and_back(format):
    clip = with_alpha(moving(1, 96, 64, format), "moves")
    yuv = transport.YUV(clip, 6, torch.float32)
    frame = yuv.clip.get_frame(0)
    picture = yuv.source(0, frame).picture(torch.device("cpu"))
    assert picture.shape == (4, 64, 96)
    back = yuv.write(yuv.from_rgb(Colour.of(frame.props))(picture), like=frame)
    assert np.array_equal(alpha(back), alpha(frame))
    step = 2 ** (clip.format.bits_per_sample - 8)
    assert np.abs(planes(back)[0].astype(int) - planes(frame)[0].astype(int)).max() <= step
