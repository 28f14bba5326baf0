"""The timeline is compared with brute force."""

from fractions import Fraction
from math import floor
from random import Random

import pytest

from vsifrnet.graph.timeline import TimedTimeline, UniformTimeline

RATES = [
    Fraction(2),
    Fraction(3),
    Fraction(8),
    Fraction(5, 2),
    Fraction(1),
    Fraction(2, 5),
    Fraction(4, 5),
    Fraction(60) / Fraction(24000, 1001),
    Fraction(60000, 1001) / Fraction(24000, 1001),
    Fraction(144) / Fraction(24000, 1001),
    Fraction(1001, 1000),
]


@pytest.mark.parametrize("multi", RATES, ids=str)
@pytest.mark.parametrize("frames", [3, 7, 100, 1001, 2403])
def test_positions_and_selection(frames: int, multi: Fraction) -> None:
    timeline = UniformTimeline(frames, multi)
    assert timeline.length == floor(frames * multi)
    cycle, offsets = timeline.lefts()
    assert cycle >= 2
    assert max(offsets) < cycle
    # What SelectEvery does: for each cycle of source frames, those at the offsets that exist.
    selected = [
        base + offset
        for base in range(0, frames, cycle)
        for offset in offsets
        if base + offset < frames
    ]
    assert len(selected) >= timeline.length
    for n in range(timeline.length):
        left, phase = timeline.position(n)
        assert left + phase == n / multi
        assert 0 <= phase < 1
        assert selected[n] == left < frames


@pytest.mark.parametrize("multi", RATES, ids=str)
def test_durations_are_the_integral_of_the_sources(multi: Fraction) -> None:
    random = Random(0)
    durations = [Fraction(random.randint(1, 9), 240) for _ in range(60)]
    # Cut source and output time into pieces so fine that each lies in one frame of both.
    step = Fraction(1, multi.numerator)
    timeline = UniformTimeline(len(durations), multi)
    total = Fraction(0)
    for n in range(min(timeline.length, 200)):
        begin = n / multi
        pieces = 1 / multi / step
        assert pieces.denominator == 1
        expected = sum(durations[floor(begin + i * step)] * step for i in range(pieces.numerator))
        left = timeline.position(n).left
        seen = [*durations, *([None] * timeline.reach)][left : left + timeline.reach]
        assert timeline.duration(n, seen) == expected
        total += expected
    if multi.denominator == 1:
        covered = timeline.length // multi if timeline.length <= 200 else 200 // multi
        assert total == sum(durations[:covered]) or timeline.length > 200


def test_times_of_a_constant_rate_give_what_the_rate_gives() -> None:
    frames, source = 500, Fraction(24000, 1001)
    by_rate = UniformTimeline(frames, Fraction(60) / source)
    by_times = TimedTimeline([7 + k / source for k in range(frames + 1)], Fraction(60))
    assert by_times.length == by_rate.length
    assert [by_times.position(n) for n in range(by_times.length)] == [
        by_rate.position(n) for n in range(by_rate.length)
    ]


def test_uneven_times_by_brute_force() -> None:
    random = Random(1)
    times = [Fraction(0)]
    for _ in range(300):
        times.append(times[-1] + Fraction(random.randint(1, 120), 1000))
    timeline = TimedTimeline(times, Fraction(60000, 1001))
    assert timeline.length == round(times[-1] * Fraction(60000, 1001))
    cycle, offsets = timeline.lefts()
    assert cycle == len(times) - 1
    for n in range(timeline.length):
        now = n / timeline.rate
        left = max(k for k, time in enumerate(times) if time <= now)
        position = timeline.position(n)
        assert position.left == offsets[n] == left
        assert times[left] + position.phase * (times[left + 1] - times[left]) == now


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(24), Fraction(60000, 1001)])
def test_a_target_rate_covers_the_source_to_the_nearest_frame(rate: Fraction) -> None:
    for frames in range(5, 60):
        source = Fraction(25)
        by_rate = UniformTimeline(frames, rate / source, rate)
        by_times = TimedTimeline([k / source for k in range(frames + 1)], rate)
        for timeline in (by_rate, by_times):
            assert abs(timeline.length / rate - frames / source) <= 1 / (2 * rate)
            assert timeline.position(timeline.length - 1).left < frames


def test_film_to_60_is_exact_over_nine_hours() -> None:
    frames = 9 * 3600 * 24000 // 1001
    timeline = UniformTimeline(frames, Fraction(60) / Fraction(24000, 1001))
    assert timeline.multi == Fraction(1001, 400)
    last = timeline.length - 1
    assert timeline.position(last).time * Fraction(1001, 24000) == Fraction(last, 60)
    lost = frames * Fraction(1001, 24000) - Fraction(timeline.length, 60)
    assert 0 <= lost < Fraction(1, 60)
