"""A restored face made to look as if it had been in the picture all along.

A restorer gives a face of its own colours, free of noise and as sharp as its training pictures. In the picture around
it the colours are those of the photograph, there is grain, and perhaps everything is a little out of focus. So what is
put into the picture is not the restored crop but its difference from what is there, without what a restoration is not
about: slow changes of colour (as ``models.colour_lock`` does for whole pictures), sharpness far beyond that of the
sharpest edges around, and the missing grain, of which the picture's own is used.

How blurred edges are is told from how much another, known blur flattens them (Zhuo and Sim, "Defocus map estimation
from a single image", 2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces.regions import Mask
from models.faces.threads import both

Float32 = NDArray[np.float32]
AnyMap = TypeVar("AnyMap", NDArray[np.uint8], NDArray[np.float32])

COARSE = 8  # times smaller: where slow changes are looked at
LUMA_SIGMA = 40.0  # px of the crop; brightness that changes slower than this is the photograph's
CHROMA_SIGMA = 16.0  # colour may change only finer than this: restorers paint lips and eyes as they like
SLIGHT = 0.02  # weight of what is beside the face

EDGE_SIGMA, EDGE_AGAIN = 1.0, 1.5  # px; a first blur against noise, and the known one
GRADIENT_VARIANCE = 1 / 3  # px²; a gradient over two pixels blurs as much
STRONGEST = 98  # percent of the pixels have weaker edges than those that are looked at
LEAST_EDGE = 2.0  # levels per px; a picture without stronger ones has no sharpness to speak of
SHARPER = 2.0  # times: edges of the restored face may be so much sharper than the sharpest around them
MOST_SOFTENING = 4.0  # px of the crop, sigma

GRAIN_SIGMA = 2.0  # px of the crop; what is finer is grain, or detail
OCTAVES = 3  # of that size, each twice the one before
SAME_GRAIN = 0.4  # of the strongest octave: coarser grain than that is not grain
BLOCK = 8  # px; grain is measured in them
QUIET = 25  # percent of the blocks are taken to be free of detail
QUIET_BIAS = 1.15  # the quietest blocks of pure noise show less of it than there is
FAINT = 0.6  # levels; less may be rounding, which is no grain
PLAUSIBLE = 3.0  # times its deviation: the strongest that grain gets
FLAT = 2.0  # times its deviation: where there is so much more than grain, only half of it is taken for grain

AGREE_SIGMA = 6.0  # px of the crop; neighbourhood in which old and new edges are compared
MOVED, MOVED_MORE = 2.0, 8.0  # levels: from here on, and wholly, a face counts as changed

LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)  # BT.601


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """What has to be added to a picture, in the frame of the upright crop.

    Args:
        difference: (h, w) or (h, w, 3) float32, in levels of 8 bits.
        moved: (h, w) in [0, 1]: where the new edges are not where the old ones were.
    """

    difference: Float32
    moved: Float32


def match(restored: Float32, plain: Float32, mask: Mask) -> Matched:
    """Compare a restored face with what it replaces.

    A crop that is not changed has no difference, whatever the picture.

    Args:
        restored: (h, w, 3) of the crop, levels 0 to 255; beyond them it is clipped.
        plain: (h, w) or (h, w, 3): what the picture shows there, in the same levels.
        mask: (h, w), see :func:`models.faces.regions.crop_mask`.
    """
    restored = np.clip(restored, 0, 255)
    if plain.ndim == 2:
        restored = luma(restored)
    bright = luma(plain)
    restored = _softened(restored, bright)
    bright_restored = luma(restored)
    difference = np.subtract(restored, plain, out=restored if restored.ndim > 2 else None)

    def slow_and_same() -> tuple[Float32, Float32]:
        return _drift(difference, mask), _agreement(bright_restored, bright)

    grain, (drift, agreement) = both(lambda: _grain(bright_restored, plain, bright, mask), slow_and_same)
    difference -= drift
    if grain is not None:
        difference += grain
    return Matched(difference, _moved(agreement, difference))


def luma(levels: Float32) -> Float32:
    """(H, W, 3) to (H, W); gray stays what it is."""
    return levels if levels.ndim == 2 else np.asarray(cv2.transform(levels, LUMA), np.float32).reshape(levels.shape[:2])


def edge_blur(levels: Float32) -> float | None:
    """Sigma, in px, of the Gaussian that would blur a perfect edge as the strongest edges of a picture are.

    Args:
        levels: (H, W) float32, 0 to 255.

    Returns:
        None for a picture without edges.
    """
    first = cv2.GaussianBlur(levels, (0, 0), EDGE_SIGMA)
    second = cv2.GaussianBlur(first, (0, 0), EDGE_AGAIN)
    across, down = _gradients(np.asarray(first, np.float32))
    strength = np.asarray(cv2.magnitude(across, down), np.float32)
    least = max(LEAST_EDGE, _ranked(strength[::3, ::3].ravel(), STRONGEST))
    strong = strength >= least
    strong[[0, -1]] = strong[:, [0, -1]] = False
    y, x = np.divmod(np.flatnonzero(strong), strength.shape[1])
    # Beside its crest an edge says nothing about how steep it is.
    aside, above = np.abs(across[y, x]) > np.abs(down[y, x]), strength[y, x]
    crest = above >= np.maximum(strength[y - ~aside, x - aside], strength[y + ~aside, x + aside])
    y, x, above = y[crest], x[crest], above[crest]
    if not len(above):
        return None
    flattened = np.hypot(*(gradient[y, x] for gradient in _gradients(np.asarray(second, np.float32))))
    ratio = float(np.median(above / np.maximum(flattened, 1e-3)))
    variance = EDGE_AGAIN**2 / max(ratio**2 - 1, 1e-3) - EDGE_SIGMA**2 - GRADIENT_VARIANCE
    return math.sqrt(max(variance, 0.0))


def noise_levels(old: Float32, new: Float32, mask: Mask, octave: int = 0) -> tuple[float, float]:
    """Deviation of the noise that a face had, and of what of it the restored one lacks, in levels.

    Both are looked at where they differ least: there is no detail that one of them has and the other has not.

    Args:
        old: (h, w), what is fine in the face as it was.
        new: (h, w), and as it was restored.
        mask: (h, w); only blocks of the face count.
        octave: how often the grain's size is doubled, and that of the blocks.
    """
    height, width = (max(1, side // (BLOCK << octave)) for side in old.shape)
    products = (np.square(old - new), np.square(old), np.square(new), old * new)
    face = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) > 127
    blocks = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA)[face] for one in products])
    if not blocks.shape[1]:
        return 0.0, 0.0
    theirs, ours, common = blocks[1:, blocks[0] <= _ranked(np.asarray(blocks[0], np.float32), QUIET)]
    # Detail that was only blurred is still explained by what is left of it; noise is not.
    had = float(np.mean(theirs - np.square(common) / (ours + 1e-3)))
    missing = min(had, float(np.mean(theirs - ours)))
    return QUIET_BIAS * math.sqrt(max(0.0, had)), QUIET_BIAS * math.sqrt(max(0.0, missing))


def _ranked(values: Float32, percent: int) -> float:
    """The largest of so many percent of (n,) values, the smallest ones; quicker than NumPy's."""
    rank = (len(values) - 1) * percent // 100
    return float(np.partition(values, rank)[rank])


