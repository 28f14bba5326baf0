"""How good and how fast: the official accuracy benchmarks, one's own clips, speed.

Nothing of the filter imports this package.
"""
