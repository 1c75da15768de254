"""Sizes of results, and pictures made smaller before a network sees them."""

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


def shrink(pixels: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Reduce an (H, W) or (H, W, 3) integer picture to the mean of the area each new pixel covers."""
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), pixels.dtype)
