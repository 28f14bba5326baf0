"""Training. Nothing that the filter needs imports this package."""
