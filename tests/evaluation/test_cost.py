"""Tests of the network's counted cost."""

import pytest

from vsifrnet.evaluation import cost
from vsifrnet.evaluation.task import Task


def test_operations_of_s_at_720p() -> None:
    """The convolutions of S at 1280x720, counted by hand, are 202 GFLOP."""
    parts = cost.count("S", 1280, 720)
    assert sum(part["flops"] for part in parts.values()) == pytest.approx(202.4e9, rel=1e-3)


def test_a_profile_names_every_stage() -> None:
    text = cost.profile(Task(width=64, height=48, precision="fp32", num_streams=1), 2)
    for stage in ("source frame", "read", "encode, all of it", "decoder1", "write"):
        assert stage in text
