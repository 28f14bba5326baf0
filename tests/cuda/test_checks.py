"""The correctness checks of tools/gpu-check.sh as tests, which need a GPU."""

from __future__ import annotations

import sys

import pytest
import torch
from paths import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from gpu_check.common import Context
from gpu_check.correctness import CHECKS

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.mark.parametrize("name", CHECKS)
def test_check(name: str) -> None:
    CHECKS[name](Context(device=torch.device("cuda", 0)))
