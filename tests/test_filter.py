"""The filter as its users see it: frames, times, props, order and cuts."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
import torch
import vapoursynth as vs
from conftest import clip_from, core, moving, planes, psnr, same, scene

from vsifrnet import ifrnet

FORMATS = [
    core.query_video_format(family, sample, bits, w, h).id
    for family, subsamplings in (
        (vs.GRAY, [(0, 0)]),
        (vs.RGB, [(0, 0)]),
        (vs.YUV, [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 2)]),
    )
    for w, h in subsamplings
    for sample, depths in ((vs.INTEGER, (8, 9, 10, 12, 14, 16)), (vs.FLOAT, (16, 32)))
    for bits in depths
]
NAMES = [core.get_video_format(format).name for format in FORMATS]
MULTIS = [2, 3, Fraction(5, 2), 8]


def as_float(frame: vs.VideoFrame) -> list[np.ndarray]:
    """Planes with the samples' full range scaled to 1."""
    peak = 1 if frame.format.sample_type == vs.FLOAT else 2**frame.format.bits_per_sample - 1
    return [plane.astype(np.float64) / peak for plane in planes(frame)]


def check(clip: vs.VideoNode, multi: int | Fraction, shown: range | None = None) -> None:
    """Source frames are themselves; a made frame is neither neighbour, and near their mean."""
    out = ifrnet(clip, multi=multi, sc=False)
    assert out.format == clip.format
    assert (out.width, out.height) == (clip.width, clip.height)
    assert out.num_frames == int(clip.num_frames * multi)
    assert out.fps == clip.fps * multi
    for n in shown or range(out.num_frames):
        time = n / Fraction(multi)
        left = int(time)
        frame = out.get_frame(n)
        if time == left or left == clip.num_frames - 1:
            assert same(frame, clip.get_frame(left)), n
            continue
        around = [as_float(clip.get_frame(k)) for k in (left, left + 1)]
        assert not same(frame, clip.get_frame(left))
        assert not same(frame, clip.get_frame(left + 1))
        for made, a, b in zip(as_float(frame), *around, strict=True):
            # No motion here is larger than a few pixels: the mean stays near its neighbours'.
            assert abs(made.mean() - (a.mean() + b.mean()) / 2) < 0.02
            assert made.min() >= min(a.min(), b.min()) - 0.2
            assert made.max() <= max(a.max(), b.max()) + 0.2


@pytest.mark.parametrize("multi", MULTIS, ids=str)
@pytest.mark.parametrize("format", FORMATS, ids=NAMES)
def test_every_format(format: int, multi: int | Fraction) -> None:
    check(moving(3, 32, 24, format), multi, shown=range(5))


@pytest.mark.parametrize("multi", MULTIS, ids=str)
@pytest.mark.parametrize("format", [vs.YUV420P8, vs.YUV444P10], ids=["YUV420P8", "YUV444P10"])
def test_every_size(format: int, multi: int | Fraction) -> None:
    step = 2 if format == vs.YUV420P8 else 1
    if multi != 2:
        step *= 5  # still every other residue; the rate has no say in the padding
    for side in range(16, 65, step):
        # Every residue of 16 in both directions, not always the same in both.
        check(moving(2, side, 80 - side, format), multi, shown=range(2))


@pytest.mark.parametrize("multi", MULTIS, ids=str)
def test_full_hd(multi: int | Fraction) -> None:
    check(moving(2, 1920, 1080), multi, shown=range(2))


def test_made_frames_are_the_frames_between() -> None:
    pictures = [scene(n, 160, 96) for n in range(9)]
    truth = clip_from(pictures)
    out = ifrnet(truth[::2], multi=2, sc=False)
    for n in (1, 3, 5, 7):
        true = np.stack(planes(truth.get_frame(n)))
        around = [np.stack(planes(truth.get_frame(k))) for k in (n - 1, n + 1)]
        made = np.stack(planes(out.get_frame(n)))
        assert psnr(made, true) > psnr((around[0] + around[1]) / 2, true) + 3


