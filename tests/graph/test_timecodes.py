"""Timecode files are read exactly, or refused by an error that names the line."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import core
from paths import LAUNCH

from vsifrnet.graph.timecodes import frame_times


def write(path: Path, text: str) -> Path:
    file = path / "times.txt"
    file.write_text(text)
    return file


def test_v2_is_read_as_decimals(tmp_path):
    file = write(tmp_path, "# timecode format v2\n0\n41.708333\n83.416667\n# a remark\n125.125\n")
    times = frame_times(file, 4, lambda: Fraction(1001, 24000))
    assert times[1] == Fraction(41708333, 10**9)
    assert times[4] == Fraction(125125, 10**6) + Fraction(1001, 24000)


def test_end_of_the_last_frame(tmp_path):
    file = write(tmp_path, "# timestamp format v2\r\n0\r\n40\r\n100\r\n")
    assert frame_times(file, 3, lambda: None)[3] == Fraction(160, 1000)  # as long as the one before
    assert frame_times(file, 2, lambda: None) == [0, Fraction(40, 1000), Fraction(100, 1000)]


def test_a_gap_at_the_end_is_not_repeated():
    assert frame_times([0, 1, 2, 3, 9], 5, lambda: None)[-1] == 10


def test_v1(tmp_path):
    file = write(tmp_path, "# timecode format v1\nAssume 25\n2,3,12.5\n4,4,23.976\n")
    differences = [40, 40, 80, 80, Fraction(1000 * 1000, 23976), 40]
    expected = [sum(differences[:k], Fraction(0)) / 1000 for k in range(7)]
    assert frame_times(file, 6, lambda: None) == expected


def test_what_bestsource_writes(tmp_path):
    file = tmp_path / "launch.txt"
    clip = core.bs.VideoSource(str(LAUNCH), timecodes=str(file), cachemode=0)
    times = frame_times(file, clip.num_frames, lambda: None)
    assert all(Fraction(40, 1000) < b - a < Fraction(43, 1000) for a, b in pairwise(times))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must begin with"),
        ("# timecode format v4\n0\n", "must begin with"),
        ("# timecode format v2\n0\n40\n", "2 times for a clip of 4 frames"),
        ("# timecode format v2\n0\n40\n80\n120\n160\n200\n", "6 times for a clip of 4 frames"),
        ("# timecode format v2\n0\n40\n40\n120\n", "frame 2 at 0.04 s does not come after frame 1"),
        ("# timecode format v2\n0\n40\nnan\n120\n", "line 4: 'nan' must be"),
        ("# timecode format v1\n0,1,25\n", "line 2 must be 'Assume"),
        (
            "# timecode format v1\nAssume 25\n0,²,25\n",
            "line 3 must be 'first frame,last frame,fps'",
        ),
        ("# timecode format v1\nAssume 0\n", "line 2: frame rate 0 must be above 0"),
        ("# timecode format v1\nAssume 25\n0,9,30\n", "line 3: frames 0 to 9 must be"),
        ("# timecode format v1\nAssume 25\n0,30\n", "line 3 must be 'first frame,last frame,fps'"),
    ],
)
def test_refused(tmp_path, text, said):
    with pytest.raises(ValueError, match=said) as caught:
        frame_times(write(tmp_path, text), 4, lambda: None)
    assert "times.txt" in str(caught.value)


def test_sequences():
    assert frame_times([0, 0.5, Fraction(3, 4)], 3, lambda: None)[-1] == 1
    assert frame_times((k / 2 for k in range(3)), 3, lambda: None) == [0, 0.5, 1, 1.5]
    for bad in ([0, float("inf"), 1], [0, True, 2], b"abc", 5):
        with pytest.raises(ValueError, match="timecodes: must be"):
            frame_times(bad, 3, lambda: None)
    with pytest.raises(ValueError, match="timecodes="):
        frame_times("a\0b", 3, lambda: None)
