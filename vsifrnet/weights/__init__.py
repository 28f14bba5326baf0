"""Weights: the registry of known models, downloads, safe loading and conversion."""
