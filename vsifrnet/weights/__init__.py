"""Weights: the registry of known models, downloads, and safe loading of any file format."""
