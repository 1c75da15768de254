"""Pixels of 16 bits, which Pillow would reduce to 8: OpenCV reads them from PNG and TIFF, and turns the latter.

Separate planes of a TIFF are read by Pillow, which knows one channel of 16 bits; OpenCV takes them for one another.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.decoding import tiff
from models.decoding.canvas import STRIP, Allocate, Canvas, are_equal
from models.decoding.colour import Strip
from models.decoding.png import PngFile
from models.picture import FOREIGN_ERRORS
from models.pixels import Pixels

BITS_PER_SAMPLE, PHOTOMETRIC, EXTRA_SAMPLES, SAMPLE_FORMAT = 258, 262, 338, 339  # TIFF tags
RGB = 2  # value of the photometric interpretation
UNKNOWN, PREMULTIPLIED, NOT_PREMULTIPLIED = 0, 1, 2  # values of an extra sample
FULL = 65535  # the largest level


def samples_16_bit(image: Image.Image, png: PngFile | None) -> int:
    """Channels of 16 bits that can be kept and Pillow would reduce; 0: none."""
    if png:
        return png.samples if png.depth == 16 else 0
    if image.format != "TIFF":
        return 0
    try:
        tags = image.tag_v2  # type: ignore[attr-defined]  # of the TIFF plugin's class
        bits = tuple(tags.get(BITS_PER_SAMPLE, (1,)))
        plain = set(bits) == {16} and set(tags.get(SAMPLE_FORMAT, (1,))) == {1}
        is_rgb = tags.get(PHOTOMETRIC) == RGB and len(bits) == 3 + len(tags.get(EXTRA_SAMPLES, ()))
        has_fitting_alpha = len(bits) == 3 or _extra(image) in {UNKNOWN, PREMULTIPLIED, NOT_PREMULTIPLIED}
    except FOREIGN_ERRORS:
        return 0
    return len(bits) if plain and is_rgb and has_fitting_alpha else 0


def _extra(image: Image.Image) -> int:
    """What the fourth channel is."""
    if image.format != "TIFF":
        return NOT_PREMULTIPLIED
    kinds = tuple(image.tag_v2.get(EXTRA_SAMPLES, ()))  # type: ignore[attr-defined]  # of the TIFF plugin's class
    return int(kinds[0]) if len(kinds) == 1 else -1


def _straight(colours: Pixels, alpha: Pixels) -> Pixels:
    """Colours that were multiplied by their opacity, divided by it."""
    opacity = np.maximum(alpha, 1)[..., None].astype(np.uint32)
    divided: Pixels = np.minimum((colours.astype(np.uint32) * FULL + opacity // 2) // opacity, FULL).astype(np.uint16)
    return divided


def read_16_bit(
    data: bytes, image: Image.Image, png: PngFile | None, orientation: int, allocate: Allocate
) -> Canvas | None:
    """16-bit pixels as they are; None for a TIFF of a kind OpenCV does not know.

    Args:
        data: the file.
        image: loaded from it, so that it is known to be whole; the pixels of a PNG, or of planes, are dropped from it.
        png: what the chunks say, for a PNG.
        orientation: EXIF's, to be undone.
        allocate: gives the memory.

    Raises:
        ValueError: a PNG that OpenCV cannot read.
    """
    if not png and tiff.has_planes(image):
        return _of_planes(data, image, orientation, allocate)
    is_gray = bool(png and png.is_gray)
    if png:
        image.im = None  # type: ignore[assignment]  # these pixels are not needed any more
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None or levels.dtype != np.uint16 or sorted(levels.shape[1::-1]) != sorted(image.size):
        if png:
            raise ValueError("the 16-bit pixels cannot be read")
        return None
    gray_that_hides = image.info.get("transparency") if levels.ndim == 2 else None
    hidden = gray_that_hides if isinstance(gray_that_hides, int) else None
    extra = _extra(image)
    if levels.ndim == 3 and extra == UNKNOWN:
        levels = levels[..., :3]
    canvas = Canvas(
        (levels.shape[1], levels.shape[0]),
        orientation,
        channels=1 if is_gray or levels.ndim == 2 else 3,
        dtype=np.dtype(np.uint16),
        with_alpha=hidden is not None or (levels.ndim == 3 and levels.shape[2] == 4),
        allocate=allocate,
    )
    for top in range(0, len(levels), STRIP):
        strip = _strip(levels[top : top + STRIP].astype(np.uint16, copy=False), is_gray=is_gray, hidden=hidden)
        if extra == PREMULTIPLIED and strip.alpha is not None:
            strip = replace(strip, colours=_straight(strip.colours, strip.alpha))
        canvas.write(top, strip.colours, strip.alpha, is_neutral=strip.is_neutral)
    return canvas


def _of_planes(data: bytes, image: Image.Image, orientation: int, allocate: Allocate) -> Canvas:
    image.im = None  # type: ignore[assignment]  # as above
    planes, extra = tiff.planes_16_bit(data), _extra(image)
    if extra == UNKNOWN:
        planes = planes[:3]
    width, height = planes[0].size
    canvas = Canvas(
        (width, height),
        orientation,
        channels=3,
        dtype=np.dtype(np.uint16),
        with_alpha=len(planes) == 4,
        allocate=allocate,
    )
    for top in range(0, height, STRIP):
        box = (0, top, width, min(top + STRIP, height))
        levels = np.stack([np.asarray(plane.crop(box)).astype(np.uint16) for plane in planes], axis=-1)
        alpha = levels[..., 3] if len(planes) == 4 else None
        colours = levels[..., :3]
        straight = _straight(colours, alpha) if extra == PREMULTIPLIED and alpha is not None else colours
        canvas.write(top, straight, alpha, is_neutral=are_equal(colours))
    return canvas


def _strip(levels: NDArray[np.uint16], *, is_gray: bool, hidden: int | None) -> Strip:
    if levels.ndim == 2:
        return Strip(levels, None if hidden is None else np.where(levels == hidden, 0, 65535).astype(np.uint16))
    alpha = levels[..., 3] if levels.shape[2] == 4 else None
    if is_gray:
        return Strip(levels[..., 0], alpha)
    return Strip(levels[..., 2::-1], alpha, is_neutral=are_equal(levels[..., :3]))