def _softened(restored: Float32, bright: Float32) -> Float32:
    """A little blurred where it would be far sharper than anything near it."""
    there, here = both(lambda: edge_blur(bright), lambda: edge_blur(luma(restored)))
    if there is None or here is None or here * SHARPER >= there:
        return restored
    sigma = min(MOST_SOFTENING, math.sqrt((there / SHARPER) ** 2 - here**2))
    return np.asarray(cv2.GaussianBlur(restored, (0, 0), sigma), np.float32)


def _grain(restored: Float32, plain: Float32, bright: Float32, mask: Mask) -> Float32 | None:
    """The picture's own grain, as much of it as the restored face lacks; None if it lacks none."""
    octave = _grain_octave(restored, bright, mask)
    if octave is None:
        return None
    old, new = _fine(plain, octave), _fine(restored, octave)
    wanted, missing = noise_levels(luma(old), new, mask, octave)
    if not wanted:
        return None
    # As far as the restored face explains what the old one has, it is no noise (the guided filter's regression).
    side = ((BLOCK << octave) + 1,) * 2
    slope = cv2.blur(luma(old) * new, side) / (cv2.blur(np.square(new), side) + np.float32(1e-3))
    explained = np.asarray(np.clip(slope, 0, 1) * new, np.float32)
    grain = np.subtract(old, _like(explained, old), out=old)
    # Where there is much more than noise it is detail that was restored otherwise, or not at all.
    tolerated = (FLAT * wanted) ** 2
    share = min(1.0, missing / wanted) * (tolerated + wanted**2) / (tolerated + cv2.blur(np.square(luma(grain)), side))
    np.clip(grain, -PLAUSIBLE * wanted, PLAUSIBLE * wanted, out=grain)
    grain *= _like(np.asarray(np.minimum(share, 1), np.float32), grain)
    return grain


