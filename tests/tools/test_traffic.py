"""scripts/traffic.py counts what the convolutions' own count says, and what the kernels save."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from paths import ROOT

from vsifrnet.evaluation import cost


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_traffic() -> None:
    # Large enough that the weights, which do not grow, are a small part.
    command = [sys.executable, str(ROOT / "scripts" / "traffic.py"), "--size", "1280x720"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    table = {name: [float(cell) for cell in cells] for name, *cells in rows}
    counted = sum(part["bytes"] for part in cost.count("S", 1280, 720).values()) / 1e9
    # The decoders are aligned to multiples of 8 channels, which the other count leaves out.
    assert table["convolutions"][1] == pytest.approx(counted, rel=0.06)
    assert table["convolutions"][0] == table["convolutions"][2] == 36
    eager, triton = table["all"][1], table["all"][3]
    assert triton < eager / 2
    assert table["all"][2] <= 100
