"""A type checker accepts right calls of the filter and refuses wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api
from paths import ROOT

GOOD = """
from fractions import Fraction
from pathlib import Path

import vapoursynth as vs

import vsifrnet
from vsifrnet import ifrnet

clip = vs.core.std.BlankClip(length=4)
made: vs.VideoNode = ifrnet(clip, multi=Fraction(5, 2), sc_mode="blend", timecodes=None)
made = vsifrnet.ifrnet(clip, model=Path("a.safetensors"), device=1)
version: str = vsifrnet.__version__
"""

BAD = {
    "number: int = ifrnet(clip)": 'expression has type "VideoNode", variable has type "int"',
    'ifrnet("video.mkv")': 'has incompatible type "str"; expected "VideoNode"',
    "ifrnet(clip, multi=2.5)": 'has incompatible type "float"; expected "int | Fraction"',
    "ifrnet(clip, 2)": "Too many positional arguments",
    "vsifrnet.bogus": 'Module has no attribute "bogus"',
}


def check(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what mypy says of a script."""
    path = folder / "script.py"
    path.write_text(script)
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    monkeypatch.chdir(ROOT)  # with the settings and the cache of `make test`, which ran mypy before
    out, err, _ = api.run([str(path)])
    assert err == ""
    return out


def test_a_users_script_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(GOOD, tmp_path, monkeypatch).startswith("Success: no issues found")
    said = check(GOOD + "\n".join(BAD), tmp_path, monkeypatch)
    first = GOOD.count("\n") + 1
    for number, (line, message) in enumerate(BAD.items(), start=first):
        found = [text for text in said.splitlines() if f"script.py:{number}: error:" in text]
        assert any(message in text for text in found), (line, said)
