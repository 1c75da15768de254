"""Small views of a picture of any size: what is looked at, so that looking takes the same time for all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.picture import Picture
from models.pixels import Pixels

UInt8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Float = NDArray[np.float32]

THUMB_SIDE = 512  # px
PAGE_SIDE = 1024  # px; letters of a page are still letters
PATCH = 192  # px
MAX_PATCHES = 12
SAMPLED_SIDE = 2048  # px; what is thinner than a 2048th of a picture may be overlooked
HALF = 128  # levels of alpha; below, more of the ground shows than of the picture


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A copy of a picture at one size.

    Args:
        rgb: (H, W, 3) uint8; gray pictures have three equal channels.
        luma: (H, W) uint8, BT.601.
        visible: (H, W), False where the picture is transparent.
    """

    rgb: UInt8
    luma: UInt8
    visible: Mask


def visible_part(picture: Picture) -> Picture | None:
    """The picture cropped to about where anything can be seen; None where nothing can."""
    if picture.alpha is None:
        return picture
    step = math.ceil(max(picture.size_wh) / SAMPLED_SIDE)
    seen = _to_uint8(picture.alpha[::step, ::step]) >= HALF
    rows, columns = np.flatnonzero(seen.any(axis=1)) * step, np.flatnonzero(seen.any(axis=0)) * step
    if not len(rows):
        return None
    top, left = max(0, rows[0] - step + 1), max(0, columns[0] - step + 1)
    box = slice(top, rows[-1] + step), slice(left, columns[-1] + step)
    return Picture(pixels=picture.pixels[box], alpha=picture.alpha[box])


def sampled(picture: Picture) -> View:
    """The whole picture with every so many rows and columns left out, so that no side is above 2048 px.

    Leaving pixels out first is ten times quicker than averaging 40 million of them, and shows the same.
    """
    step = math.ceil(max(picture.size_wh) / SAMPLED_SIDE)
    return _view(picture, slice(None, None, step), slice(None, None, step))


def shrunk(view: View, side: int) -> View:
    """A view with its long side at most ``side``; never enlarged."""
    height, width = view.luma.shape
    ratio = side / max(height, width)
    if ratio >= 1:
        return view
    size_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
    return View(
        rgb=np.asarray(cv2.resize(view.rgb, size_wh, interpolation=cv2.INTER_AREA), np.uint8),
        luma=np.asarray(cv2.resize(view.luma, size_wh, interpolation=cv2.INTER_AREA), np.uint8),
        visible=cv2.resize(view.visible.astype(np.uint8) * 255, size_wh, interpolation=cv2.INTER_AREA) >= HALF,
    )


def patches(picture: Picture, thumb: View) -> list[View]:
    """Squares of original pixels: most where the thumbnail has the strongest gradients, some where the weakest.

    A picture of fewer pixels is one patch.
    """
    height, width = picture.pixels.shape[:2]
    if height * width <= MAX_PATCHES * PATCH**2:
        return [_view(picture, slice(None), slice(None))]
    tall, wide = min(PATCH, height), min(MAX_PATCHES * PATCH, width) if height < PATCH else min(PATCH, width)
    tall = min(MAX_PATCHES * PATCH, height) if width < PATCH else tall
    rows, columns = max(1, height // tall), max(1, width // wide)
    activity = _activity(thumb, rows, columns)
    order = np.argsort(activity, axis=None, kind="stable")
    few = max(1, MAX_PATCHES // 4)
    chosen = [*order[:few], *order[max(few, len(order) - (MAX_PATCHES - few)) :]]
    corners = ((int(index) // columns * tall, int(index) % columns * wide) for index in chosen)
    return [_view(picture, slice(top, top + tall), slice(left, left + wide)) for top, left in corners]


def _activity(thumb: View, rows: int, columns: int) -> Float:
    """Mean gradient of each cell of a grid, below all others where hardly anything is visible."""
    luma = thumb.luma.astype(np.float32)
    gradient = np.abs(cv2.Sobel(luma, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    seen = thumb.visible.astype(np.float32)
    size = (columns, rows)
    share = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(gradient * seen, size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.where(share > 0.5, mean / np.maximum(share, 1e-3), np.float32(np.median(mean))))


def _view(picture: Picture, rows: slice, columns: slice) -> View:
    """Part of a picture; what cannot be seen takes the mean of what can, whatever its colours were."""
    pixels = _to_uint8(picture.pixels[rows, columns])
    rgb = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    if picture.alpha is None:
        visible = np.ones(rgb.shape[:2], np.bool_)
    else:
        visible = _to_uint8(picture.alpha[rows, columns]) >= HALF
        mask = visible.view(np.uint8)
        filled = np.full_like(rgb, np.rint(cv2.mean(rgb, mask)[:3]).astype(np.uint8))
        # Four times as quick as np.where, which would make a mask of three channels first.
        rgb = np.asarray(cv2.copyTo(rgb, mask, filled), np.uint8)
    return View(rgb=rgb, luma=np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8), visible=visible)


def chroma(rgb: UInt8) -> tuple[UInt8, UInt8]:
    """Brightest and darkest channel of (..., 3) colours."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)


def _to_uint8(pixels: Pixels) -> UInt8:
    return np.ascontiguousarray(pixels >> 8 if pixels.dtype == np.uint16 else pixels).astype(np.uint8, copy=False)
