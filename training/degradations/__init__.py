"""What happens to a picture before somebody sends it: single steps, and whole pipelines."""

from __future__ import annotations

from training.degradations.base import (
    Chain,
    Degradation,
    OneOf,
    Pair,
    Picture,
    Range,
    Sometimes,
    as_floats,
    as_levels,
)
from training.degradations.blur import GaussianBlur, RandomBlur, RandomSinc, Sharpening
from training.degradations.compression import Jpeg, WebP
from training.degradations.noise import GaussianNoise, PoissonNoise
from training.degradations.pipelines import PIPELINES, SCALE, Mixture, Pipeline, Way, named
from training.degradations.prints import Dust, Fading
from training.degradations.resizing import BICUBIC, Antialiased, AnyFilter, RandomResize

__all__ = [
    "BICUBIC",
    "PIPELINES",
    "SCALE",
    "Antialiased",
    "AnyFilter",
    "Chain",
    "Degradation",
    "Dust",
    "Fading",
    "GaussianBlur",
    "GaussianNoise",
    "Jpeg",
    "Mixture",
    "OneOf",
    "Pair",
    "Picture",
    "Pipeline",
    "PoissonNoise",
    "RandomBlur",
    "RandomResize",
    "RandomSinc",
    "Range",
    "Sharpening",
    "Sometimes",
    "Way",
    "WebP",
    "as_floats",
    "as_levels",
    "named",
]
