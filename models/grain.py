"""The noise of the input, given back to a result as strongly as one likes.

A network that cleans cannot be asked to clean half: most have no such control, and blending result and input
blurs. What is put back here is the noise alone, the input's own: what the input has and its restored, smoothed self
has not, where the picture is flat enough for the two to be told apart. So grain keeps its size, its colour and its
dependence on brightness, whatever the network, and edges stay as sharp as the network made them.

The noise is measured as Immerkær does ("Fast noise variance estimation", 1996), in blocks, of which the quieter
count, because texture only ever adds; flat and detailed parts are told apart as in the guided filter (He et al.,
"Guided image filtering", 2010).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.colour_lock import is_colourless, lock_means
from models.errors import OptionsError
from models.pixels import Pixels

Float32 = NDArray[np.float32]

BLOCK = 8  # px; what noise is measured in. Nothing can be said about pictures smaller than two of them
QUIET = 25  # percent of the blocks of equal brightness are taken to be free of texture
QUIET_BIAS = 1.1  # a quiet block of pure noise shows a little less of it than there is
BAND = 32  # blocks, at least, that are averaged into one point of noise over brightness
MOST_BANDS = 8
FAINT, CERTAIN = 0.6, 0.9  # levels of 8 bits; below the first it may be rounding, which is no noise
WINDOW = 7  # px; detail is looked for in it
FLAT = 2.0  # times the noise: detail as strong as this halves what is put back
PLAUSIBLE, IMPOSSIBLE = 2.5, 5.0  # times the noise: up to here it is noise, from there on it is structure
LOCAL_MEAN = 15  # px; noise has no mean over it, so that colours stay
SHARPENINGS = 3
LEAST_MISSING = 0.4  # of the noise; pictures without a flat part, where detail passes for noise that is left, get it
ROWS = 64  # of the input, done at a time
MARGIN = 24  # rows; the reach of all filters together
LANCZOS = 4

IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6


def keep_noise(sr: Pixels, lq: Pixels, amount: float) -> None:
    """Add the noise of an input to the result that was made from it, in place.

    With 0 nothing changes; with 1 flat parts of the result, scaled down to the input, are as noisy as the input;
    in between the noise rises with every step. Nothing changes either where the input has no noise above the
    rounding of 8 bits, or is smaller than 16 px. Mean colours stay. The same arrays give the same bytes.

    Args:
        sr: (H', W') or (H', W', 3), uint8 or uint16, C-contiguous; changed. Its colours should follow the input
            already, see :func:`models.colour_lock.lock_colours`.
        lq: (H, W) or (H, W, 3), the layout and type of ``sr`` but of any size; premultiplied if ``sr`` is.
        amount: from 0 to 1.

    Raises:
        OptionsError: ``amount`` is outside.
    """
    if not 0 <= amount <= 1:
        raise OptionsError(f"the amount of noise is from 0 to 1, not {amount!r}")
    if amount == 0 or min(*sr.shape[:2], *lq.shape[:2]) < 2 * BLOCK:
        return
    if sr.ndim == 3 and is_colourless(sr) and is_colourless(lq):
        gray = np.ascontiguousarray(sr[..., 0])
        keep_noise(gray, np.ascontiguousarray(lq[..., 0]), amount)
        sr[...] = gray[..., None]
        return
    # Noise finer than the pixels of a smaller result is not to be seen in it.
    height, width = (min(sides) for sides in zip(sr.shape[:2], lq.shape[:2], strict=True))
    lq, clean = (_shrunk(pixels, width, height) for pixels in (lq, sr))
    noise = Noise.between(lq, clean)
    if noise is not None:
        _add(sr, lq, clean, noise, amount * noise.missing(lq, clean))
        lock_means(sr, clean)  # what black and white have clipped


@dataclass(frozen=True, slots=True)
class Noise:
    """How strong the noise of a picture is.

    Args:
        brightness: rising, in levels of the picture.
        sigma: standard deviation of the noise at each, in the same levels.
        level: one level of 8 bits in levels of the picture.
    """

    brightness: NDArray[np.float64]
    sigma: NDArray[np.float64]
    level: float

    @classmethod
    def between(cls, lq: Pixels, clean: Pixels) -> Noise | None:
        """Measure it; None where there is none.

        Args:
            lq: (H, W) or (H, W, 3), at least 16 px a side.
            clean: its restored self, of the same shape and type.
        """
        blocks = np.concatenate([_blocks(lq[rows], clean[rows]) for rows in _strips(len(lq), ROWS)])
        blocks = blocks[np.argsort(blocks[:, 0], kind="stable")]
        bands = np.array_split(blocks, max(1, min(MOST_BANDS, len(blocks) // BAND)))
        brightness = np.array([band[:, 0].mean() for band in bands])
        sigma = np.array([np.percentile(band[:, 1], QUIET) for band in bands]) * QUIET_BIAS
        level = float(np.iinfo(lq.dtype).max) / 255
        return cls(brightness, sigma, level) if sigma.max() > FAINT * level else None

    def extract(self, lq: Float32, clean: Float32) -> tuple[Float32, Float32]:
        """The noise of an input, and what of it the restored one still has.

        Args:
            lq: (H, W, channels), levels.
            clean: its restored self, of the same shape.

        Returns:
            Both of the same shape, near zero where there is detail or no noise.
        """
        mean = _blurred(clean, WINDOW)
        variance = _gray(_blurred(np.square(clean - mean), WINDOW))
        brightness = _gray(mean)
        sigma = np.interp(brightness, self.brightness, self.sigma).astype(np.float32)
        certainty = np.clip((sigma / self.level - FAINT) / (CERTAIN - FAINT), 0, 1)
        tolerated = np.square(FLAT * sigma) + 1e-6
        flatness = certainty * tolerated / (variance + tolerated)
        noise, left = lq - mean, clean - mean
        excess = np.abs(noise) / (sigma + 1e-6)
        noise *= flatness * np.clip((IMPOSSIBLE - excess) / (IMPOSSIBLE - PLAUSIBLE), 0, 1)
        left *= flatness
        return noise - _blurred(noise, LOCAL_MEAN), left - _blurred(left, LOCAL_MEAN)

    def missing(self, lq: Pixels, clean: Pixels) -> float:
        """How many times the input's noise has to be added to the restored picture to be there once."""
        powers = np.concatenate([self._powers(lq[rows], clean[rows]) for rows in _strips(len(lq), ROWS)])
        powers = powers[powers[:, 0] > 0]
        if not len(powers):
            return LEAST_MISSING
        # Only where the restored picture is flattest is what it has left noise, and not detail.
        flattest = powers[:, 2] <= np.percentile(powers[:, 2], QUIET)
        wanted, shared, there = powers[flattest].mean(axis=0)
        # The solution of there + 2 * shared * x + wanted * x**2 = wanted, the power of a sum.
        root = max(0.0, shared**2 + wanted * (wanted - there))
        return max(LEAST_MISSING, float((math.sqrt(root) - shared) / wanted))

    def _powers(self, lq: Pixels, clean: Pixels) -> NDArray[np.float64]:
        """(blocks, 3): mean squares of noise, of what is left of it, and their mean product between the two."""
        noise, left = self.extract(_planes(lq), _planes(clean))
        products = np.stack([noise * noise, noise * left, left * left], axis=-1).mean(axis=2)
        return _block_means(products).reshape(-1, 3)


