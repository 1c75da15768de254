"""Resizing, by the filters that programs really use."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from training.degradations.base import Picture, Range, as_floats, as_levels

FILTERS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
LEAST = 8  # px; a narrower picture is not made narrower still


def resized(picture: Picture, width: int, height: int, filter_: int) -> Picture:
    """A picture of another size; cubic overshoot is clipped."""
    size = (width, height)
    return np.clip(np.asarray(cv2.resize(picture, size, interpolation=filter_), np.float32), 0, 1)


@dataclass(frozen=True)
class RandomResize:
    """Larger, smaller or as it is, by a filter drawn from three.

    Args:
        larger: factors above 1, with their probability.
        smaller: factors below 1, with their probability.
    """

    larger: tuple[float, Range]
    smaller: tuple[float, Range]

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Draw factor and filter, and resize."""
        (up, ups), (down, downs) = self.larger, self.smaller
        drawn = rng.random()
        factor = ups.draw(rng) if drawn < up else downs.draw(rng) if drawn < up + down else 1.0
        height, width = picture.shape[:2]
        wanted = max(round(width * factor), min(width, LEAST)), max(round(height * factor), min(height, LEAST))
        return resized(picture, *wanted, int(rng.choice(FILTERS)))


@dataclass(frozen=True)
class AnyFilter:
    """To a given size by a filter drawn from three."""

    def __call__(self, picture: Picture, width: int, height: int, rng: np.random.Generator) -> Picture:
        """Draw the filter and resize."""
        return resized(picture, width, height, int(rng.choice(FILTERS)))


@dataclass(frozen=True)
class Antialiased:
    """To a given size by Pillow, whose filters grow with the step down, as those of chats and editors do.

    Args:
        filters: one of them, each as likely.
    """

    filters: tuple[Image.Resampling, ...] = (
        Image.Resampling.BOX,
        Image.Resampling.BILINEAR,
        Image.Resampling.BICUBIC,
        Image.Resampling.LANCZOS,
    )

    def __call__(self, picture: Picture, width: int, height: int, rng: np.random.Generator) -> Picture:
        """Draw the filter and resize."""
        whole, filter_ = Image.fromarray(as_levels(picture)), self.filters[rng.integers(len(self.filters))]
        return as_floats(np.asarray(whole.resize((width, height), filter_)))


BICUBIC = Antialiased((Image.Resampling.BICUBIC,))  # the "clean" reduction of every benchmark
