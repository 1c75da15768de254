"""Transparency through a network that knows only colours.

Colours are premultiplied (Porter and Duff, "Compositing Digital Images", 1984) before they are enlarged, so
that what lies hidden under transparent pixels cannot bleed into the visible ones. In uint16, because an 8-bit
premultiplied colour would lose its shade where it is nearly transparent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pixels import Depth, Pixels, UInt16

Number = TypeVar("Number", bound=np.generic)

FULL = 65_535
ROWS = 256  # are worked on at a time, so that a large picture needs no large temporary
STRIP_PIXELS = 2**17  # the same, where pixels become fractions
BEHIND = 128.0  # level of 8 bits that transparent pixels are looked at before: neither a bright nor a dark outline
REACH = 2  # px of the input; how far around a pixel the network may take its transparency from


def to_uint16(values: Pixels) -> UInt16:
    """The same levels of [0, 65535]; uint8 is spread exactly."""
    wide = values.astype(np.uint16, copy=False)
    return wide if values.dtype == np.uint16 else wide * np.uint16(257)


def to_depth(values: UInt16, dtype: Depth) -> Pixels:
    """uint16 levels rounded to ``dtype``; for uint8 the inverse of :func:`to_uint16`."""
    if dtype == np.uint16:
        return values
    narrow = np.empty(values.shape, np.uint8)
    for rows in strips_of(len(values), values[:1].size):
        narrow[rows] = (values[rows].astype(np.uint32) + 128) // 257
    return narrow


def premultiply(pixels: Pixels, alpha: Pixels) -> UInt16:
    """Colour times opacity.

    Args:
        pixels: (H, W) or (H, W, 3).
        alpha: (H, W) of the same type.

    Returns:
        The shape of ``pixels``, uint16: 0 where nothing is to be seen.
    """
    out = np.empty(pixels.shape, np.uint16)
    for rows in strips_of(*pixels.shape[:2]):
        opacity = _like(to_uint16(alpha[rows]).astype(np.uint64), pixels)
        out[rows] = (to_uint16(pixels[rows]) * opacity + FULL // 2) // FULL
    return out


def unpremultiply(premultiplied: UInt16, alpha: UInt16, dtype: Depth) -> Pixels:
    """The inverse of :func:`premultiply`, rounded to ``dtype``; what is transparent there is black, not noise."""
    top = int(np.iinfo(dtype).max)
    least = FULL / top / 2  # opacity below rounds to none at all
    out = np.empty(premultiplied.shape, dtype)
    for rows in strips_of(*premultiplied.shape[:2]):
        opacity = _like(alpha[rows].astype(np.float64), premultiplied)
        # Colour above opacity has no meaning; the two come from separate runs of the network.
        colour = np.minimum(premultiplied[rows], opacity) / np.maximum(opacity, 1.0)
        out[rows] = np.where(opacity < least, 0, np.rint(colour * top))
    return out


def before_gray(pixels: Pixels, alpha: Pixels) -> Pixels:
    """What is to be seen of a picture before a middle gray.

    Args:
        pixels: (H, W) or (H, W, 3), not premultiplied; left untouched.
        alpha: (H, W) of the same type.
    """
    top = float(np.iinfo(pixels.dtype).max)
    gray, seen = np.float32(BEHIND / 255 * top), np.empty(pixels.shape, pixels.dtype)
    for rows in strips_of(*pixels.shape[:2]):
        share = alpha[rows] * np.float32(1 / top)
        levels = pixels[rows].astype(np.float32)
        levels -= gray
        levels *= share if pixels.ndim == 2 else cv2.merge([share] * 3)  # NumPy is slow along short axes
        levels += gray
        seen[rows] = np.rint(levels, out=levels)
    return seen


def strips_of(height: int, width: int) -> Iterator[slice]:
    """Rows that are done at a time where every pixel becomes fractions."""
    rows = max(1, STRIP_PIXELS // max(1, width))
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


def keep_in_neighbourhood(sr_alpha: UInt16, lq_alpha: UInt16) -> None:
    """Hold an enlarged alpha within what the input has around each pixel, in place.

    Networks leave faint noise on flat areas; so the inside of a shape stays opaque and its outside empty.

    Args:
        sr_alpha: of any size, changed.
        lq_alpha: (H, W), what it was made from.
    """
    kernel = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    lowest, highest = cv2.erode(lq_alpha, kernel), cv2.dilate(lq_alpha, kernel)
    rows, columns = (_covering(new, old) for new, old in zip(sr_alpha.shape, lq_alpha.shape, strict=True))
    for block in _row_blocks(len(sr_alpha)):
        low, high = (bound[rows[block]][:, columns] for bound in (lowest, highest))
        np.clip(sr_alpha[block], low, high, out=sr_alpha[block])


def _covering(new_length: int, length: int) -> NDArray[np.intp]:
    """The old sample in which the centre of each new one lies."""
    return np.minimum(((np.arange(new_length) + 0.5) * length / new_length).astype(np.intp), length - 1)


def _like(alpha: NDArray[Number], pixels: Pixels) -> NDArray[Number]:
    return alpha[..., None] if pixels.ndim == 3 else alpha


def _row_blocks(height: int) -> Iterator[slice]:
    return (slice(start, min(start + ROWS, height)) for start in range(0, height, ROWS))
