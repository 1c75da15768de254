"""Which pixels belong to a face: an oval in its upright 512 px crop, seen in the picture that the face is put into.

Where an oval ends, nothing of the face is left to be seen, so a face and the region it may change are the same thing.
Faces that overlap share their pixels by how near each is to the middle of either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine.tiling import Region
from models.faces.alignment import TEMPLATE_SIDE, Affine, averaged, invert, scale_of, transform

Float32 = NDArray[np.float32]
Mask = NDArray[np.uint8]
"""(h, w): 0 where nothing of a face is, 255 where all is."""

# Of the upright crop, in its pixels: from the hairline to below the chin, and past the ears' front. It ends 5 px above
# the lower border and far inside the others.
MIDDLE = (256.0, 292.0)
HALF_AXES = (190.0, 215.0)
WINDOW = Region(72, 64, 440, 384)  # of the crop: all of the oval; nothing else is looked at
SOLID = 0.78  # of the way from the middle: from here the oval fades
PARSED_FEATHER = 11.0  # px; Gaussian sigma, twice over, as in facexlib's helper
SEEN_LEAST = 4.0  # px of the crop beside the picture's border where a network has seen the filling beside the face
SEEN_FADE = 8.0  # px; over these it fades in
OUTLINE_PIXELS = 3.0  # of the picture; so far from an outline its pixels know of it
MOST_OUTLINE = 16.0  # px of the crop that these may be
RIVALRY = 3.0  # how soon a pixel belongs to the nearer of two faces

# BiSeNet's classes in the order of face-parsing.PyTorch. Skin, brows, eyes, glasses, ears, nose, mouth and hair are
# restored; hands, cloth and background stay as they are; the neck fades half, for it joins face and cloth.
PARSED_SHARES = np.array(
    [0.0]  # background
    + [1.0] * 8  # skin, brows, eyes, glasses, ears
    + [0.6]  # earring
    + [1.0] * 4  # nose, mouth, lips
    + [0.5, 0.3]  # neck, necklace
    + [0.0]  # cloth
    + [1.0]  # hair
    + [0.0],  # hat
    np.float32,
)


def face_region(affine: Affine, size_wh: tuple[int, int]) -> Region | None:
    """The smallest rectangle of the picture that holds a face's oval; None if it lies beside the picture.

    Args:
        affine: (2, 3) from the picture to the upright 512 px crop.
        size_wh: of the picture.
    """
    back = invert(affine)
    middle = transform(back, np.array([MIDDLE]))[0]
    reach = np.hypot(*(back[:, :2] * HALF_AXES).T)  # of a turned ellipse, along x and y
    return _within(middle - reach, middle + reach, size_wh)


def distance(affine: Affine, region: Region) -> Float32:
    """(h, w) of a region of the picture: how far from the middle of a face each pixel is; 1 is the oval's edge."""
    x = np.arange(region.x, region.x + region.width)
    y = np.arange(region.y, region.y + region.height)
    squares = [
        np.square(np.add.outer((row[1] * y + row[2] - centre) / axis, row[0] * x / axis).astype(np.float32))
        for row, centre, axis in zip(affine, MIDDLE, HALF_AXES, strict=True)
    ]
    return np.asarray(np.sqrt(squares[0] + squares[1]), np.float32)


def crop_mask(inside: Float32 | None, labels: NDArray[np.uint8] | None = None) -> Mask:
    """How much of a restored crop is to be seen.

    Args:
        inside: (440, 384), see :func:`share_inside`; the mask fades out before the picture's borders.
        labels: (512, 512) uint8, BiSeNet's class of each pixel, or None where no parser is there.

    Returns:
        The window of the crop, see ``WINDOW``.
    """
    mask = _oval()
    if labels is not None:
        mask = mask * _parsed(labels)[WINDOW.slices]
    return _rounded(mask if inside is None else mask * inside)


def face_mask(
    affine: Affine, region: Region, size_wh: tuple[int, int], labels: NDArray[np.uint8] | None = None
) -> Mask:
    """The same for a region of the picture of that size, as (h, w)."""
    return np.asarray(CropView(crop_mask(share_inside(affine, size_wh), labels), affine)(region), np.uint8)


