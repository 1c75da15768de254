"""What lossy formats leave of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.degradations.base import Picture, Range, as_floats, as_levels

BLOCK = 8  # px


@dataclass(frozen=True)
class Jpeg:
    """Saved as JPEG.

    Args:
        quality: 1 to 100.
        full_colour: share saved with colours at full size (4:4:4); the rest at half (4:2:0), as chats do.
        shifted: the picture's corner is not the corner of a block: it was cropped since, or will be.
    """

    quality: Range = Range(30, 95)
    full_colour: float = 0.0
    shifted: bool = False

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Save and open."""
        quality = round(self.quality.draw(rng))
        whole = rng.random() < self.full_colour
        top, left = rng.integers(0, BLOCK, 2) if self.shifted else (0, 0)
        height, width = picture.shape[:2]
        framed = np.pad(as_levels(picture), ((top, 0), (left, 0), (0, 0)), mode="symmetric")
        sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if whole else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
        how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
        return _through(".jpg", framed, how)[top : top + height, left : left + width]


@dataclass(frozen=True)
class WebP:
    """Saved as lossy WebP, as stickers are.

    Args:
        quality: 1 to 100.
    """

    quality: Range = Range(40, 90)

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Save and open."""
        return _through(".webp", as_levels(picture), [cv2.IMWRITE_WEBP_QUALITY, round(self.quality.draw(rng))])


def _through(suffix: str, levels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], how: list[int]) -> Picture:
    done, file = cv2.imencode(suffix, levels[..., ::-1], how)
    if not done:
        raise RuntimeError(f"OpenCV could not write {suffix}")
    opened = cv2.imdecode(file, cv2.IMREAD_COLOR)
    return as_floats(np.asarray(opened, np.uint8)[..., ::-1])
