"""What the command line does around its commands: errors, and how little it imports for help."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import vapoursynth as vs
from paths import ROOT

from vsifrnet import errors
from vsifrnet.cli import COMMANDS, main, models


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException, *options: str) -> int:
    """Run a command that ends with ``error``."""

    def run(arguments: object) -> int:
        raise error

    monkeypatch.setattr(models, "_list", run)
    return main(["models", "list", *options])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.InputError("a.png: there is no such file"), "a.png: there is no such file"),
        (errors.FetchError("cannot fetch"), "cannot fetch"),
        (errors.NotFiniteError("the loss is nan"), "the loss is nan"),
        (vs.Error("ifrnet: multi=0: must be above 0"), "ifrnet: multi=0: must be above 0"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), "out: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (ModuleNotFoundError("no av", name="av.codec"), "no av: pip install 'vsifrnet[video]'"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_the_user_are_one_line(monkeypatch, capsys, error, message):
    assert raising(monkeypatch, error) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("vsifrnet models: ")
    assert message in err
    assert "bug" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug\nin two lines"),
        OSError("a bug"),
        RuntimeError("a bug"),
        KeyError("a bug"),
        ModuleNotFoundError("a bug", name="vsifrnet.nowhere"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_bug_asks_for_a_report_and_is_shown_with_debug(monkeypatch, capsys, error):
    assert raising(monkeypatch, error) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"this is a bug ({type(error).__name__}: " in err
    assert "--debug" in err
    assert raising(monkeypatch, error, "--debug") == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert "test_main.py" in err


def test_ctrl_c(monkeypatch, capsys):
    assert raising(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_every_error_is_of_the_tree(name):
    assert issubclass(getattr(errors, name), errors.VsifrnetError)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--print-completion", "zsh"], *([command, "--help"] for command in COMMANDS)],
    ids=" ".join,
)
def test_help_and_completion_import_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from vsifrnet.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        "    heavy = {'torch', 'numpy', 'vapoursynth', 'av', 'PIL', 'cv2', 'tqdm', 'matplotlib'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path("/"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "sc-threshold" in done.stdout or "usage: vsifrnet" in done.stdout
