"""Equal frames must match in every sample; held frames show one drawing and no slow motion."""

from __future__ import annotations

import io
import random
from itertools import pairwise

import av
import numpy as np
import pytest
import vapoursynth as vs
from drawn import Array, clip_of, picture, shifted

from vsifrnet.detect import held

H, W = 270, 480


def is_held(clip: vs.VideoNode, threshold: float = held.DEFAULT_THRESHOLD) -> list[bool]:
    return [held.is_held(f.props) for f in held.held_frames(clip, threshold).frames()][:-1]


def is_equal(clip: vs.VideoNode) -> list[bool]:
    return [held.is_equal(f.props) for f in held.equal_frames(clip).frames()][:-1]


FORMATS = [
    *(vs.GRAY8, vs.GRAY16, vs.GRAYH, vs.GRAYS, vs.YUV420P8, vs.YUV422P10, vs.YUV411P8),
    *(vs.YUV444P16, vs.YUV420PH, vs.YUV444PS, vs.RGB24, vs.RGB30, vs.RGB48, vs.RGBH, vs.RGBS),
]


def touched(clip: vs.VideoNode, plane: int, at: tuple[int, int], value: float) -> vs.VideoNode:
    """Two frames: the first of ``clip``, and it again with one sample changed."""

    def touch(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        if n == 1:
            np.asarray(frame[plane])[at] = value
        return frame

    twice = clip[0] * 2
    return twice.std.ModifyFrame(twice, touch)


@pytest.mark.parametrize("format", FORMATS)
def test_one_sample_by_one_step_is_not_equal(format: vs.PresetVideoFormat) -> None:
    clip = vs.core.std.BlankClip(width=1920, height=1080, format=format, length=1)
    first = clip.get_frame(0)
    assert is_equal(clip * 2) == [True]
    for plane in range(clip.format.num_planes):
        samples = np.asarray(first[plane])
        at = samples.shape[0] - 1, samples.shape[1] // 2
        if clip.format.sample_type == vs.FLOAT:
            # From 0 to the smallest number there is.
            value = np.nextafter(samples[at], samples.dtype.type(1))
        else:
            value = int(samples[at]) + 1
        assert is_equal(touched(clip, plane, at, value)) == [False]


def test_nan_is_not_equal() -> None:
    clip = vs.core.std.BlankClip(width=64, height=64, format=vs.GRAYS, length=1)
    assert is_equal(touched(clip, 0, (3, 3), float("nan"))) == [False]


def test_props_do_not_make_frames_unequal() -> None:
    clip = clip_of([picture(0, 64, 64)])
    assert is_equal(clip + clip.std.SetFrameProps(_Matrix=6, PlaneStatsDiff=1.0)) == [True]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [(64, 48), (16, 16), (101, 67)])
def test_every_format_and_size(format: vs.PresetVideoFormat, size: tuple[int, int]) -> None:
    info = vs.core.get_video_format(format)
    width, height = size[0] >> info.subsampling_w << info.subsampling_w, size[1]
    height = height >> info.subsampling_h << info.subsampling_h
    peak = 1.0 if info.sample_type == vs.FLOAT else (1 << info.bits_per_sample) - 1
    drawings = [peak / 255 * picture(seed, height, width) for seed in range(3)]
    clip = clip_of([drawings[k] for k in (0, 0, 1, 2, 2, 2)], format)
    expected = [True, False, False, True, True]
    for props in ({}, {"_Matrix": vs.MATRIX_RGB, "_FieldBased": 1}, {"_Matrix": vs.MATRIX_BT709}):
        marked = clip.std.RemoveFrameProps().std.SetFrameProps(**props) if props else clip
        assert is_held(marked) == expected
        assert is_equal(marked) == expected


