"""Detectors: scene changes, held frames, and what each gap between source frames shows."""
