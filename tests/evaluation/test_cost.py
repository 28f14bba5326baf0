"""Counts of arithmetic."""

from __future__ import annotations

import pytest

from vsifrnet.evaluation import cost


def test_cost() -> None:
    """Convolutions of S at 1280x720, counted by hand: 202 GFLOP."""
    parts = cost.count("S", 1280, 720)
    assert sum(part["flops"] for part in parts.values()) == pytest.approx(202.4e9, rel=1e-3)
