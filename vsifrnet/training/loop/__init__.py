"""The training loop and its optimisers, checkpoints and validation."""