def share_inside(affine: Affine, size_wh: tuple[int, int]) -> Float32 | None:
    """In [0, 1]: where the crop's window shows the picture and not what was filled in; None if it does everywhere.

    Args:
        affine: (2, 3) from the picture to the crop.
        size_wh: of the picture.
    """
    back = invert(affine)
    beside = (SEEN_LEAST + SEEN_FADE) / scale_of(affine)
    there = transform(back, _corners())
    if (there >= beside).all() and (there <= np.array(size_wh) - 1 - beside).all():
        return None
    x, y = (np.arange(start, start + side) for start, side in ((WINDOW.x, WINDOW.width), (WINDOW.y, WINDOW.height)))
    within = []  # so far from the border across, and down, in px of the crop
    for row, side in zip(back * scale_of(affine), np.array(size_wh) * scale_of(affine), strict=True):
        from_middle = row[1] * y + row[2] + scale_of(affine) / 2 - side / 2
        within.append(side / 2 - np.abs(np.add.outer(from_middle.astype(np.float32), (row[0] * x).astype(np.float32))))
    return np.asarray(np.clip((np.minimum(*within) - SEEN_LEAST) / SEEN_FADE, 0, 1), np.float32)


def share_seen(opaque: Float32, scale: float) -> Float32:
    """In [0, 1]: where a face is, and not the outline of something opaque, which restorers see before a filling.

    Args:
        opaque: (440, 384) in [0, 1]: the picture's opacity in the crop's window.
        scale: pixels of the crop per pixel of the picture.
    """
    fade = round(SEEN_FADE / 2)
    reach = round(SEEN_LEAST + min(MOST_OUTLINE, OUTLINE_PIXELS * scale)) + fade
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    contrast = np.clip(cv2.dilate(opaque, kernel) - cv2.erode(opaque, kernel), 0, 1)
    return np.asarray(1 - cv2.blur(contrast, (2 * fade + 1, 2 * fade + 1)), np.float32)