def test_order_and_threads_change_nothing() -> None:
    clip = moving(8)
    plain = ifrnet(clip, multi=Fraction(5, 2))
    linear = [planes(plain.get_frame(n)) for n in range(plain.num_frames)]
    before = core.num_threads
    try:
        for threads in (1, 2, 32):
            core.num_threads = threads
            out = ifrnet(clip, multi=Fraction(5, 2), num_streams=2)
            order = list(range(out.num_frames)) * 2
            random.Random(threads).shuffle(order)
            futures = [(n, out.get_frame_async(n)) for n in order]
            for n, future in futures:
                with future.result() as frame:
                    for seen, expected in zip(planes(frame), linear[n], strict=True):
                        assert np.array_equal(seen, expected), n
    finally:
        core.num_threads = before


def test_two_filters_in_one_script() -> None:
    a, b = moving(3, seed=1), moving(3, 48, 32, seed=2)
    alone = [planes(ifrnet(clip).get_frame(1)) for clip in (a, b)]
    both = [ifrnet(clip) for clip in (a, b)]
    futures = [out.get_frame_async(1) for out in both]
    for future, expected in zip(futures, alone, strict=True):
        for seen, plane in zip(planes(future.result()), expected, strict=True):
            assert np.array_equal(seen, plane)


def test_chains_with_itself() -> None:
    clip = moving(3)
    out = ifrnet(ifrnet(clip))
    assert out.num_frames == 12
    assert same(out.get_frame(8), clip.get_frame(2))
    assert out.get_frame(1).props["_DurationDen"] == 96


def test_rates_below_one_drop_frames() -> None:
    clip = moving(10)
    out = ifrnet(clip, fps_num=12)
    assert (out.num_frames, out.fps) == (5, 12)
    assert all(same(out.get_frame(n), clip.get_frame(2 * n)) for n in range(5))


@pytest.mark.parametrize(
    ("source", "target", "frames"),
    [((24000, 1001), (60, 1), 250), ((24000, 1001), (60000, 1001), 250), ((25, 1), (60, 1), 240)],
)
def test_target_rate(source: tuple[int, int], target: tuple[int, int], frames: int) -> None:
    clip = clip_from([np.zeros((16, 16, 3), np.float32)] * 100, fps=source)
    out = ifrnet(clip, fps_num=target[0], fps_den=target[1])
    assert out.fps == Fraction(*target)
    assert out.num_frames == frames
    duration = Fraction(1) / Fraction(*target)
    for n in (0, 1, frames - 1):
        props = out.get_frame(n).props
        assert Fraction(props["_DurationNum"], props["_DurationDen"]) == duration


def test_a_target_rate_is_exact_though_the_source_rounds_its_durations() -> None:
    # As Matroska does, to milliseconds.
    clip = variable([Fraction(n, 1000) for n in (42, 41, 42, 42, 41, 42)], fps=24)
    out = ifrnet(clip, fps_num=60)
    durations = {f.props["_DurationNum"] / f.props["_DurationDen"] for f in out.frames()}
    assert durations == {1 / 60}


def test_a_target_rate_of_a_variable_one_warns(caplog: pytest.LogCaptureFixture) -> None:
    """BestSource says of such a clip what its rate is on average."""
    alike = [Fraction(1, 30)] * 4
    for durations in (alike, [*alike, Fraction(1, 5)]):  # the last one's is often a guess
        list(ifrnet(variable(durations, fps=30), fps_num=60).frames())
    assert not caplog.records
    list(ifrnet(variable([*alike, Fraction(1, 120), *alike], fps=30), fps_num=60).frames())
    assert caplog.text.count("source frame 4 lasts 0.008333 s") == 1
    caplog.clear()
    list(ifrnet(variable([*alike, Fraction(1, 120), *alike], fps=30), multi=2).frames())
    assert not caplog.records


