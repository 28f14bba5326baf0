"""Tests of atomic writing: no file that existed is lost."""

import multiprocessing
import os
from contextlib import suppress
from pathlib import Path

import pytest

from vsifrnet import files
from vsifrnet.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_there_in_full_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")
    with suppress(ZeroDivisionError), files.replacing(path) as partial:
        partial.write_text("half")
        assert path.read_text() == "before"
        raise ZeroDivisionError
    assert names(tmp_path) == ["out.txt"]
    assert path.read_text() == "before"
    with files.replacing(path) as partial:
        assert partial.suffix == ".txt"
        partial.write_text("after")
    assert path.read_text() == "after"
    assert names(tmp_path) == ["out.txt"]


def test_two_that_write_one_file_do_not_share_it(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with files.replacing(path) as one, files.replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
        assert one.read_text() == "one"
    assert path.read_text() == "one"


@pytest.mark.parametrize("links", [True, False])
def test_what_appears_in_the_meantime_is_kept(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "out.txt"
    replacing = files.replacing(path, overwrite=False)
    replacing.__enter__().write_text("mine")
    path.write_text("theirs")
    with pytest.raises(InputError, match="written by something else"):
        replacing.__exit__(None, None, None)
    assert path.read_text() == "theirs"
    path.unlink()
    with files.replacing(path, overwrite=False) as partial:
        partial.write_text("mine")
    assert path.read_text() == "mine"
    assert names(tmp_path) == ["out.txt"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "out.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    with files.replacing(link) as partial:
        partial.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_names_of_any_length_and_of_any_bytes(tmp_path: Path) -> None:
    for name in (b"x" * 251 + b".txt", b"\xe9.txt", b"%d*?.txt"):
        path = tmp_path / os.fsdecode(name)
        with files.exclusive(path), files.replacing(path) as partial:
            partial.write_text("new")
        assert path.read_text() == "new"


def _hold(path: Path, held: "multiprocessing.synchronize.Event") -> None:
    with files.exclusive(path):
        held.set()
        multiprocessing.Event().wait()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(path, held))
    other.start()
    assert held.wait(60)
    with pytest.raises(InputError, match="another run of vsifrnet is writing it"):
        files.exclusive(path).__enter__()
    with files.exclusive(tmp_path / "another.mkv"):
        pass
    # A process that is killed holds nothing.
    other.kill()
    other.join()
    with files.exclusive(path):
        pass
    assert names(tmp_path) == []


def test_an_input_is_never_an_output(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    source.write_text("source")
    (tmp_path / "symbolic.png").symlink_to(source)
    (tmp_path / "hard.png").hardlink_to(source)
    (tmp_path / "folder").mkdir()
    for name in ("in.png", "symbolic.png", "hard.png", "folder/../in.png"):
        with pytest.raises(InputError, match="is the input"):
            files.check_new(tmp_path / name, overwrite=True, inputs=[source])
    files.check_new(tmp_path / "out.png", overwrite=False, inputs=[source, tmp_path / "missing"])


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a device or pipe"):
        files.check_new(Path(os.devnull), overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a device or pipe"):
        files.check_new(tmp_path / "pipe", overwrite=True)
    with pytest.raises(InputError, match="is a folder"):
        files.check_new(tmp_path, overwrite=True)


def test_a_claimed_folder_keeps_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("precious")
    with pytest.raises(InputError, match=r"rows\.csv is there already"):
        files.claim_folder(tmp_path, {}, overwrite=False, results=["rows.csv"])
    assert names(tmp_path) == ["rows.csv"]
    assert not files.claim_folder(tmp_path, {}, overwrite=True, results=["rows.csv"])
    assert files.claim_folder(tmp_path, {}, overwrite=False, results=["rows.csv"])
