"""What can go wrong in training, by name."""

__all__ = ["DataError", "NotFiniteError", "TrainingError"]


class TrainingError(ValueError):
    """Training cannot start or go on; the message says why and what is left on disk."""


class DataError(TrainingError):
    """Training data that is missing, empty or broken; the message names the file."""


class NotFiniteError(TrainingError):
    """The loss became NaN or infinite."""
