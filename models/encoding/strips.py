"""A picture in strips of rows: worked on side by side, and a few of them standing for all.

Where strips begin depends on the picture alone, never on the number of threads, so that the file does not either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from models.alpha import to_depth
from models.picture import Picture
from models.pixels import Pixels
from models.stopping import check, never

Result = TypeVar("Result")

BAND_ROWS = 16  # whole blocks of JPEG and WebP, in which an edge between two bands costs nothing
SAMPLE_SHARE = 16  # one row in so many
SAMPLE_PIXELS = 1_000_000  # a smaller picture is no work to try as a whole


def row_strips(height: int, rows: int) -> list[slice]:
    """Strips of ``rows`` rows from the top; the last may be lower."""
    return [slice(start, min(start + rows, height)) for start in range(0, height, rows)]


def in_threads(
    work: Callable[[slice], Result], strips: list[slice], threads: int, should_stop: Callable[[], bool] = never
) -> Iterator[Result]:
    """``work`` on every strip, results in order; those that are ready wait for the ones before.

    Raises:
        RestorationStopped: ``should_stop``, asked before each strip, said so.
    """

    def work_if_wanted(rows: slice) -> Result:
        check(should_stop)
        return work(rows)

    if threads == 1 or len(strips) == 1:
        yield from map(work_if_wanted, strips)
        return
    with ThreadPoolExecutor(min(threads, len(strips)), thread_name_prefix="encode") as pool:
        yield from pool.map(work_if_wanted, strips)


def opaque_8_bit(picture: Picture, rows: slice) -> Pixels:
    """Some rows as a format without transparency and depth takes them: uint8, on white paper."""
    pixels = to_8_bit(picture.pixels[rows])
    return pixels if picture.alpha is None else _on_white(pixels, to_8_bit(picture.alpha[rows]))


def to_8_bit(values: Pixels) -> Pixels:
    """uint16 levels rounded; uint8 as they are."""
    return values if values.dtype == np.uint8 else to_depth(values.astype(np.uint16, copy=False), np.dtype(np.uint8))


def _on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    opacity = (alpha if pixels.ndim == 2 else alpha[..., None]).astype(np.uint16)
    mixed = (pixels * opacity + 255 * (255 - opacity) + 127) // 255
    return mixed.astype(np.uint8)


def sample(picture: Picture, band_rows: int = BAND_ROWS) -> Picture:
    """Bands of a large picture, evenly spaced, put below each other; a small picture as it is.

    Its file is about as much smaller as its height is, for a fraction of the work.
    """
    width, height = picture.size_wh
    rows = max(height // SAMPLE_SHARE, -(-SAMPLE_PIXELS // width))
    count = -(-rows // band_rows)
    if count * band_rows >= height:
        return picture
    middles = [height * (2 * band + 1) // (2 * count) for band in range(count)]
    tops = [min(max(0, middle - band_rows // 2), height - band_rows) for middle in middles]
    chosen = np.concatenate([np.arange(top, top + band_rows) for top in tops])
    alpha = None if picture.alpha is None else picture.alpha[chosen]
    return replace(picture, pixels=picture.pixels[chosen], alpha=alpha)
