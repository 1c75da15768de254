"""What goes wrong in training, each with a sentence that says what to do."""

from __future__ import annotations


class TrainingError(Exception):
    """Anything raised on purpose here."""


class SettingsError(TrainingError):
    """A settings file that cannot be followed."""


class DataError(TrainingError):
    """Pictures or prepared patches that cannot be used."""


class CheckpointError(TrainingError):
    """A checkpoint that belongs to another run, or to none."""
