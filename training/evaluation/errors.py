"""What an evaluation refuses."""

from __future__ import annotations


class EvaluationError(Exception):
    """The comparison asked for would not be an honest one, or cannot be made; the message says why."""
