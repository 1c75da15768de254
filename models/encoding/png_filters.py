"""PNG's filters (PNG specification, third edition, 9.2) on whole strips of rows at once.

A filter predicts each byte from its neighbours and leaves the difference to be compressed. Left to itself it would
be a loop over bytes; here every step of it is one operation of OpenCV or numpy over a strip that fits the cache.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from models.picture import Picture

Bytes = NDArray[np.uint8]
Filter = Callable[[Bytes, Bytes, Bytes], Bytes]

UP, AVERAGE, PAETH = 2, 3, 4  # the specification's numbers


def predict_up(_left: Bytes, up: Bytes, _up_left: Bytes) -> Bytes:
    """The byte above."""
    return up


def predict_average(left: Bytes, up: Bytes, _up_left: Bytes) -> Bytes:
    """The mean of left and above, rounded down; the carry of their sum would not fit a byte."""
    return (left & up) + ((left ^ up) >> 1)


def predict_paeth(left: Bytes, up: Bytes, up_left: Bytes) -> Bytes:
    """Of left, up and up-left the one nearest to left + up - up_left (Paeth, "Image File Compression", 1991).

    The specification's three comparisons of differences with a sign would need 16 bits. Equivalent: let ``low`` and
    ``high`` be the two neighbours in order, and the corner be moved between them. Where it is at least twice as far
    from one of the two as from the other, that one is the prediction, else the corner is. A tie in the
    specification's order is one of equal values here.
    """
    low, high = cv2.min(left, up), cv2.max(left, up)
    corner = cv2.min(cv2.max(up_left, low), high)
    above_low, below_high = cv2.subtract(corner, low), cv2.subtract(high, corner)
    take_low = cv2.compare(cv2.subtract(above_low, below_high), below_high, cv2.CMP_GE)
    take_high = cv2.compare(cv2.subtract(below_high, above_low), above_low, cv2.CMP_GE)
    down = cv2.subtract(corner, cv2.bitwise_and(above_low, take_low))
    return np.asarray(cv2.add(down, cv2.bitwise_and(below_high, take_high)), np.uint8)


PREDICTIONS: dict[int, Filter] = {UP: predict_up, AVERAGE: predict_average, PAETH: predict_paeth}


class Strip:
    """Rows of a picture as PNG's bytes, with the row above and, left of each, a pixel of nothing.

    Args:
        picture: gray, RGB, and either with alpha, of 8 or 16 bits.
        rows: of it, in order.
    """

    def __init__(self, picture: Picture, rows: slice) -> None:
        width, _ = picture.size_wh
        colours = 1 if picture.is_gray else 3
        channels = colours + (picture.alpha is not None)
        samples = np.zeros((rows.stop - rows.start + 1, width + 1, channels), picture.pixels.dtype.newbyteorder(">"))
        before = max(0, rows.start - 1)  # above the first row of all are zeros
        filled = samples[before - rows.start + 1 :, 1:]
        filled[..., :colours] = picture.pixels[before : rows.stop].reshape(-1, width, colours)
        if picture.alpha is not None:
            filled[..., colours] = picture.alpha[before : rows.stop]
        self.pixel_bytes = channels * samples.dtype.itemsize
        self.row_bytes = width * self.pixel_bytes
        self._bytes: Bytes = samples.view(np.uint8).reshape(len(samples), -1)

    def filtered(self, kind: int, every: int = 1) -> Bytes:
        """(rows, 1 + bytes) each row after the number of its filter; only one row of ``every``."""
        here, above, pixel = self._bytes[1::every], self._bytes[:-1:every], self.pixel_bytes
        out = np.empty((len(here), here.shape[1] - pixel + 1), np.uint8)
        out[:, 0] = kind
        predicted = PREDICTIONS[kind](here[:, :-pixel], above[:, pixel:], above[:, :-pixel])
        np.subtract(here[:, pixel:], predicted, out=out[:, 1:])
        return out
