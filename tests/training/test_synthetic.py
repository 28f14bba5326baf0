"""Layered synthetic motion has exact flow and frames, and the same sample every time."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from training_data import make_assets

from vsifrnet.engine.ops import warp
from vsifrnet.errors import DataError
from vsifrnet.training.data import degrade
from vsifrnet.training.data.assets import Assets, in_part
from vsifrnet.training.data.layers import Bend, Layer, Motion, grid, render
from vsifrnet.training.data.synthetic import PACES, LayeredMotion


@pytest.fixture(scope="module")
def assets_folder(tmp_path_factory) -> Path:
    return make_assets(tmp_path_factory.mktemp("assets"))


def wavy(amplitude: float) -> Bend:
    def pair(a, b):
        return np.array([a], np.float32), np.array([b], np.float32)

    return Bend(
        angle=0.7,
        frequency=pair(0.11, 0.07),
        phase=pair(0.3, 1.9),
        start=pair(2.0, -1.0),
        end=pair(2.0 + amplitude, -1.0 - amplitude),
    )


def test_the_map_of_a_layer_and_its_inverse_are_exact():
    motion = Motion(
        start=np.array([[1.1, 0.2, 40.0], [-0.1, 0.9, 30.0]]),
        end=np.array([[0.8, -0.3, 50.0], [0.4, 1.2, 20.0]]),
        bend=wavy(5.0),
    )
    x, y = grid(60, 80)
    for t in (0.0, 0.3, 1.0):
        back = motion.inverse(t, *motion.forward(t, x, y))
        assert np.abs(back[0] - x).max() < 1e-3
        assert np.abs(back[1] - y).max() < 1e-3


@pytest.mark.parametrize("t", [0.5, 0.2])
def test_flow_carries_the_outer_pictures_to_the_middle(t):
    # A smooth texture everywhere, so that nothing is hidden and interpolation costs little.
    y, x = np.mgrid[0:400, 0:400] / 12.0
    grey = np.stack((np.sin(x), np.cos(y), np.sin(x + y)), axis=-1) * 100 + 128
    texture = np.concatenate((grey, np.full((400, 400, 1), 255.0)), axis=-1).astype(np.uint8)
    motion = Motion(
        start=np.array([[1.0, 0.0, 48.0], [0.0, 1.0, 32.0]]),
        end=np.array([[1.05, 0.1, 55.0], [-0.1, 1.0, 25.0]]),
        bend=wavy(4.0),
    )
    layer = Layer(texture=texture, density=1.0, motion=motion, endless=True)
    (img0, imgt, img1), flow = render([layer], 64, 96, t)
    inner = np.s_[14:-14, 14:-14]  # the rest may come from outside the picture
    for source, channels in ((img0, np.s_[:2]), (img1, np.s_[2:])):
        picture = torch.from_numpy(source).permute(2, 0, 1)[None]
        field = torch.from_numpy(np.ascontiguousarray(flow[..., channels])).permute(2, 0, 1)[None]
        warped = warp(picture, field)[0].permute(1, 2, 0).numpy()
        assert np.abs(warped - imgt)[inner].max() < 0.02
        assert np.abs(source - imgt)[inner].max() > 0.06


def test_the_topmost_layer_gives_the_flow():
    def layer(side: int, shift: float) -> Layer:
        start = np.array([[1.0, 0.0, 32.0], [0.0, 1.0, 32.0]])
        end = start + np.array([[0.0, 0.0, shift], [0.0, 0.0, 0.0]])
        texture = np.full((side, side, 4), 255, dtype=np.uint8)
        return Layer(texture=texture, density=1.0, motion=Motion(start=start, end=end))

    _, flow = render([layer(64, 0.0), layer(20, 8.0)], 64, 64, 0.25)
    # The upper layer stands a quarter of 8 pixels to the right, with 2 behind it and 6 to go.
    assert flow[32, 34] == pytest.approx([-2.0, 0.0, 6.0, 0.0], abs=1e-4)
    assert flow[5, 5] == pytest.approx([0.0, 0.0, 0.0, 0.0], abs=1e-4)


def test_a_picture_is_each_layer_over_those_below_at_its_own_time():
    rng = np.random.default_rng(5)
    still = np.array([[1.0, 0.1, 24.0], [-0.1, 1.0, 20.0]])
    moved = still + np.array([[0.1, 0.0, 6.0], [0.0, 0.0, -4.0]])

    def texture(*shape: int) -> NDArray[np.uint8]:
        return rng.integers(0, 256, shape).astype(np.uint8)

    def half_clear(side: int) -> NDArray[np.uint8]:
        colour, alpha = texture(side, side, 3) // 2, rng.integers(128, 256, (side, side, 1))
        return np.concatenate((colour, alpha), axis=-1).astype(np.uint8)

    layers = [
        Layer(
            texture=texture(70, 80, 3),
            density=1.0,
            motion=Motion(start=still, end=still),
            endless=True,
        ),
        Layer(texture=half_clear(30), density=1.2, motion=Motion(start=still, end=moved)),
        Layer(texture=half_clear(20), density=1.0, motion=Motion(start=moved, end=moved)),
        Layer(
            texture=half_clear(14),
            density=0.8,
            motion=Motion(start=still, end=still),
            light=(1.0, 0.4),
        ),
        Layer(
            texture=half_clear(12),
            density=0.5,
            motion=Motion(start=still, end=still, bend=wavy(3.0)),
        ),
    ]
    x, y = grid(40, 48)
    times = (-0.5, 0.0, 0.3, 1.0)
    pictures, _ = render(layers, 40, 48, 0.3, before=(-0.5,))
    for picture, time in zip(pictures, times, strict=True):
        expected = np.zeros((40, 48, 3))
        for layer in layers:
            colour, alpha = layer.draw(time, *layer.motion.inverse(time, x, y))
            expected = colour + (1 - alpha[..., None]) * expected
        assert np.abs(picture - expected).max() < 1e-5


def test_a_sample_depends_on_seed_and_index_alone(assets_folder):
    first = LayeredMotion(Assets(assets_folder), size=64, seed=3)
    again = LayeredMotion(Assets(assets_folder), size=64, seed=3)
    other = LayeredMotion(Assets(assets_folder), size=64, seed=4)
    again.sample(0)  # the order of asking must not matter
    for index in (17, 5, 11):
        a, b, c = (data.sample(index) for data in (first, again, other))
        assert a.t == b.t
        assert np.array_equal(a.img0, b.img0)
        assert np.array_equal(a.imgt, b.imgt)
        assert np.array_equal(a.flow, b.flow)
        assert not np.array_equal(a.img0, c.img0)


def test_still_scenes_do_not_move_and_the_others_keep_their_pace(assets_folder):
    assets = Assets(assets_folder)
    longest = {}
    for pace in PACES:
        data = LayeredMotion(assets, size=64, seed=1, t=0.5, clean=True, pace=pace)
        flows = [data.sample(i).flow for i in range(12)]
        longest[pace] = max(float(np.abs(flow).max()) for flow in flows)
    assert longest["still"] < 1e-3
    assert 0.05 < longest["subpixel"] < longest["slow"] < longest["fast"]


def test_noise_and_codecs_leave_size_and_flow_alone(assets_folder):
    data = LayeredMotion(Assets(assets_folder), size=64, seed=1)
    changed = 0
    for index in range(20):
        clean = LayeredMotion(Assets(assets_folder), size=64, seed=1, clean=True).sample(index)
        sample = data.sample(index)
        assert sample.img0.shape == sample.imgt.shape == sample.img1.shape == (64, 64, 3)
        changed += not np.array_equal(np.sort(sample.img0, None), np.sort(clean.img0, None))
    assert changed > 5


@pytest.mark.parametrize("codec", degrade.CODECS)
def test_a_codec_gives_the_last_pictures_back_in_order(codec):
    ramp = np.linspace(0, 40, 64)[None, :, None] * np.ones((48, 1, 3))
    pictures = [(ramp + 30 * number).astype(np.uint8) for number in range(6)]
    ((best, _),) = degrade.CODECS[codec].values()
    decoded = degrade.through_codec(pictures, codec, best, last=3)
    assert len(decoded) == 3
    for before, after in zip(pictures[-3:], decoded, strict=True):
        assert after.shape == before.shape
        assert np.abs(after.astype(int) - before).mean() < 3


def test_vp8_does_not_adapt_to_the_time_that_it_has(monkeypatch):
    rng = np.random.default_rng(0)
    canvas = cv2.resize(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8), (104, 104))
    pictures = [canvas[2 * n : 2 * n + 64, 3 * n : 3 * n + 64] for n in range(6)]
    decoded = degrade.through_codec(pictures, "libvpx", 20, last=3)
    # At this rate an encoder that adapts chooses its fastest settings.
    monkeypatch.setattr(degrade, "RATE", 100_000)
    hurried = degrade.through_codec(pictures, "libvpx", 20, last=3)
    assert all(map(np.array_equal, decoded, hurried))


def test_held_out_pictures_are_not_trained_on(assets_folder):
    paths = [Path(f"{number}.png") for number in range(1000)]
    held_out = [path for path in paths if in_part(path, "held-out")]
    assert 50 < len(held_out) < 120
    assert not any(in_part(path, "train") for path in held_out)


def test_missing_and_broken_pictures_are_named(tmp_path):
    with pytest.raises(DataError, match="neither"):
        Assets(tmp_path)
    folder = make_assets(tmp_path / "a")
    for path in (folder / "backgrounds").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    data = LayeredMotion(Assets(folder), size=64, seed=0)
    with pytest.raises(DataError, match=r"cannot read the picture .*backgrounds"):
        [data.sample(index) for index in range(20)]