def variable(durations: list[Fraction], fps: int = 0) -> vs.VideoNode:
    """A clip of variable frame rate, with durations and times."""
    clip = moving(len(durations), 32, 32)
    times = [sum(durations[:k], Fraction(0)) for k in range(len(durations))]

    def time(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        frame.props["_DurationNum"], frame.props["_DurationDen"] = durations[n].as_integer_ratio()
        frame.props["_AbsoluteTime"] = float(times[n])
        return frame

    blank = clip.std.BlankClip(fpsnum=fps, fpsden=1)
    return blank.std.ModifyFrame(clip, time)


@pytest.mark.parametrize("multi", [Fraction(2), Fraction(5, 2), Fraction(3, 4)], ids=str)
def test_variable_frame_rate(multi: Fraction) -> None:
    durations = [Fraction(n, 24000) for n in (1001, 2002, 1001, 500, 3003, 1001, 1, 1001)]
    clip = variable(durations)
    assert clip.fps == 0
    out = ifrnet(clip, multi=multi)
    assert out.fps == 0
    total = Fraction(0)
    for frame in out.frames():
        assert frame.props["_AbsoluteTime"] == pytest.approx(float(total), abs=1e-9)
        total += Fraction(frame.props["_DurationNum"], frame.props["_DurationDen"])
    assert total == sum(durations)


def test_unknown_durations_stay_unknown() -> None:
    clip = variable([Fraction(1, 24)] * 3).std.SetFrameProps(_AbsoluteTime=5.0)
    bare = clip.std.RemoveFrameProps(["_DurationNum", "_DurationDen"])
    out = [frame.props for frame in ifrnet(clip[0] + bare[1:], multi=Fraction(3, 2)).frames()]
    assert ["_DurationNum" in props for props in out] == [True, False, False, False]
    assert ["_AbsoluteTime" in props for props in out] == [True, True, False, True]


def test_equal_frames_cost_no_network_run(network_runs) -> None:
    pictures = [scene(n // 3, 32, 32) for n in range(9)]
    clip = clip_from(pictures).resize.Bicubic(format=vs.YUV420P8, matrix=6)
    out = ifrnet(clip, multi=4, sc=False)
    for n, frame in enumerate(out.frames()):
        if (n // 4) % 3 != 2 or n // 4 == 8:
            assert same(frame, clip.get_frame(n // 4))
    assert network_runs.calls == 2 * 3


def test_last_frame_stays() -> None:
    clip = moving(3)
    out = ifrnet(clip, multi=8)
    assert all(same(out.get_frame(n), clip.get_frame(2)) for n in range(16, 24))


def test_colour_is_kept() -> None:
    clip = moving(2).std.SetFrameProps(
        _Matrix=9, _Transfer=16, _Primaries=9, _ChromaLocation=2, _Range=1, mine=5
    )
    props = ifrnet(clip, sc=False).get_frame(1).props
    assert [props[name] for name in ("_Matrix", "_Transfer", "_Primaries")] == [9, 16, 9]
    assert [props[name] for name in ("_ChromaLocation", "_Range", "mine")] == [2, 1, 5]


@pytest.mark.parametrize("format", [vs.GRAY8, vs.YUV420P8, vs.YUV420P10, vs.RGB24, vs.YUV444PH])
@pytest.mark.parametrize("full", [0, 1])
def test_conversions_keep_samples(format: int, full: int) -> None:
    """Forth and back without the network: nothing is lost, so nothing flickers."""
    bits = core.get_video_format(format).bits_per_sample
    from vsifrnet.graph.frames import Colour, from_rgb, rgb_format, to_rgb

    clip = moving(1, 64, 48, format).std.SetFrameProps(_Range=full)
    frame = clip.get_frame(0)
    step = 1 / 255
    for dtype in (torch.float32, torch.float16):
        rgb = to_rgb(clip, 6, rgb_format(clip.format, dtype))
        assert rgb.format.id == (vs.RGBH if dtype == torch.float16 and bits <= 10 else vs.RGBS)
        back = from_rgb(rgb, clip.format, Colour.of(frame.props), 6).get_frame(0)
        for a, b in zip(as_float(frame), as_float(back), strict=True):
            assert abs(a.mean() - b.mean()) < 0.1 * step
        assert abs(as_float(frame)[0] - as_float(back)[0]).max() <= step
        if format == vs.YUV420P10:  # half precision is enough for a 10-bit step, too
            assert abs(planes(frame)[0].astype(int) - planes(back)[0]).max() <= 1


@pytest.mark.parametrize("format", [vs.YUV420P8, vs.YUV420P10, vs.YUV420P16, vs.RGB24])
def test_half_precision_makes_the_same_frames(format: int) -> None:
    """fp16 takes 8 and 10 bit through RGBH, the others through RGBS."""
    clip = moving(2, format=format)
    exact, half = (ifrnet(clip, sc=False, precision=p).get_frame(1) for p in ("fp32", "fp16"))
    for a, b in zip(as_float(exact), as_float(half), strict=True):
        assert abs(a - b).max() <= 2 / 255
        assert abs(a.mean() - b.mean()) < 0.1 / 255


def test_brightness_does_not_flicker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal frames forced through the network keep their mean level."""
    from vsifrnet.detect import plan as gaps

    monkeypatch.setattr(
        gaps, "decide", lambda k, facts, dup_max: gaps.Gap(gaps.Kind.MAKE, k, k + 1)
    )
    for seed in range(4):
        for level in (0.1, 0.5, 0.9):
            picture = scene(0, 96, 64, seed=seed) * 0.2 + level * 0.8
            clip = clip_from([picture] * 2).resize.Bicubic(format=vs.YUV420P8, matrix=6)
            made, source = ifrnet(clip).get_frame(1), clip.get_frame(0)
            for a, b in zip(planes(made), planes(source), strict=True):
                assert abs(a.mean() - b.mean()) < 0.1, (seed, level)


def test_unspecified_matrix(caplog: pytest.LogCaptureFixture) -> None:
    clip = moving(2).std.RemoveFrameProps("_Matrix")
    made = ifrnet(clip, sc=False, multi=3, num_streams=2)
    assert planes(made.get_frame(1))[0].any()
    said = [r.message for r in caplog.records if "_Matrix" in r.message]
    assert len(said) == 1
    assert "_Matrix" not in made.get_frame(1).props
    tagged = {
        matrix: planes(ifrnet(clip.std.SetFrameProps(_Matrix=number), sc=False).get_frame(1))
        for matrix, number in (("170m", 6), ("709", 1))
    }
    for matrix in tagged:
        seen = planes(ifrnet(clip, sc=False, matrix=matrix).get_frame(1))
        assert all(np.array_equal(a, b) for a, b in zip(seen, tagged[matrix], strict=True))


def test_fields_are_not_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    clip = moving(2)
    plain = ifrnet(clip, sc=False).get_frame(1)
    marked = ifrnet(clip.std.SetFieldBased(2), sc=False).get_frame(1)
    assert same(plain, marked)
    assert marked.props["_FieldBased"] == 2
    assert sum("interlaced" in record.message for record in caplog.records) == 1


def test_rgb_is_tagged_so_that_it_can_be_resized() -> None:
    clip = moving(2, format=vs.RGB24).std.SetFrameProps(_Matrix=1)
    for frame in ifrnet(clip, sc=False).frames():
        assert frame.props["_Matrix"] == 0


def test_alpha_comes_from_the_left_frame() -> None:
    clip = moving(3, format=vs.RGB24)
    alpha = core.std.BlankClip(clip, format=vs.GRAY8, color=[7])
    out = ifrnet(clip.std.ClipToProp(alpha, "_Alpha"), sc=False)
    for frame in out.frames():
        assert np.asarray(frame.props["_Alpha"][0]).min() == 7


@pytest.mark.parametrize(
    "multi", [2, 3, Fraction(5, 2), Fraction(3, 2), Fraction(4, 5), Fraction(1, 2)]
)
@pytest.mark.parametrize("tag", ["_SceneChangePrev", "_SceneChangeNext"])
@pytest.mark.parametrize("sc_mode", ["hold", "nearest"])
@pytest.mark.parametrize("cut", [3, 4, 5])
def test_a_chained_filter_sees_the_cuts(multi, tag, sc_mode, cut) -> None:
    """Two shots of flat levels; the second filter must not make a level between these."""
    levels = [0.1 + 0.01 * k if k < cut else 0.8 + 0.01 * k for k in range(10)]
    clip = clip_from([np.full((32, 32, 3), level, np.float32) for level in levels])
    at = cut if tag == "_SceneChangePrev" else cut - 1
    clip = clip.std.SetFrameProps(**{tag: 0})
    clip = clip[:at] + clip[at].std.SetFrameProps(**{tag: 1}) + clip[at + 1 :]
    once = ifrnet(clip, multi=multi, sc_mode=sc_mode)
    assert any(frame.props[tag] for frame in once.frames())
    for frame in ifrnet(once, multi=2).frames():
        level = float(planes(frame)[0].mean())
        assert level < 0.2 or level > 0.8


def test_a_burst_of_short_frames_asks_for_no_more_pictures() -> None:
    """Where many source frames pass between two output frames, only their props are looked at."""
    asked: Counter[int] = Counter()
    clip = core.std.BlankClip(width=64, height=48, format=vs.GRAY8, length=200, fpsnum=24, keep=1)

    def count(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        asked[n] += 1
        return f.copy()

    counted = clip.std.ModifyFrame(clip, count)
    counted.std.SetVideoCache(mode=0)  # as if the cache were full
    ends = accumulate(Fraction(1, 2000 if 20 <= k < 36 else 24) for k in range(200))
    out = ifrnet(counted, fps_num=60, timecodes=[Fraction(0), *ends][:200])
    for n in range(40, 80):
        out.get_frame(n).close()
    # Those that show it, its two gaps' detectors and conversions, and its props: not 17 of them.
    assert max(asked.values()) <= 12


def test_fields_of_old_do_not_move_chroma() -> None:
    """Bob leaves _Field on whole frames; zimg would place their chroma as a field's."""
    clip = moving(3, 96, 64, format=vs.YUV420P8)
    marked = clip.std.SetFrameProps(_Field=1)
    for plain, frame in zip(
        ifrnet(clip, sc=False).frames(), ifrnet(marked, sc=False).frames(), strict=True
    ):
        assert same(plain, frame)


def test_a_changed_default_dtype_changes_nothing() -> None:
    expected = list(ifrnet(moving(2), sc=False).frames())
    before = torch.get_default_dtype()
    try:
        for dtype in (torch.float16, torch.float64):
            torch.set_default_dtype(dtype)
            for a, b in zip(expected, ifrnet(moving(2), sc=False).frames(), strict=True):
                assert same(a, b)
    finally:
        torch.set_default_dtype(before)


def test_scene_change_of_the_left_frame_is_not_repeated() -> None:
    clip = moving(3).std.SetFrameProps(_SceneChangePrev=1, _SceneChangeNext=0)
    props = [frame.props["_SceneChangePrev"] for frame in ifrnet(clip, multi=3).frames()]
    assert props == [1, 0, 0] * 3


@pytest.mark.parametrize(
    ("format", "colours"),
    [
        (vs.YUV420P8, [[250, 128, 128], [249, 128, 128]]),  # whiter than white
        (vs.YUV420P8, [[4, 128, 128], [5, 128, 128]]),
        (vs.YUV420P10, [[160, 800, 240], [164, 796, 240]]),  # beyond RGB
        (vs.RGBS, [[1.5, -0.25, 0.5], [1.5, -0.25, 0.5078125]]),
    ],
)
@pytest.mark.parametrize("sc_mode", ["hold", "blend"])
def test_values_beyond_rgb_do_not_flicker(format: int, colours: list[list], sc_mode: str) -> None:
    one, other = (
        core.std.BlankClip(format=format, color=c, width=60, height=40, length=1) for c in colours
    )
    clip = core.std.Interleave([one, other] * 2)
    if format != vs.RGBS:
        clip = clip.std.SetFrameProps(_Matrix=6)
    if sc_mode == "blend":
        clip = clip.std.SetFrameProps(_SceneChangeNext=1)
    out = ifrnet(clip, multi=2, sc_mode=sc_mode, precision="fp32")
    step = 1 if format != vs.RGBS else 1 / 128
    for n in range(1, 6, 2):
        left, made, right = (planes(out.get_frame(k)) for k in (n - 1, n, n + 1))
        for a, m, b in zip(left, made, right, strict=True):
            a, m, b = (x.astype(np.float64) for x in (a, m, b))
            assert np.all(m >= np.minimum(a, b) - step), (n, m.min(), a.min(), b.min())
            assert np.all(m <= np.maximum(a, b) + step), (n, m.max(), a.max(), b.max())


def test_timecodes_that_end_with_an_output_frame() -> None:
    # As long as whole output frames: there is no moment after the last one.
    clip = moving(6)
    out = ifrnet(clip, fps_num=48, timecodes=[Fraction(k, 24) for k in range(7)])
    assert out.num_frames == 12
    twice = ifrnet(clip, multi=2)
    assert all(same(out.get_frame(n), twice.get_frame(n)) for n in range(12))


def test_selection_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = moving(9, 32, 32)
    times = [Fraction(k * k + 3 * k, 100) for k in range(10)]
    whole = ifrnet(clip, fps_num=90, timecodes=times)
    monkeypatch.setattr("vsifrnet.detect.clips.MAX_OFFSETS", 4)
    parts = ifrnet(clip, fps_num=90, timecodes=times)
    assert parts.num_frames == whole.num_frames == 97
    assert all(same(a, b) for a, b in zip(parts.frames(), whole.frames(), strict=True))
