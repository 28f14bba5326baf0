"""Held drawings are bridged: the pictures, their times, and the number of network runs."""

from __future__ import annotations

import random
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
import vapoursynth as vs
from conftest import clip_from, core, planes, psnr, same, scene

from vsifrnet import ifrnet
from vsifrnet.engine.interpolator import Interpolator


@pytest.fixture
def mixing(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, Fraction]]:
    """The network replaced by a mix, so that a flat frame's level tells its pair and time."""
    calls = []

    def mix(self, img0, img1, t, *, key):
        calls.append((*key, t))
        return torch.lerp(img0, img1, float(t))

    monkeypatch.setattr(Interpolator, "__call__", mix)
    return calls


def drawings(seed: int, count: int, longest: int) -> tuple[list[int], list[bool]]:
    """For every frame: the number of its drawing, and whether a cut follows it."""
    rng = random.Random(seed)
    shown: list[int] = []
    cuts: list[bool] = []
    for drawing in range(count):
        held = rng.randint(1, longest)
        shown += [drawing] * held
        # Mostly where a drawing ends, but a source may tag any frame.
        cuts += [rng.random() < 0.05 for _ in range(held - 1)] + [rng.random() < 0.2]
    return shown, cuts


def flat(shown: list[int], cuts: list[bool]) -> vs.VideoNode:
    """A clip of flat frames; the level is the drawing, and cuts are tagged."""
    levels = [np.full((32, 32, 3), 0.1 + 0.8 * ((7 * d) % 19) / 19, np.float32) for d in shown]
    clip = clip_from(levels)

    def tag(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        frame.props["_SceneChangeNext"] = int(cuts[n])
        return frame

    return clip.std.ModifyFrame(clip, tag)


def expected_level(
    time: Fraction, shown: list[int], cuts: list[bool], dup_max: int, levels: list[float]
) -> tuple[float, bool]:
    """The definition, written out for one moment with the whole clip in sight.

    Also whether the picture is a made one.
    """
    k = floor(time)
    first, after = k, k + 1
    while first > 0 and shown[first - 1] == shown[k] and not cuts[first - 1]:
        first -= 1
    while after < len(shown) and shown[after] == shown[k] and not cuts[after - 1]:
        after += 1
    ends = after == len(shown) or cuts[after - 1]
    if after - first > dup_max:
        first = after - 1  # a picture that stands still: only its last gap is bridged
    if ends or time < first:
        return levels[k], False
    t = (time - first) / (after - first)
    return levels[first] + (levels[after] - levels[first]) * float(t), t > 0


@pytest.mark.parametrize("multi", [1, 2, Fraction(5, 2), Fraction(4, 5)], ids=str)
@pytest.mark.parametrize(("dup_max", "longest"), [(3, 3), (2, 4), (3, 5), (8, 9), (1, 3)])
def test_pairs_and_times_by_brute_force(multi, dup_max, longest, mixing):
    shown, cuts = drawings(seed=dup_max * 10 + longest, count=14, longest=longest)
    clip = flat(shown, cuts)
    levels = [float(planes(f)[0][0, 0]) for f in clip.frames()]
    bridge = ifrnet(clip, multi=multi, dup_mode="bridge", dup_max=dup_max)
    keep = ifrnet(clip, multi=multi)
    assert bridge.num_frames == keep.num_frames == floor(len(shown) * multi)
    assert bridge.fps == keep.fps
    timing = [(f.props["_DurationNum"], f.props["_DurationDen"]) for f in keep.frames()]
    mixing.clear()
    order = list(range(bridge.num_frames))
    random.Random(0).shuffle(order)
    runs = 0
    for n in order:
        frame = bridge.get_frame(n)
        level, made = expected_level(n / Fraction(multi), shown, cuts, dup_max, levels)
        assert float(planes(frame)[0][0, 0]) == pytest.approx(level, abs=1e-6), n
        assert (frame.props["_DurationNum"], frame.props["_DurationDen"]) == timing[n]
        runs += made
    # The network runs once for each output picture that is not a source frame, and for no other.
    assert len(mixing) == len(set(mixing)) == runs


def test_first_frames_of_drawings_are_shown_as_they_are(mixing):
    shown, cuts = drawings(seed=5, count=10, longest=3)
    clip = flat(shown, cuts)
    out = ifrnet(clip, multi=1, dup_mode="bridge")
    for n, drawing in enumerate(shown):
        if n == 0 or shown[n - 1] != drawing or cuts[n - 1]:
            assert same(out.get_frame(n), clip.get_frame(n))
    assert len(mixing) <= out.num_frames - 10


@pytest.mark.parametrize("hold", [2, 3])
def test_held_drawings_move_like_the_truth(hold, network_runs):
    """A drawing on twos and threes made from a clip whose true frames are known."""
    truth = [scene(n, 160, 96, speed=1.5) for n in range(13)]
    held = clip_from([truth[n - n % hold] for n in range(13)])
    clip = held.resize.Bicubic(format=vs.YUV444P8, matrix=6)
    true = clip_from(truth).resize.Bicubic(format=vs.YUV444P8, matrix=6)
    bridged = ifrnet(clip, multi=1, dup_mode="bridge", sc=False)
    gains = []
    for n in range(12):
        if n % hold:
            now = [planes(c.get_frame(n))[0] for c in (bridged, clip, true)]
            gains.append(psnr(now[0], now[2], 255) - psnr(now[1], now[2], 255))
        else:
            assert same(bridged.get_frame(n), clip.get_frame(n))
    assert min(gains) > 3
    assert network_runs.calls == len(gains)


def test_timecodes_lead_to_a_constant_rate(mixing):
    durations = [Fraction(n, 1000) for n in (42, 42, 83, 125, 42, 42, 17, 42)]
    times = [sum(durations[:k], Fraction(0)) for k in range(len(durations))]
    shown = list(range(len(durations)))
    clip = flat(shown, [False] * len(shown)).std.SetFrameProps(_DurationNum=42, _DurationDen=1000)
    clip = clip.std.SetFrameProps(_AbsoluteTime=0.0)
    vfr = core.std.BlankClip(clip, fpsnum=0, fpsden=1)
    vfr = vfr.std.ModifyFrame(clip, lambda n, f: f)
    levels = [float(planes(f)[0][0, 0]) for f in clip.frames()]
    out = ifrnet(vfr, fps_num=60, timecodes=times)
    assert out.fps == 60
    assert out.num_frames == round(sum(durations) * 60)
    for n, frame in enumerate(out.frames()):
        now = Fraction(n, 60)
        k = max(k for k, time in enumerate(times) if time <= now)
        phase = (now - times[k]) / durations[k]
        level = levels[k]
        if k + 1 < len(levels):
            level += (levels[k + 1] - levels[k]) * float(phase)
        assert float(planes(frame)[0][0, 0]) == pytest.approx(level, abs=1e-6)
        assert Fraction(frame.props["_DurationNum"], frame.props["_DurationDen"]) == Fraction(1, 60)
        assert frame.props["_AbsoluteTime"] == pytest.approx(n / 60)
