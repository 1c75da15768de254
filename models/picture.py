"""A picture as the library handles it: upright pixels in sRGB and what is worth keeping of their description."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageCms

from models.pixels import Pixels

# What Pillow's parsers have been seen to raise on hostile files; OSError alone is not enough.
FOREIGN_ERRORS = (
    OSError,  # with UnidentifiedImageError
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,  # with NotImplementedError
    AssertionError,
    MemoryError,
    BufferError,
    struct.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
    cv2.error,
)

ORIENTATION, DATE_TAKEN, DATE, EXIF_BLOCK = 0x0112, 0x9003, 0x0132, 0x8769  # EXIF tags


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An upright picture and what of its description is worth keeping.

    Args:
        pixels: (H, W) gray or (H, W, 3) RGB, uint8 or uint16, full range. A decoded picture whose three channels
            are equal everywhere is gray.
        alpha: (H, W) of the same type, largest value opaque; colours are not premultiplied. None: no alpha.
        format: as Pillow names it, such as ``PNG``.
        lossless: the file kept every pixel as it was.
        profile: ICC profile the pixels still are in; None means sRGB. Only 16-bit pictures keep theirs, because
            the colour engine would reduce them to 8 bits.
        tagged: the file said what its colours mean, so the result should.
        dpi: horizontal, vertical.
        taken: capture date as EXIF writes it, ``2024:05:06 07:08:09``.
        notices: stable codes of what the owner should know.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    format: str = "PNG"
    lossless: bool = True
    profile: bytes | None = None
    tagged: bool = False
    dpi: tuple[float, float] | None = None
    taken: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width before height, in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def is_gray(self) -> bool:
        """One channel, not three."""
        return self.pixels.ndim == 2

    @property
    def is_16_bit(self) -> bool:
        """Decided by the file, never by how bright the picture is."""
        return self.pixels.dtype == np.uint16
