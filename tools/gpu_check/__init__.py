"""Checks and measures the CUDA path in one command, for the minutes that a GPU is at hand.

Each step runs in a process of its own under its own limit and writes every result at once, so that
a step that is cut off loses only what it had not measured yet. docs/gpu.md says how it is run.
"""
