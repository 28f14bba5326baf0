"""Tests of ``vsifrnet bench speed`` on tiny clips: its output and its exit codes."""

import json
from pathlib import Path

import pytest
from paths import LAUNCH

from vsifrnet.cli import main
from vsifrnet.evaluation import contenders, speed
from vsifrnet.evaluation.task import Task

SMALL = ("--device", "cpu", "--size", "64x48", "--frames", "4", "--runs", "1", "-q")


def run(*arguments: str) -> int:
    return main(["bench", "speed", *arguments, *SMALL])


def test_a_relative_clip_is_measured(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(LAUNCH.parent)
    report = tmp_path / "speed.json"
    assert run("--clip", LAUNCH.name, "--against", "no-network", "--json", str(report)) == 0
    heading, ours, other = capsys.readouterr().out.splitlines()
    assert heading.split()[:2] == ["contender", "multi"]
    assert (ours.split()[0], other.split()[0]) == ("ours", "no-network")
    results = json.loads(report.read_text())["results"]
    assert [r["frames"] for r in results] == [4, 4]
    assert all(r["fps"] > 0 and r["task"]["width"] == 64 for r in results)


@pytest.mark.parametrize("size", ["0x0", "64x47", "big", "64x48x3", "99999x64"])
def test_a_size_that_no_clip_has_is_refused(size, capsys) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["bench", "speed", "--size", size])
    assert exit_info.value.code == 2
    assert f"argument --size: '{size}' must be WIDTHxHEIGHT" in capsys.readouterr().err


def test_a_clip_that_is_not_there_is_named(capsys) -> None:
    assert run("--clip", "nothing.mkv", "--against", "") == 1
    assert "--clip nothing.mkv: there is no such file" in capsys.readouterr().err


def test_an_unknown_contender_is_named(capsys) -> None:
    assert run("--against", "fast") == 1
    assert "--against fast: must be of no-network, host, official" in capsys.readouterr().err


def test_a_contender_that_fails_makes_the_command_fail(tmp_path: Path, capsys) -> None:
    text = tmp_path / "text.mkv"
    text.write_text("not a video")
    assert run("--clip", str(text), "--against", "") == 1
    assert capsys.readouterr().out.splitlines()[1].startswith("ours  ")


def test_what_is_missing_fails_only_where_it_was_asked_for(monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        contenders, "missing", lambda name, _task: None if name == "ours" else "pip install it"
    )
    assert run() == 0
    assert capsys.readouterr().out.count("not installed (pip install it)") == 4
    assert run("--against", "official") == 1


def test_seeking_reports_the_memory_now_and_then() -> None:
    rows = speed.seek(Task(width=64, height=48, num_streams=1), 20, quiet=True)
    assert [row["seeks"] for row in rows] == list(range(2, 21, 2))
    assert all(row["ram"] > 100 for row in rows)
    assert speed.describe_memory({"seeks": 2.0, "ram": 100.4}) == "2 seeks: ram 100 MiB"
