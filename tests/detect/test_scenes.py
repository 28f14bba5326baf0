"""The cut detector finds known cuts and nothing else, in every format and order."""

from __future__ import annotations

import random
from itertools import chain

import numpy as np
import pytest
import vapoursynth as vs
from drawn import Array, clip_of, picture, shifted

from vsifrnet.detect import scenes

H, W = 90, 160
GREY, DARK = 1.0, 0.12


def shot(
    seed: int, length: int, *, speed: float = 0, hold: int = 1, gain: float = GREY
) -> list[Array]:
    """A pan over a picture, ``speed`` pixels a frame, every drawing held for ``hold`` frames."""
    wide = picture(seed, H, W + int(speed * length) + 2)
    noise = np.random.default_rng(seed)
    frames: list[Array] = []
    for n in range(length):
        if n % hold:
            frames.append(frames[-1])
        else:
            frame = gain * shifted(wide, speed * n, H, W)
            frames.append(np.clip(frame + noise.normal(size=frame.shape), 0, 255))
    return frames


def cuts(frames: list[Array] | vs.VideoNode) -> list[int]:
    clip = clip_of(frames) if isinstance(frames, list) else frames
    gaps = list(scenes.gap_scores(clip).frames())[:-1]
    return [k for k, gap in enumerate(gaps) if scenes.is_cut(gap.props)]


@pytest.mark.parametrize("gain", [GREY, DARK])
@pytest.mark.parametrize("hold", [1, 2, 3])
@pytest.mark.parametrize("speed", [0, 1, 3])
def test_finds_each_cut_and_no_other(speed: float, hold: int, gain: float) -> None:
    lengths = [9, 6, 13, 7]
    shots = [shot(s, n, speed=speed, hold=hold, gain=gain) for s, n in enumerate(lengths)]
    assert cuts([*chain(*shots)]) == [8, 14, 27]


@pytest.mark.parametrize("speed", [0.25, 2, 8, 16])
@pytest.mark.parametrize("hold", [1, 2, 3])
def test_motion_is_no_cut(speed: float, hold: int) -> None:
    assert cuts(shot(5, 24, speed=speed, hold=hold)) == []


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("strength", [0.5, 1])
def test_flash_is_no_cut(length: int, strength: float) -> None:
    frames = shot(6, 20, speed=1)
    for n in range(8, 8 + length):
        frames[n] = frames[n] * (1 - strength) + 255 * strength
    assert cuts(frames) == []


@pytest.mark.parametrize("length", [5, 12])
def test_dissolve_and_fade_are_no_cuts(length: int) -> None:
    first, second = shot(8, 10 + length), shot(9, 10 + length)
    mix = [(n + 1) / (length + 1) for n in range(length)]
    dissolve = [a * (1 - t) + b * t for a, b, t in zip(first[10:], second, mix, strict=False)]
    assert cuts(first[:10] + dissolve + second[length:]) == []
    fade = [frame * (1 - t) for frame, t in zip(first[10:], mix, strict=True)]
    # The step from the last trace of a picture into black may count: either way it is not seen.
    assert cuts(first[:10] + fade + [np.zeros((H, W))] * 5) in ([], [9 + length])


def test_changing_light_is_no_cut() -> None:
    light = np.random.default_rng(1).uniform(0.6, 1, 20)
    assert cuts([frame * gain for frame, gain in zip(shot(10, 20), light, strict=True)]) == []


def test_cut_beside_the_ends_of_the_clip() -> None:
    assert cuts(shot(1, 4) + shot(2, 4)) == [3]
    assert cuts(shot(1, 1)) == []


def distance(a: Array, b: Array) -> float:
    """As in the module's docstring, pixel by pixel."""
    reach = scenes.REACH

    def outside(one: Array, other: Array) -> Array:
        padded = np.pad(other, reach, mode="edge")
        views = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1,) * 2)
        above, below = one - views.max((2, 3)), views.min((2, 3)) - one
        return np.maximum(np.maximum(above, below), 0)

    return float((outside(a, b) + outside(b, a)).mean() / 2)


