"""Paths of the repository's files that tests use."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "tests" / "reference"
LAUNCH = ROOT / "examples" / "launch.webm"
