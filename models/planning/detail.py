"""How noisy and how sharp a picture is, from patches of its original pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from models.planning.views import Float, Mask, View

# Immerkaer 1996: insensitive to edges up to the second order; white noise of deviation 1 comes out with deviation 6.
NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
NOISE_GAIN = 6.0
MEDIAN_OF_ABSOLUTE = 0.6745  # of a normal distribution
BLOCK = 16  # px
NOT_CLIPPED = 8  # levels from black and white
CALM_SHARE = 0.25  # of the blocks, those with the least texture, speak for the noise

EDGE_SHARE = 0.15  # of the pixels, those with the strongest gradients, speak for the sharpness


def noise_level(views: Sequence[View]) -> float:
    """Deviation of the noise in levels of 255: what the calmest blocks have."""
    levels = np.concatenate([_block_noise(view) for view in views])
    return float(np.quantile(levels, CALM_SHARE)) if len(levels) else 0.0


def lost_by_halving(views: Sequence[View], noise: float) -> tuple[float, float]:
    """Share of the strongest edges' contrast that is gone after halving and enlarging again.

    Exactly what a picture loses that is reduced before the network sees it. Noise, which is lost as well, is
    taken off; JPEG's blocks and ringing are weak beside the strongest edges.

    Args:
        views: patches of original pixels.
        noise: deviation in levels.

    Returns:
        Root of lost over present energy, for the picture and for the picture at half size. Of photographs as cameras
        make them 0.09 to 0.2, of the same enlarged twofold 0.03 to 0.06; 0 where there are no edges.
    """
    halves = [(luma, seen) for view in views for luma, seen in [(view.luma.astype(np.float32), _inner(view))]]
    quarters = [(halved(luma), seen[::2, ::2]) for luma, seen in halves]
    return _lost(halves, noise), _lost(quarters, noise / 2)


def halved(luma: Float) -> Float:
    """Means of 2x2 pixels; an odd last row or column counts alone."""
    even = cv2.copyMakeBorder(luma, 0, luma.shape[0] % 2, 0, luma.shape[1] % 2, cv2.BORDER_REPLICATE)
    size_wh = even.shape[1] // 2, even.shape[0] // 2
    return np.asarray(cv2.resize(even, size_wh, interpolation=cv2.INTER_AREA), np.float32)


def _lost(parts: Sequence[tuple[Float, Mask]], noise: float) -> float:
    lost = present = 0.0
    for luma, seen in parts:
        if min(luma.shape) < BLOCK or not seen.any():
            continue
        small = halved(luma)
        back = cv2.resize(small, (2 * small.shape[1], 2 * small.shape[0]), interpolation=cv2.INTER_CUBIC)
        energy = _contrast(luma)
        strong = seen & (energy >= max(float(np.quantile(energy[seen], 1 - EDGE_SHARE)), (4 * noise + 8) ** 2))
        # White noise loses three of its four equal parts when its sides are halved.
        gone = float(((luma - back[: luma.shape[0], : luma.shape[1]])[strong] ** 2).sum())
        lost += max(0.0, gone - 0.75 * noise**2 * float(strong.sum()))
        present += float(energy[strong].sum())
    return float(np.sqrt(lost / present)) if present else 0.0


def _inner(view: View) -> Mask:
    """What lies far enough from anything transparent that its edge is not taken for one of the picture."""
    return np.asarray(cv2.erode(view.visible.astype(np.uint8), np.ones((9, 9), np.uint8)), np.bool_)


def _contrast(luma: Float) -> Float:
    """Squared range of the surrounding 5x5 pixels."""
    kernel = np.ones((5, 5), np.uint8)
    return np.asarray((cv2.dilate(luma, kernel) - cv2.erode(luma, kernel)) ** 2, np.float32)


def _block_noise(view: View) -> Float:
    luma = view.luma.astype(np.float32)
    rows, columns = luma.shape[0] // BLOCK, luma.shape[1] // BLOCK
    response = np.abs(cv2.filter2D(luma, cv2.CV_32F, NOISE_KERNEL))
    means = _in_blocks(luma, rows, columns).mean(axis=1)
    seen = _in_blocks(_inner(view).astype(np.float32), rows, columns).all(axis=1)
    usable = seen & (means > NOT_CLIPPED) & (means < 255 - NOT_CLIPPED)
    medians = np.median(_in_blocks(response, rows, columns)[usable], axis=1)
    return np.asarray(medians / (MEDIAN_OF_ABSOLUTE * NOISE_GAIN), np.float32)


def _in_blocks(values: Float, rows: int, columns: int) -> Float:
    """(N, BLOCK * BLOCK): what does not fill a block is left out."""
    cut = values[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return cut.swapaxes(1, 2).reshape(rows * columns, BLOCK * BLOCK)
