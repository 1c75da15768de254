"""What a degradation is, and how several become one.

Every degradation is a small frozen dataclass that is called with a picture and a random generator. All chance comes
from that generator, so the same seed spoils the same picture in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
"""(H, W, 3), RGB, 0 to 1."""


class Degradation(Protocol):
    """Anything that makes a picture worse."""

    def __call__(self, picture: Picture, rng: np.random.Generator, /) -> Picture:
        """Spoil a picture.

        Args:
            picture: (H, W, 3) float32, RGB, 0 to 1; left as it is.
            rng: where all chance comes from.

        Returns:
            float32, RGB, 0 to 1; sides may differ.
        """


class Pair(NamedTuple):
    """What a network should answer, and what it is asked."""

    gt: Picture
    lq: Picture


@dataclass(frozen=True)
class Range:
    """Uniform between two ends; of their logarithms where ``log`` says so."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if self.log:
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class Chain:
    """One after the other."""

    steps: tuple[Degradation, ...]

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Apply every step in order."""
        for step in self.steps:
            picture = step(picture, rng)
        return picture


@dataclass(frozen=True)
class Sometimes:
    """A step with a probability."""

    probability: float
    step: Degradation

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Apply the step, or return the picture as it came."""
        return self.step(picture, rng) if rng.random() < self.probability else picture


@dataclass(frozen=True)
class OneOf:
    """One of several, each with a weight."""

    steps: tuple[tuple[float, Degradation], ...]

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Draw a step and apply it."""
        weights = np.array([weight for weight, _ in self.steps])
        return self.steps[rng.choice(len(weights), p=weights / weights.sum())][1](picture, rng)


def as_levels(picture: Picture) -> NDArray[np.uint8]:
    """0..1 float32 to 0..255 uint8, rounded to nearest."""
    levels: NDArray[np.uint8] = np.rint(np.clip(picture, 0, 1) * np.float32(255)).astype(np.uint8)
    return levels


def as_floats(levels: NDArray[np.uint8]) -> Picture:
    """0..255 uint8 to 0..1 float32."""
    return levels.astype(np.float32) * np.float32(1 / 255)
