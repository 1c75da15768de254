"""Pictures that carry a number, which can still be read after Telegram, the network and an encoder had their way.

The number is written as a grid of dark and bright cells, with a checksum: a result that shows another number belongs to
somebody else, one that shows none was damaged.
"""

from __future__ import annotations

import colorsys
import io
import zlib

import numpy as np
from PIL import Image

COLUMNS, ROWS = 6, 5
NUMBER_BITS, CHECK_BITS = 16, 12  # and two cells that are always dark and always bright
LARGEST_NUMBER = 2**NUMBER_BITS - 1
CELL = 16  # px of the smallest picture: whole blocks of a JPEG, so that one cell does not bleed into another
DARK, BRIGHT = 70, 210  # levels
LEAST_CONTRAST = 50  # levels between dark and bright; less is no signature
GRAIN = 3.0  # levels, standard deviation


def numbered_picture(number: int, *, cell: int = CELL, tint: float = 0.0, file_format: str = "JPEG") -> bytes:
    """A picture of 6 by 5 cells that carries ``number``.

    Args:
        number: 0 to :data:`LARGEST_NUMBER`.
        cell: side of a cell, in pixels.
        tint: hue in [0, 1), for the eye: the number is in the brightness alone.
        file_format: a name Pillow knows.
    """
    cells = np.where(_cells_of(number), BRIGHT, DARK).reshape(ROWS, COLUMNS)
    gray = np.kron(cells, np.ones((cell, cell)))[..., None]
    shade = np.array(colorsys.hsv_to_rgb(tint, 0.25, 1.0))
    grain = np.random.default_rng(number).normal(0.0, GRAIN, gray.shape)
    buffer = io.BytesIO()
    Image.fromarray((gray * shade + grain).round().clip(0, 255).astype(np.uint8)).save(buffer, file_format, quality=90)
    return buffer.getvalue()


def read_number(content: bytes) -> int | None:
    """The number in a picture of any size; None where there is none, or a damaged one."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (COLUMNS * CELL, ROWS * CELL))
            pixels = np.asarray(image.convert("RGB").convert("L"), np.float32)
    except (OSError, ValueError, SyntaxError):
        return None
    levels = np.array([_middle(pixels, row, column) for row in range(ROWS) for column in range(COLUMNS)])
    dark, bright = levels[0], levels[-1]
    if not bright - dark >= LEAST_CONTRAST:
        return None
    bits = levels > (dark + bright) / 2
    number = int(sum(1 << place for place, bit in enumerate(bits[1 : 1 + NUMBER_BITS]) if bit))
    return number if np.array_equal(bits, _cells_of(number)) else None


def _cells_of(number: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if not 0 <= number <= LARGEST_NUMBER:
        raise ValueError(f"{number} does not fit into {NUMBER_BITS} bits")
    check = zlib.crc32(number.to_bytes(4, "big")) & ((1 << CHECK_BITS) - 1)
    code = number | check << NUMBER_BITS
    bits = [bool(code >> place & 1) for place in range(NUMBER_BITS + CHECK_BITS)]
    return np.array([False, *bits, True])


def _middle(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]], row: int, column: int) -> float:
    """Mean of the inner quarter of a cell; NaN where the picture is too small to have one."""
    height, width = pixels.shape[0] / ROWS, pixels.shape[1] / COLUMNS
    top, left = (row + 0.25) * height, (column + 0.25) * width
    inner = pixels[round(top) : round(top + height / 2), round(left) : round(left + width / 2)]
    return float(inner.mean()) if inner.size else float("nan")