def _add(sr: Pixels, lq: Pixels, clean: Pixels, noise: Noise, amount: float) -> None:
    """Enlarge the noise of an input to the size of a result and add it, strip by strip."""
    (height, width), (sr_height, sr_width) = lq.shape[:2], sr.shape[:2]
    flat = np.reshape(sr, (sr_height, -1), copy=False)
    depth = cv2.CV_8U if sr.dtype == np.uint8 else cv2.CV_16U
    for strip in _strips(height, ROWS):
        seen = slice(max(0, strip.start - MARGIN), min(height, strip.stop + MARGIN))
        grain, _ = noise.extract(_planes(lq[seen]), _planes(clean[seen]))
        grain = _sharpened(grain, sr_width / width, sr_height / height)
        grain = _filled(cv2.resize(grain, (sr_width, len(grain)), interpolation=cv2.INTER_LANCZOS4), grain)
        start, stop = (round(row * sr_height / height) for row in (strip.start, strip.stop))
        at = (np.arange(start, stop) + 0.5) * (height / sr_height) - 0.5 - seen.start
        rows = _lanczos(at, len(grain)) @ grain.reshape(len(grain), -1)
        rows *= amount
        block = flat[start:stop]
        cv2.add(block, rows, dst=block, dtype=depth)


def _sharpened(grain: Float32, across: float, down: float) -> Float32:
    """Grain that, enlarged and averaged over the input's pixels again, is what it was (Van Cittert's iteration)."""
    horizontal, vertical = _averaging(across), _averaging(down)
    sharp = grain
    for _ in range(SHARPENINGS):
        averaged = cv2.sepFilter2D(sharp, cv2.CV_32F, horizontal, vertical, borderType=cv2.BORDER_REFLECT)
        sharp = sharp + (grain - _filled(averaged, grain))
    return sharp