class CropView:
    """A map of a crop's window as it lies in the picture, averaged where the crop is larger than that.

    Args:
        values: (440, 384) or (440, 384, 3), uint8 or float32; the window of the crop, beyond which its edge repeats.
        affine: (2, 3) from the picture to the crop.
        crisp: with bicubic weights; else with linear ones, which is enough for what is smooth.
    """

    def __init__(self, values: Mask | Float32, affine: Affine, *, crisp: bool = False) -> None:
        self._to_values = affine.copy()
        self._to_values[:, 2] -= (WINDOW.x, WINDOW.y)
        self._values: NDArray[np.uint8 | np.float32] = values
        scale = scale_of(affine)
        if scale > 1:
            self._resize(max(2, round(WINDOW.width / scale)), max(2, round(WINDOW.height / scale)), cv2.INTER_AREA)
        elif crisp:
            # Twice as large first: linear weights lose little of that, and cost a third of bicubic ones at any angle.
            self._resize(2 * WINDOW.width, 2 * WINDOW.height, cv2.INTER_CUBIC)
        self._flags = (cv2.INTER_CUBIC if crisp and scale > 1 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP

    def _resize(self, width: int, height: int, method: int) -> None:
        ratio = np.array([width / WINDOW.width, height / WINDOW.height])
        self._values = np.asarray(cv2.resize(self._values, (width, height), interpolation=method), self._values.dtype)
        self._to_values *= ratio[:, None]
        self._to_values[:, 2] += ratio / 2 - 0.5

    def __call__(self, region: Region) -> NDArray[np.uint8 | np.float32]:
        """(h, w) or (h, w, 3) of a region of the picture."""
        to_values = self._to_values.copy()
        to_values[:, 2] += to_values[:, :2] @ (region.x, region.y)
        size_wh = (region.width, region.height)
        warped = cv2.warpAffine(self._values, to_values, size_wh, flags=self._flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, self._values.dtype)


def to_crop(part: NDArray[np.uint8 | np.uint16 | np.float32], affine: Affine, region: Region) -> Float32:
    """A region of the picture as the window of the upright crop; averaged where the crop is smaller than that.

    Args:
        part: (h, w) or (h, w, 3), the pixels of ``region``; beyond it its edge is repeated.
        affine: (2, 3) from the picture to the crop.
        region: of the picture.
    """
    to_part = affine.copy()
    to_part[:, 2] += affine[:, :2] @ (region.x, region.y) - (WINDOW.x, WINDOW.y)
    part, to_part = averaged(part, to_part)
    levels = part.astype(np.float32)
    warped = cv2.warpAffine(
        levels, to_part, (WINDOW.width, WINDOW.height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.float32)


def crop_region(affine: Affine, size_wh: tuple[int, int]) -> Region | None:
    """The smallest rectangle of the picture that holds what the crop's window shows, and what interpolation needs."""
    there = transform(invert(affine), _corners())
    margin = 3 * max(1.0, 1 / scale_of(affine))
    return _within(there.min(axis=0) - margin, there.max(axis=0) + margin, size_wh)


def claim(mask: Mask, affine: Affine, region: Region) -> Float32:
    """(h, w): how strongly a face claims each pixel of a region against others that show there, too."""
    near = np.exp(-RIVALRY * np.square(distance(affine, region)))
    return np.asarray(near * mask, np.float32)


def freedom(affine: Affine, region: Region) -> Float32:
    """(h, w) in [0, 1]: how far other faces may change a region that belongs to this one; 0 in all of its oval."""
    return np.asarray(np.clip((distance(affine, region) - 1) / (1 - SOLID), 0, 1), np.float32)


def grouped(regions: Sequence[Region]) -> list[list[int]]:
    """Indices of rectangles, those together that overlap, directly or through others."""
    groups: list[list[int]] = []
    for index, region in enumerate(regions):
        meeting = [group for group in groups if any(regions[other].intersection(region) is not None for other in group)]
        groups = [group for group in groups if group not in meeting]
        groups.append(sorted([index, *(other for group in meeting for other in group)]))
    return sorted(groups)


def around(*regions: Region) -> Region:
    """The smallest rectangle that holds all of these."""
    top, left = min(region.y for region in regions), min(region.x for region in regions)
    bottom = max(region.y + region.height for region in regions)
    right = max(region.x + region.width for region in regions)
    return Region(top, left, bottom - top, right - left)


def _corners() -> NDArray[np.float64]:
    """(4, 2): the middles of the window's outermost pixels."""
    right, bottom = WINDOW.x + WINDOW.width - 1, WINDOW.y + WINDOW.height - 1
    return np.array([(WINDOW.x, WINDOW.y), (right, WINDOW.y), (WINDOW.x, bottom), (right, bottom)], np.float64)


def _within(low: NDArray[np.float64], high: NDArray[np.float64], size_wh: tuple[int, int]) -> Region | None:
    """Pixels of the picture whose centres lie between two corners."""
    left, top = (max(0, math.ceil(edge)) for edge in low)
    right, bottom = (min(side, math.floor(edge) + 1) for side, edge in zip(size_wh, high, strict=True))
    return Region(top, left, bottom - top, right - left) if right > left and bottom > top else None


def _rounded(shares: Float32) -> Mask:
    return np.asarray(np.rint(shares * np.float32(255)), np.uint8)


@lru_cache(maxsize=1)
def _oval() -> Float32:
    upright = np.array([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
    share = np.clip((1 - distance(upright, WINDOW)) / (1 - SOLID), 0, 1)
    oval: Float32 = (share * share * (3 - 2 * share)).astype(np.float32)
    oval.flags.writeable = False
    return oval


def _parsed(labels: NDArray[np.uint8]) -> Float32:
    """(512, 512) in [0, 1], soft at the edges of what is to be restored."""
    shares = PARSED_SHARES[np.minimum(labels, len(PARSED_SHARES) - 1)]
    small = cv2.resize(shares, (TEMPLATE_SIDE // 4, TEMPLATE_SIDE // 4), interpolation=cv2.INTER_AREA)
    for _ in range(2):
        small = cv2.GaussianBlur(small, (0, 0), PARSED_FEATHER / 4)
    return np.asarray(cv2.resize(small, (TEMPLATE_SIDE, TEMPLATE_SIDE), interpolation=cv2.INTER_LINEAR), np.float32)
