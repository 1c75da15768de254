"""Which model, which scale, how long, and why: decided from the picture, the machine and what was asked for.

    traits = look_at(picture)
    chosen = plan(picture.size_wh, traits, candidates, Budget(seconds=120))
    print(explain(chosen))

Free of torch and of any I/O.
"""

from __future__ import annotations

from models.planning.estimates import estimates, longest_estimates
from models.planning.offers import Budget, Candidate, Kind, Overhead, Wishes
from models.planning.plan import NothingFits, Plan, as_asked_for, plan, with_faces
from models.planning.ratings import RATINGS, Rating
from models.planning.reasons import Reason
from models.planning.shares import network_share
from models.planning.traits import SHARP_PHOTO, Traits, look_at
from models.planning.words import explain, sentence

__all__ = [
    "RATINGS",
    "SHARP_PHOTO",
    "Budget",
    "Candidate",
    "Kind",
    "NothingFits",
    "Overhead",
    "Plan",
    "Rating",
    "Reason",
    "Traits",
    "Wishes",
    "as_asked_for",
    "estimates",
    "explain",
    "longest_estimates",
    "look_at",
    "network_share",
    "plan",
    "sentence",
    "with_faces",
]