def _averaging(scale: float) -> NDArray[np.float64]:
    """What enlarging by ``scale`` and averaging does to neighbouring pixels, by what it does to the finest waves."""
    left = 1 / (scale * math.sin(math.pi / (2 * scale)))
    side = (1 - left) / 4
    return np.array([side, 1 - 2 * side, side])


def _lanczos(at: NDArray[np.float64], count: int) -> Float32:
    """(len(at), count): weights of ``count`` samples for values at these positions; the ends are repeated."""
    weights = np.zeros((len(at), count))
    nearest = np.floor(at).astype(int)
    for offset in range(1 - LANCZOS, LANCZOS + 1):
        distance = at - nearest - offset
        weight = np.sinc(distance) * np.sinc(distance / LANCZOS)
        weights[np.arange(len(at)), np.clip(nearest + offset, 0, count - 1)] += weight
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)


def _blocks(lq: Pixels, clean: Pixels) -> NDArray[np.float64]:
    """(blocks, 2): brightness and noise of each block, in levels."""
    levels = _planes(lq)
    rough = np.square(_filled(cv2.filter2D(levels, cv2.CV_32F, IMMERKAER), levels))
    brightness, power = (_block_means(values).mean(axis=2).ravel() for values in (_planes(clean), rough))
    return np.stack([brightness, np.sqrt(power)], axis=1)


def _block_means(values: Float32) -> NDArray[np.float64]:
    """(H, W, channels) to the means of its whole blocks."""
    rows, columns = (side // BLOCK for side in values.shape[:2])
    blocks = values[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, values.shape[2])
    return np.asarray(blocks.mean(axis=(1, 3)), np.float64)


def _blurred(values: Float32, side: int) -> Float32:
    """Means over squares; mirrored at the borders in the one way that keeps the mean of all."""
    return _filled(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT), values)


def _shrunk(pixels: Pixels, width: int, height: int) -> Pixels:
    """A new array of this size, each pixel the mean of what it covers."""
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), pixels.dtype)


def _planes(pixels: Pixels) -> Float32:
    """(H, W) or (H, W, 3) levels as (H, W, channels)."""
    return pixels.astype(np.float32).reshape(*pixels.shape[:2], -1)


def _gray(values: Float32) -> Float32:
    """(H, W, channels) to (H, W, 1): the mean of the channels; as a product, for NumPy is slow along short axes."""
    channels = values.shape[2]
    return values @ np.full((channels, 1), 1 / channels, np.float32)


def _filled(filtered: object, like: Float32) -> Float32:
    """What OpenCV returned, which drops the axis of a single channel, with all three axes again."""
    values: Float32 = np.asarray(filtered, np.float32)
    filled: Float32 = values.reshape(*values.shape[:2], like.shape[2])
    return filled


def _strips(height: int, rows: int) -> Iterator[slice]:
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))
