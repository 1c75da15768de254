"""From the size the network makes to the size that was asked for."""

from __future__ import annotations

import cv2
import numpy as np

from models.pixels import Pixels

# Real-ESRGAN resizes with plain Lanczos, down to outscale 1 of an x4 network, and the goldens hold us to it.
# Its eight taps no longer cover what falls into one pixel when more than four become one.
LEAST_FOR_LANCZOS = 0.25


def result_size(size_wh: tuple[int, int], outscale: float) -> tuple[int, int]:
    """Width and height of the result: rounded down as Real-ESRGAN does, at least one pixel."""
    width, height = size_wh
    return max(1, int(width * outscale)), max(1, int(height * outscale))


def resize(pixels: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Resample an (H, W) or (H, W, 3) integer picture; the same array where the size fits already.

    Lanczos over 8x8 pixels; the mean of the covered area where a side shrinks to less than a quarter.
    """
    height, width = pixels.shape[:2]
    if size_wh == (width, height):
        return pixels
    shrink = min(size_wh[0] / width, size_wh[1] / height)
    method = cv2.INTER_AREA if shrink < LEAST_FOR_LANCZOS else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=method), pixels.dtype)
