"""The Triton kernels run on the CPU by Triton's interpreter, in separate processes."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest
from paths import ROOT

from vsifrnet.engine import backend

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)


@pytest.mark.parametrize("name", ["interpreted_kernels", "interpreted_network"])
def test_kernels_give_what_the_eager_operators_give(name: str) -> None:
    path = ROOT / "tests" / "engine" / f"{name}.py"
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", str(path)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_kernels_compile() -> None:
    path = ROOT / "tests" / "engine" / "compiled_kernels.py"
    process = subprocess.run(
        [sys.executable, str(path), "90"], capture_output=True, text=True, timeout=1200, check=False
    )
    assert process.returncode == 0, process.stderr
    made = {line.split()[0] for line in process.stdout.splitlines()}
    folder = ROOT / "vsifrnet" / "engine" / "kernels"
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    launched = set(re.findall(r"launch\.launch\(\s*(\w+),", text))
    assert made == launched


def test_kernels_are_refused_where_they_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="kernels=True: must be False on the CPU"):
        backend.resolve("cpu", kernels=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="kernels=True: must be False where Triton is not"):
        backend.resolve("cpu", kernels=True)


def test_triton_is_imported_only_for_the_kernels() -> None:
    code = "import sys; from vsifrnet import ifrnet; assert 'triton' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
