"""Noise: of the sensor (Gaussian) and of the light itself (Poisson), in colour or in gray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.degradations.base import Picture, Range

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


@dataclass(frozen=True)
class GaussianNoise:
    """The same everywhere.

    Args:
        sigma: levels of 255.
        gray: share of pictures whose three channels get the same noise.
    """

    sigma: Range = Range(1, 30)
    gray: float = 0.4

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Add it and clip."""
        sigma = np.float32(self.sigma.draw(rng) / 255)
        channels = 1 if rng.random() < self.gray else 3
        noise = rng.standard_normal((*picture.shape[:2], channels), np.float32)
        return np.clip(picture + sigma * noise, 0, 1)


@dataclass(frozen=True)
class PoissonNoise:
    """Stronger where there is more light, as counted photons are.

    Args:
        scale: times the noise of a sensor that counts 255 photons at white.
        gray: share of pictures whose three channels get the same noise.
    """

    scale: Range = Range(0.05, 3)
    gray: float = 0.4

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Count the photons of every pixel anew."""
        scale = np.float32(self.scale.draw(rng))
        seen = (picture @ LUMA)[..., None] if rng.random() < self.gray else picture
        seen = np.clip(seen, 0, 1)
        noise = (rng.poisson(seen * 255) / np.float32(255) - seen).astype(np.float32)
        return np.clip(picture + scale * noise, 0, 1)