def encoded(frames: list[Array], crf: int) -> vs.VideoNode:
    """The luma of what x264 makes of them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        for frame in frames:
            gray = np.clip(np.round(frame), 0, 255).astype(np.uint8)
            rgb = np.repeat(gray[..., None], 3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        decoded = [f.to_ndarray()[:H].astype(np.float64) for f in container.decode(video=0)]
    return clip_of(decoded)


def with_mouth(canvas: Array, opened: int) -> Array:
    """A mouth of 20 pixels, open by ``opened``; 40x20 pixels would be its size at 1080p."""
    frame = canvas.copy()
    frame[120:130, 200:220] = 180
    frame[125 - opened // 2 : 125 + (opened + 1) // 2, 200:220] = 60
    return frame


@pytest.mark.parametrize("crf", [16, 23, 28])
@pytest.mark.parametrize("hold", [2, 3])
@pytest.mark.parametrize("grain", [0, 3])
def test_a_moving_mouth_on_twos_and_threes_in_x264(crf: int, hold: int, grain: float) -> None:
    canvas = picture(3, H, W)
    noise = np.random.default_rng(0)
    drawing = [n // hold for n in range(18)]
    frames = [
        with_mouth(canvas, (2, 8, 4, 10, 6)[d % 5]) + grain * noise.normal(size=(H, W))
        for d in drawing
    ]
    same = [a == b for a, b in pairwise(drawing)]
    assert is_held(encoded(frames, crf)) == same


@pytest.mark.parametrize("crf", [16, 28])
@pytest.mark.parametrize("grain", [0, 3])
def test_a_slow_pan_in_x264_is_not_held(crf: int, grain: float) -> None:
    canvas = picture(4, H, W + 16)
    noise = np.random.default_rng(0)
    frames = [
        shifted(canvas, 0.25 * n, H, W) + grain * noise.normal(size=(H, W)) for n in range(14)
    ]
    assert not any(is_held(encoded(frames, crf)))


def test_a_fade_over_four_seconds_is_not_held() -> None:
    canvas = picture(5, H, W)
    assert not any(is_held(clip_of([canvas * (1 - n / 96) for n in range(14)])))


@pytest.mark.parametrize("threshold", [1.5, 2.5, 4.5])
def test_drift_against_brute_force(threshold: float) -> None:
    steps = np.random.default_rng(1).choice([0, 0, 0, 0, 1, 2, 3, 5, 9, 12, -12], 60)
    levels = np.cumsum(steps) + 100

    def change(first: int, gaps: int) -> float:
        first, last = (min(max(k, 0), len(levels) - 1) for k in (first, first + gaps))
        return abs(float(levels[first] - levels[last]))

    def drifts(first: int, gaps: int) -> bool:
        steps = [change(first + i, 1) for i in range(gaps)]
        return change(first, gaps) >= threshold and min(steps) >= 0.5 * max(steps)

    expected = [
        change(k, 1) < threshold
        and not any(drifts(k - i, gaps) for gaps in (2, 3) for i in range(gaps))
        for k in range(len(levels) - 1)
    ]
    assert True in expected
    assert False in expected
    clip = clip_of([np.full((48, 64), float(level)) for level in levels])
    assert is_held(clip, threshold) == expected


def test_the_threshold_is_in_8_bit_steps_of_a_patch() -> None:
    before, after = np.full((128, 128), 100.0), np.full((128, 128), 100.0)
    after[32:64, 32:64] = 110  # weighs (3/4)^2 in its patch, the rest is its surroundings
    clip = clip_of([before, after])
    for deep in (clip, clip.resize.Point(format=vs.GRAY16), clip.resize.Point(format=vs.GRAYS)):
        assert is_held(deep, 5.9) == [True]
        assert is_held(deep, 5.3) == [False]


def test_a_gap_is_the_same_in_any_order_and_from_its_surroundings_alone() -> None:
    levels = np.cumsum(np.random.default_rng(2).choice([0, 0, 1, 2, 4], 40)) + 16.0
    clip = clip_of([np.full((48, 64), level) for level in levels])
    linear = [held.is_held(f.props) for f in held.held_frames(clip).frames()]
    node = held.held_frames(clip)
    order = random.Random(0).sample(range(40), 40)
    assert [held.is_held(node.get_frame(k).props) for k in order] == [linear[k] for k in order]
    part = held.held_frames(clip[10:30])
    inside = [held.is_held(part.get_frame(k).props) for k in range(2, 17)]
    assert inside == linear[12:27]
