"""Paper photographs: they fade, and the scanner's glass is dusty."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.degradations.base import Picture, Range


@dataclass(frozen=True)
class Fading:
    """Dyes that went: less contrast, a lifted black, a warm cast.

    Colours are the colour lock's business, not the network's, so pipelines fade the truth along.

    Args:
        contrast: what is left of it.
        black: where black lies then.
        warmth: how much blue is lost to yellow.
        gray: share that is black and white.
    """

    contrast: Range = Range(0.55, 0.95)
    black: Range = Range(0.0, 0.18)
    warmth: Range = Range(0.0, 0.25)
    gray: float = 0.3

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Fade the picture."""
        contrast, black, warmth = self.contrast.draw(rng), self.black.draw(rng), self.warmth.draw(rng)
        if rng.random() < self.gray:
            picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
        cast = np.array([1.0, 1.0 - 0.3 * warmth, 1.0 - warmth], np.float32)
        return np.asarray(np.clip((black + picture * np.float32(contrast)) * cast, 0, 1), np.float32)


@dataclass(frozen=True)
class Dust:
    """Specks, hairs and scratches, bright on a scanned negative and dark on a scanned print.

    Args:
        per_megapixel: how many marks.
        size: of a speck, px.
    """

    per_megapixel: Range = Range(20, 400, log=True)
    size: Range = Range(0.5, 2.0)

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Lay the marks over the picture."""
        height, width = picture.shape[:2]
        count = rng.poisson(self.per_megapixel.draw(rng) * height * width / 1e6)
        marks = np.zeros((height, width), np.float32)
        for _ in range(count):
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            if rng.random() < 0.85:  # a speck; the rest are hairs
                ends = np.array([[x, y]]) + rng.normal(0, self.size.draw(rng), (3, 2))
            else:
                ends = np.cumsum(np.vstack([[x, y], rng.normal(0, 6, (5, 2)) + rng.normal(0, 6, 2)]), axis=0)
            points = np.rint(ends * 16).astype(np.int32)  # in sixteenths of a pixel
            cv2.polylines(marks, [points], isClosed=False, color=rng.uniform(0.4, 1), lineType=cv2.LINE_AA, shift=4)
        colour = np.float32(rng.uniform(0.8, 1.0) if rng.random() < 0.5 else rng.uniform(0.0, 0.2))
        opacity = marks[..., None]
        return picture * (1 - opacity) + colour * opacity