def test_score_is_the_documented_one() -> None:
    frames = shot(1, 6, speed=3) + shot(2, 5, hold=2) + shot(3, 2) + shot(4, 7, speed=1)
    clip = clip_of(frames)
    thumbnails = [np.asarray(f[0], np.float64) for f in scenes._thumbnails(clip).frames()]
    norm = [(t - t.mean()) / np.sqrt(t.var() + scenes.CONTRAST**2) for t in thumbnails]

    def d(i: int, j: int) -> float:
        return distance(*(norm[min(max(n, 0), len(norm) - 1)] for n in (i, j)))

    for k, frame in enumerate(scenes.gap_scores(clip).frames()):
        ahead = [d(k, k + j) for j in range(1, 5)]
        behind = [d(k - j, k + 1) for j in range(4)]
        novelty = min(ahead + behind)
        before = max(d(k - j, k - j + 1) for j in range(1, 4))
        after = max(d(k + j, k + j + 1) for j in range(1, 4))
        motion = (before + after) / 2
        expected = max(0.0, (novelty - motion) / (novelty + motion + scenes.FLOOR))
        assert frame.props["_IfrnetCutAverage"] == pytest.approx(expected, abs=1e-3)


def test_a_gap_is_the_same_in_any_order_and_from_its_surroundings_alone() -> None:
    frames = [*chain(*(shot(s, 8, speed=s) for s in range(5)))]
    clip = clip_of(frames)

    def score(node: vs.VideoNode, k: int) -> float:
        return float(node.get_frame(k).props["_IfrnetCutAverage"])

    linear = [float(f.props["_IfrnetCutAverage"]) for f in scenes.gap_scores(clip).frames()]
    order = random.Random(0).sample(range(len(frames)), len(frames))
    node = scenes.gap_scores(clip)
    assert [score(node, k) for k in order] == [linear[k] for k in order]
    part = scenes.gap_scores(clip[10:30])
    assert [score(part, k) for k in range(3, 16)] == linear[13:26]


FORMATS = [
    *(vs.GRAY8, vs.GRAY10, vs.GRAY16, vs.GRAYH, vs.GRAYS),
    *(vs.YUV420P8, vs.YUV422P10, vs.YUV411P8, vs.YUV444P16, vs.YUV420PH, vs.YUV444PS),
    *(vs.RGB24, vs.RGB30, vs.RGB48, vs.RGBH, vs.RGBS),
]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [(W, H), (64, 48), (16, 16), (101, 67)])
def test_every_format_and_size(format: vs.PresetVideoFormat, size: tuple[int, int]) -> None:
    info = vs.core.get_video_format(format)
    width, height = size[0] >> info.subsampling_w << info.subsampling_w, size[1]
    height = height >> info.subsampling_h << info.subsampling_h
    whole = clip_of(shot(1, 6, speed=0.5) + shot(2, 6)).std.RemoveFrameProps()
    if info.color_family == vs.RGB:
        clip = whole.resize.Bilinear(width, height, format=format, matrix_in=vs.MATRIX_BT709)
        clip = clip.std.SetFrameProps(_Matrix=vs.MATRIX_BT709)
    else:
        clip = whole.resize.Bilinear(width, height, format=format)
    assert cuts(clip) == [5]
    assert cuts(clip.std.RemoveFrameProps()) == [5]
    assert cuts(clip.std.SetFrameProps(_Matrix=vs.MATRIX_RGB, _FieldBased=vs.FIELD_TOP)) == [5]


def tagged(tags: dict[int, dict[str, int]]) -> vs.VideoNode:
    clip = clip_of(shot(1, 5) + shot(2, 5))

    def tag(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for key, value in tags.get(n, {}).items():
            frame.props[key] = value
        return frame

    return clip.std.ModifyFrame(clip, tag)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, [4]),
        ({2: {"_SceneChangeNext": 1}}, [2, 4]),
        ({2: {"_SceneChangePrev": 1}}, [1, 4]),
        ({4: {"_SceneChangeNext": 0}}, []),
        ({5: {"_SceneChangePrev": 0}}, []),
        ({4: {"_SceneChangeNext": 0}, 5: {"_SceneChangePrev": 1}}, [4]),
        ({5: {"_SceneChangeNext": 1}, 4: {"_SceneChangePrev": 1}}, [3, 4, 5]),
        ({0: {"_SceneChangePrev": 1}, 9: {"_SceneChangeNext": 1}}, [4]),
    ],
)
def test_tags_decide_where_there_are_any(
    tags: dict[int, dict[str, int]], expected: list[int]
) -> None:
    assert cuts(tagged(tags)) == expected


def test_threshold() -> None:
    gap = {"_IfrnetCutAverage": 0.5}
    assert scenes.is_cut(gap, 0.5)
    assert not scenes.is_cut(gap, 0.51)
    assert scenes.is_cut({"_IfrnetCutAverage": 0.0}, 0)
    assert not scenes.is_cut({"_IfrnetCutAverage": 1.0}, 1.1)
