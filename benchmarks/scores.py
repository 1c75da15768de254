"""How close a picture is to the truth: PSNR and SSIM on luma, and colours.

Luma is that of BT.601 in studio range, 16 to 235, not rounded, as papers on super-resolution have it, with as many
pixels cut off at every side as the scale. SSIM follows Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment:
from error visibility to structural similarity", IEEE TIP 13(4), 2004: windows of 11x11 weighed by a Gaussian of sigma
1.5, only where they lie within the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]
Plane = NDArray[np.float64]

LUMA = (65.481, 128.553, 24.966)  # of R, G and B from 0 to 1; black is 16
BLACK = 16.0
PEAK = 255.0
WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def luma(picture: Levels) -> Plane:
    """(H, W) gray or (H, W, 3) RGB to (H, W) in [16, 235]."""
    return np.asarray(coloured(picture).astype(np.float64) @ (np.array(LUMA) / PEAK) + BLACK)


def coloured(picture: Levels) -> Levels:
    """(H, W) gray or (H, W, 3) as (H, W, 3), for a gray picture may come as either."""
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def within(plane: Plane, border: int) -> Plane:
    """Without ``border`` pixels on every side."""
    return plane[border : plane.shape[0] - border, border : plane.shape[1] - border]


def psnr(ours: Plane, theirs: Plane) -> float:
    """Peak signal to noise in dB; infinite for equal ones."""
    error = float(np.square(ours - theirs).mean())
    return float(10 * np.log10(PEAK**2 / error)) if error else float("inf")


def ssim(ours: Plane, theirs: Plane) -> float:
    """Structural similarity, 1 for equal ones.

    Raises:
        ValueError: a side is shorter than a window.
    """
    if min(ours.shape) < WINDOW:
        raise ValueError(f"SSIM needs sides of {WINDOW} px at least, not {ours.shape[1]}x{ours.shape[0]}")
    mean_a, mean_b = _blurred(ours), _blurred(theirs)
    variance_a = _blurred(ours * ours) - mean_a**2
    variance_b = _blurred(theirs * theirs) - mean_b**2
    covariance = _blurred(ours * theirs) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    return float((likeness / ((mean_a**2 + mean_b**2 + C1) * (variance_a + variance_b + C2))).mean())


def colour_difference(result: Levels, lq: Levels) -> float:
    """Mean absolute difference of the result, averaged down to the input's size, from the input, in levels."""
    return float(np.abs(_reduced(result, lq) - coloured(lq)).mean())


def colour_drift(result: Levels, lq: Levels) -> float:
    """How far the mean of the channel that drifted most lies from the input's, in levels."""
    return float(np.abs((_reduced(result, lq) - coloured(lq)).mean(axis=(0, 1))).max())


def delta_e(result: Levels, lq: Levels) -> float:
    """Mean distance of the same two in CIE L*a*b* (1976), where about 1 can just be seen."""
    ours, theirs = (_lab(picture.astype(np.float32)) for picture in (_reduced(result, lq), coloured(lq)))
    return float(np.linalg.norm(ours - theirs, axis=2).mean())


def _blurred(plane: Plane) -> Plane:
    kernel = cv2.getGaussianKernel(WINDOW, SIGMA)
    inside = WINDOW // 2
    return within(np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel)), inside)


def _reduced(result: Levels, lq: Levels) -> Plane:
    """The mean of the area that each pixel of the input covers, not rounded: (h, w, 3) of the input's size."""
    size_wh = lq.shape[1], lq.shape[0]
    return np.asarray(cv2.resize(coloured(result).astype(np.float64), size_wh, interpolation=cv2.INTER_AREA))


def _lab(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(colours / np.float32(PEAK)), cv2.COLOR_RGB2LAB))
