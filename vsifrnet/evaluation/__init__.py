"""Measurements: accuracy on the official benchmarks, quality on one's own clips, and speed.

The filter imports none of this package.
"""
