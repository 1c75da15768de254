"""Photograph, drawing or text: two logistic rules over the marks of a picture.

The weights were fitted by ``python -m benchmarks.kinds --fit``, which names the pictures they were fitted on, and
judged on others. A photograph taken for a drawing is the worse mistake, so the first rule has to be surer than even.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from models.planning.offers import Kind

SURE = 0.75  # log-odds of having been made rather than taken, above which a picture counts as made


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """A logistic rule over marks and, where named ``root_...``, their square roots."""

    bias: float
    slopes: Mapping[str, float]

    def log_odds(self, marks: Mapping[str, float]) -> float:
        """Above zero means more likely yes than no."""
        return self.bias + sum(slope * value_of(name, marks) for name, slope in self.slopes.items())


def value_of(name: str, marks: Mapping[str, float]) -> float:
    """A mark, or its root, which tells little from nothing better than much from more."""
    return math.sqrt(marks[name.removeprefix("root_")]) if name.startswith("root_") else marks[name]


def kind_of(marks: Mapping[str, float]) -> tuple[Kind, float]:
    """The kind, and how sure that is in [0, 1]."""
    made = MADE.log_odds(marks) - SURE
    written = WRITTEN.log_odds(marks)
    if made <= 0:
        return "photo", _probability(-made)
    if written > 0:
        return "text", min(_probability(made), _probability(written))
    return "drawing", min(_probability(made), _probability(-written))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-min(60.0, log_odds)))


# 4198 samples: 1654 drawing, 1904 photo, 640 text
MADE = Weights(
    bias=-0.418,
    slopes={
        "ground": 0.966, "flat": 1.929, "almost_flat": 1.583, "textured": -1.957, "strong": -0.093, "even": 0.467,
        "even_upper": 2.269, "dense": -3.679, "smooth_flat": -3.218, "smooth_almost_flat": -1.104,
        "smooth_textured": -3.077, "smooth_areas": -2.903, "smooth_even": 2.368, "edges_by_flats": 1.67,
        "ink": -0.687, "ink_over_light": 1.162, "top_colour": 3.29, "top_8_colours": 1.379, "exact_8_colours": 0.506,
        "colour_bits": 0.122, "vivid": 0.253, "gray": -1.249, "white": -2.505, "black": -2.29, "text": -3.821,
        "root_textured": 0.038, "root_text": 1.764, "root_edges_by_flats": 3.327, "root_flat": 2.388,
        "root_almost_flat": 0.02, "root_vivid": 2.275, "root_strong": -1.007, "root_exact_8_colours": 6.084,
        "root_ink": -0.763, "root_smooth_flat": -1.428, "root_smooth_textured": -1.045, "root_smooth_areas": -2.914,
        "root_ground": 1.581,
    },
)  # fmt: skip

WRITTEN = Weights(
    bias=-0.662,
    slopes={
        "ground": -0.221, "flat": 0.932, "almost_flat": -0.636, "textured": 0.643, "strong": 0.318, "even": 2.369,
        "even_upper": 1.113, "dense": 0.722, "smooth_flat": 0.295, "smooth_almost_flat": -1.373,
        "smooth_textured": -0.262, "smooth_areas": 0.935, "smooth_even": 4.038, "edges_by_flats": 0.215, "ink": 1.362,
        "ink_over_light": -0.584, "top_colour": 0.894, "top_8_colours": 1.263, "exact_8_colours": 0.028,
        "colour_bits": -0.226, "vivid": -1.302, "gray": 0.597, "white": -0.408, "black": -2.867, "text": 1.274,
        "root_textured": -1.373, "root_text": 1.175, "root_edges_by_flats": 0.483, "root_flat": -0.928,
        "root_almost_flat": -1.842, "root_vivid": -1.595, "root_strong": -0.744, "root_exact_8_colours": -0.765,
        "root_ink": 0.328, "root_smooth_flat": -1.233, "root_smooth_textured": -1.565, "root_smooth_areas": -0.57,
        "root_ground": -1.212,
    },
)  # fmt: skip