def _grain_octave(restored: Float32, bright: Float32, mask: Mask) -> int | None:
    """How coarse the grain is that a face lacks: an enlargement makes that of the photograph as large as itself."""
    levels = []
    for octave in range(OCTAVES):
        new, old = (_fine(_halved(values, octave)) for values in (restored, bright))
        levels.append(noise_levels(old, new, _halved(mask, octave))[1])
    if max(levels) < FAINT:
        return None
    return max(octave for octave, level in enumerate(levels) if level >= SAME_GRAIN * max(levels))


def _fine(levels: Float32, octave: int = 0) -> Float32:
    """What changes faster than grain of that size does."""
    coarse = cv2.GaussianBlur(_halved(levels, octave), (0, 0), GRAIN_SIGMA)
    if octave:
        coarse = cv2.resize(coarse, levels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.subtract(levels, coarse, out=coarse), np.float32)


def _like(values: Float32, other: Float32) -> Float32:
    """(h, w) for every channel of another map; NumPy is slow along short axes."""
    return values if other.ndim == 2 else np.asarray(cv2.merge([values] * other.shape[2]), np.float32)


def _halved(values: AnyMap, octave: int) -> AnyMap:
    """So many times half as large."""
    if not octave:
        return values
    size = (values.shape[1] >> octave, values.shape[0] >> octave)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), values.dtype)


def _drift(difference: Float32, mask: Mask) -> Float32:
    """What of a difference changes slowly within the face: brightness slower than colour."""
    size = (difference.shape[1] // COARSE, difference.shape[0] // COARSE)
    small = np.asarray(cv2.resize(difference, size, interpolation=cv2.INTER_AREA), np.float32)
    small_mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    weight = np.asarray(small_mask * np.float32(1 / 255) + np.float32(SLIGHT), np.float32)
    if small.ndim == 2:
        drift = _smooth(small, weight, LUMA_SIGMA)
    else:
        bright = luma(small)[..., None]
        drift = _smooth(small - bright, weight, CHROMA_SIGMA) + _smooth(bright, weight, LUMA_SIGMA)
    full = cv2.resize(drift, difference.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)


def _smooth(values: Float32, weight: Float32, sigma: float) -> Float32:
    """Weighted means around each pixel; ``sigma`` in px of the crop."""
    weights = weight if values.ndim == 2 else weight[..., None]
    above = cv2.GaussianBlur(values * weights, (0, 0), sigma / COARSE).reshape(values.shape)
    below = cv2.GaussianBlur(weight, (0, 0), sigma / COARSE)
    return np.asarray(above / (below if values.ndim == 2 else below[..., None]), np.float32)


def _agreement(restored: Float32, plain: Float32) -> Float32:
    """Correlation of old and new edges around each pixel, in [-1, 1], at half the size."""
    new, old = (_fine(_halved(values, 1)) for values in (restored, plain))
    common, ours, theirs = (
        cv2.GaussianBlur(values, (0, 0), AGREE_SIGMA / 2) for values in (new * old, np.square(new), np.square(old))
    )
    return np.asarray(common / np.sqrt(ours * theirs + 1e-3), np.float32)


def _moved(agreement: Float32, difference: Float32) -> Float32:
    """Where a face changed, and its new edges do not lie on the old ones."""
    size = cv2.GaussianBlur(np.abs(_halved(luma(difference), 1)), (0, 0), AGREE_SIGMA / 2)
    moved = np.clip(1 - agreement, 0, 1) * np.clip((size - MOVED) / (MOVED_MORE - MOVED), 0, 1)
    return np.asarray(cv2.resize(moved, difference.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _gradients(levels: Float32) -> tuple[Float32, Float32]:
    """Across and down, in levels per px."""
    across, down = (cv2.Sobel(levels, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0))
    return np.asarray(across, np.float32), np.asarray(down, np.float32)
