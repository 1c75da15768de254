"""Colours of the result held to those of the input.

Networks drift: a sky comes out two levels bluer, a face one level darker. What a restoration may change is detail;
the mean of every part of the picture is known from the input, so it is put back. Both pictures are averaged over
the same coarse cells, a smooth surface is fitted to the differences and taken off the result. This is one step of
iterative back-projection (Irani and Peleg, "Improving resolution by image registration", 1991) kept to the lowest
frequencies, so that it brings back neither noise nor JPEG blocks, and touches no edge.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pixels import Pixels

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

# Smaller cells follow the input better but bring its faults back: with cells of 4 px the SSIM of JPEG at quality 40
# fell by 0.002, with 8 px (a block of JPEG) and more by nothing that could be measured.
LEAST_CELL = 8  # px
CELLS = 16  # along the short side, or a multiple of it where cells are then still larger than the least
FINER = 3  # points of the surface per cell and axis; odd, so that every cell has one in its middle
CELL_MEAN = np.array([4.0, 19.0, 4.0]) / 27  # how the surface's mean over a cell follows from its knots
BANDS = 32  # between rows of the surface, that one thread works through at a time
FITS = 12  # rounds that bend the surface until its own means over the cells are the differences
TOLERANCE = 0.3  # level of 8 bits; the second pass is for cells where the first left more, mostly by clipping

# A rounded correction has steps of one level. Thresholds that differ from pixel to pixel (Bayer's matrix) make
# them ramps, shorter than a whole level: a correction near a whole level leaves flat areas flat.
DITHER = (0.125, 0.4)  # levels up and down in either pass; the first leaves up to 0.5 - DITHER, the second less


def lock_colours(sr: Pixels, lq: Pixels, *, threads: int = 1) -> None:
    """Give every part of a result the mean colour it has in the input, in place.

    Parts are cells of a sixteenth of the short side or less, but at least 8 px of the smaller picture. Their means
    then differ by less than half a level of 8 bits, except where a correction would go beyond black or white: there
    it is repeated once on what can still change, and what is missing after that is accepted.

    An input without colour (R=G=B everywhere) makes a result without colour. A result that follows its input is
    left as it is, byte for byte.

    Args:
        sr: (H', W') or (H', W', 3), uint8 or uint16, C-contiguous; changed.
        lq: (H, W) or (H, W, 3), the layout and type of ``sr`` but of any size; premultiplied if ``sr`` is.
        threads: how many may work at the same time; the result does not depend on it.
    """
    if lq.ndim == 3 and is_colourless(lq):
        gray = np.asarray(cv2.cvtColor(sr, cv2.COLOR_RGB2GRAY), sr.dtype)
        lock_means(gray, np.ascontiguousarray(lq[..., 0]), threads=threads)
        sr[...] = gray[..., None]
    else:
        lock_means(sr, lq, threads=threads)


def lock_means(sr: Pixels, lq: Pixels, *, threads: int = 1) -> None:
    """The same for each channel by itself, whether the input has colours or not."""
    cells = Cells.between(sr, lq)
    level = float(np.iinfo(sr.dtype).max) / 255
    with ThreadPoolExecutor(threads) as pool:
        wanted, tolerance = cells.means(lq, pool), 0.0
        for dither in DITHER:
            drift = cells.means(sr, pool) - wanted
            drift[np.abs(drift) < tolerance] = 0.0  # most of the picture needs nothing more the second time
            _subtract(sr, _surface(drift), dither, pool)
            tolerance = TOLERANCE * level


@dataclass(frozen=True, slots=True)
class Cells:
    """A picture cut into ``rows`` times ``columns`` equal rectangles, whose edges may lie within pixels."""

    rows: int
    columns: int

    @classmethod
    def between(cls, sr: Pixels, lq: Pixels) -> Cells:
        """As fine as the smaller of the two pictures allows."""
        height, width = (min(sides) for sides in zip(sr.shape[:2], lq.shape[:2], strict=True))
        short = min(height, width)
        along_short = CELLS * max(1, short // (CELLS * LEAST_CELL))
        cell = max(LEAST_CELL, short / along_short)
        return cls(max(1, round(height / cell)), max(1, round(width / cell)))

    def means(self, pixels: Pixels, pool: ThreadPoolExecutor) -> Float64:
        """(rows, columns, channels): the mean of every cell; pixels on an edge count by their share."""
        sums = list(pool.map(lambda index: self._row(pixels, index), range(self.rows)))
        height, width = pixels.shape[:2]
        means: Float64 = np.stack(sums) * (self.rows * self.columns / (height * width))
        return means

    def _row(self, pixels: Pixels, index: int) -> Float64:
        """(columns, channels): the sums over one row of cells."""
        height, width = pixels.shape[:2]
        (first, before), (last, after) = (divmod(edge * height, self.rows) for edge in (index, index + 1))
        whole = pixels[first:last].reshape(last - first, -1)
        exact = cv2.CV_32S if pixels.dtype == np.uint8 else cv2.CV_64F
        down = cv2.reduce(whole, 0, cv2.REDUCE_SUM, dtype=exact).astype(np.float64)
        if before:
            down -= pixels[first].reshape(1, -1) * (before / self.rows)
        if after:
            down += pixels[last].reshape(1, -1) * (after / self.rows)
        return self._cut(down.reshape(width, -1))

    def _cut(self, row: Float64) -> Float64:
        """(W, channels) to (columns, channels): sums between the edges of columns."""
        width = len(row)
        whole, part = np.divmod(np.arange(self.columns + 1) * width, self.columns)
        until = np.concatenate([np.zeros_like(row[:1]), np.cumsum(row, axis=0)])
        within = row[np.minimum(whole, width - 1)] * (part / self.columns)[:, None]
        return np.diff(until[whole] + within, axis=0)


def _surface(drift: Float64) -> Float32:
    """A smooth surface, ``FINER`` times as fine as the cells, whose means over the cells are ``drift``."""
    rows, columns, channels = drift.shape
    knots = drift.copy()
    for _ in range(FITS):
        means = cv2.sepFilter2D(knots, cv2.CV_64F, CELL_MEAN, CELL_MEAN, borderType=cv2.BORDER_REPLICATE)
        knots += drift - means.reshape(drift.shape)
    # A quadratic B-spline: straight lines between the knots, averaged over the width of a cell.
    fine = cv2.resize(knots, (columns * FINER, rows * FINER), interpolation=cv2.INTER_LINEAR)
    fine = cv2.blur(fine, (FINER, FINER), borderType=cv2.BORDER_REPLICATE)
    return fine.astype(np.float32).reshape(rows * FINER, columns * FINER, channels)


def _subtract(sr: Pixels, surface: Float32, dither: float, pool: ThreadPoolExecutor) -> None:
    """Take a surface, stretched to the size of the picture, off it; rounded, and clipped to the range."""
    (height, width), (_, columns, channels) = sr.shape[:2], surface.shape
    # Pixel centres in rows of the surface, as OpenCV counts them; rows between the same two are one band.
    at = np.clip((np.arange(height) + 0.5) * (len(surface) / height) - 0.5, 0, len(surface) - 1)
    upper = at.astype(np.intp)
    edges = [*np.flatnonzero(np.diff(upper, prepend=-1)).tolist(), height]
    depth, amplitude = (cv2.CV_8U, dither) if sr.dtype == np.uint8 else (cv2.CV_16U, 0.0)
    rows = np.reshape(sr, (height, -1), copy=False)
    quiet = 0.5 - amplitude  # rounds to no change
    thresholds = amplitude * _thresholds(width, channels)

    def subtract_bands(bands: list[tuple[int, int]]) -> None:
        first, last = (upper[start] for start, _ in (bands[0], bands[-1]))
        stretched = _stretched(surface[first : last + 2], width)
        # Memory taken anew for each band would cost more time than the arithmetic in it.
        memory = np.empty(max(stop - start for start, stop in bands) * rows.shape[1], np.float32)
        for start, stop in bands:
            index = upper[start] - first
            above, below = stretched[index], stretched[min(index + 1, len(stretched) - 1)]
            touched = np.flatnonzero(np.abs(surface[upper[start] : upper[start] + 2]).max(axis=(0, 2)) > quiet)
            if not len(touched):
                continue
            # A point of the surface reaches as far as the next.
            left, right = max(0, touched[0] - 1), min(columns, touched[-1] + 2)
            part = slice(left * width // columns * channels, -(-right * width // columns) * channels)
            share = (at[start:stop] - upper[start]).astype(np.float32)[:, None]
            correction = memory[: (stop - start) * (part.stop - part.start)].reshape(stop - start, -1)
            np.multiply(share, below[part] - above[part], out=correction)
            correction += above[part]
            for row in range(len(thresholds)):
                correction[row :: len(thresholds)] += thresholds[(start + row) % len(thresholds), part]
            block = rows[start:stop, part]
            cv2.subtract(block, correction, dst=block, dtype=depth)

    bands = list(pairwise(edges))
    list(pool.map(subtract_bands, (bands[index : index + BANDS] for index in range(0, len(bands), BANDS))))


def _stretched(surface: Float32, width: int) -> Float32:
    """(rows, width * channels): some rows of the surface at the width of the picture."""
    stretched = cv2.resize(surface, (width, len(surface)), interpolation=cv2.INTER_LINEAR)
    return np.asarray(stretched, np.float32).reshape(len(surface), -1)


def _thresholds(width: int, channels: int) -> Float32:
    """(8, width * channels) in (-1, 1): Bayer's ordered dither, the same for all channels, without a mean."""
    matrix = np.zeros((1, 1))
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    centred = (2 * matrix + 1) / matrix.size - 1
    across = (np.arange(width) % len(centred)).repeat(channels)
    return centred[:, across].astype(np.float32)


def is_colourless(pixels: Pixels) -> bool:
    """Whether red, green and blue are the same everywhere."""
    some = pixels[:: max(1, len(pixels) // 16)]  # settles it for almost every picture in colour
    return all(bool((part[..., :1] == part[..., 1:]).all()) for part in (some, pixels))
