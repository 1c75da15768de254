"""How good a network is, in numbers that cannot be had by a trick, and on sheets for the eye.

Only pictures with a true original are measured; doing nothing, bicubic and Lanczos stand in the same table.
"""

from __future__ import annotations

from training.evaluation.errors import EvaluationError
from training.evaluation.measures import Score, score
from training.evaluation.pictures import KINDS, SETS, Sample, albums, refuse_trained, samples
from training.evaluation.verdicts import Mean, differences, means, not_better_than_nothing, verdict
from training.evaluation.ways import Network, Way, baselines, open_network

__all__ = [
    "KINDS",
    "SETS",
    "EvaluationError",
    "Mean",
    "Network",
    "Sample",
    "Score",
    "Way",
    "albums",
    "baselines",
    "differences",
    "means",
    "not_better_than_nothing",
    "open_network",
    "refuse_trained",
    "samples",
    "score",
    "verdict",
]
