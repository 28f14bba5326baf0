"""Tests of what the filter shows at a cut."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs
from conftest import clip_from, planes, same, scene

from vsifrnet import ifrnet

CUT = 6  # the first frame of the second scene


@pytest.fixture(scope="module")
def clip() -> vs.VideoNode:
    pictures = [scene(n, 96, 64, seed=3) for n in range(CUT)]
    pictures += [scene(n, 96, 64, seed=8) for n in range(CUT)]
    return clip_from(pictures).resize.Bicubic(format=vs.YUV420P8, matrix=6)


@pytest.mark.parametrize("multi", [2, 3, Fraction(5, 2), 4])
def test_hold_shows_the_left_frame(clip, multi, network_runs):
    out = ifrnet(clip, multi=multi)
    for n in range(out.num_frames):
        time = n / Fraction(multi)
        if CUT - 1 <= time < CUT:
            assert same(out.get_frame(n), clip.get_frame(CUT - 1))
    assert network_runs.calls == 0
    out.get_frame(1)
    assert network_runs.calls == 1


def test_nearest_shows_the_nearer_frame(clip):
    out = ifrnet(clip, multi=4, sc_mode="nearest")
    shown = [0, 0, 1, 1]
    for phase, right in enumerate(shown):
        n = 4 * (CUT - 1) + phase
        assert same(out.get_frame(n), clip.get_frame(CUT - 1 + right))


def test_blend_mixes_by_time(clip):
    out = ifrnet(clip, multi=4, sc_mode="blend")
    left, right = (planes(clip.get_frame(k))[0].astype(float) for k in (CUT - 1, CUT))
    for phase in (1, 2, 3):
        luma = planes(out.get_frame(4 * (CUT - 1) + phase))[0]
        mixed = left + (right - left) * phase / 4
        assert np.abs(luma - mixed).mean() < 0.6  # colour goes through RGB and is rounded


def test_off(clip, network_runs):
    ifrnet(clip, sc=False).get_frame(2 * CUT - 1)
    assert network_runs.calls == 1


@pytest.mark.parametrize("tag", ["_SceneChangeNext", "_SceneChangePrev"])
def test_tags_of_the_source_decide(clip, tag, network_runs):
    """A tagged cut where there is none to see, and none tagged where there is one."""
    tagged = 2
    at = tagged if tag == "_SceneChangeNext" else tagged + 1
    marked = clip.std.SetFrameProps(**{tag: 0})
    marked = marked[:at] + marked[at].std.SetFrameProps(**{tag: 1}) + marked[at + 1 :]
    out = ifrnet(marked)
    assert same(out.get_frame(2 * tagged + 1), clip.get_frame(tagged))
    assert network_runs.calls == 0
    out.get_frame(2 * (CUT - 1) + 1)
    assert network_runs.calls == 1
