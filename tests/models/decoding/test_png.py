"""PNG files whose rows end early."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from models.decoding import DecodeLimits, decode_here
from models.decoding.png import PASSES
from models.errors import DamagedImage
from models.picture import Picture
from tests.models.decoding.test_colour import chunk
from tests.models.toys import noise

WIDTH, HEIGHT = 13, 11
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def read(data: bytes) -> Picture:
    return decode_here(data, DecodeLimits())


def png_of(depth: int, colour: int, rows: list[bytes], *, interlaced: bool = False, idats: int = 1) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", noise(2**depth, 3).tobytes()) if colour == 3 else b""
    packed = zlib.compress(b"".join(rows))
    step = -(-len(packed) // idats)
    body = b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + body + chunk(b"IEND", b"")


def rows_of(depth: int, colour: int, *, interlaced: bool, level: int) -> list[bytes]:
    """Rows as a PNG stores them, unfiltered, all bytes the same."""
    bits = depth * SAMPLES[colour]
    rows = []
    for left, top, across, down in PASSES if interlaced else ((0, 0, 1, 1),):
        columns = len(range(left, WIDTH, across))
        rows += [b"\0" + bytes([level]) * -(-columns * bits // 8) for _ in range(top, HEIGHT, down) if columns]
    return rows


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("depth", "colour"), [(1, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (8, 6)]
)
@pytest.mark.parametrize("level", [0, 200])
def test_a_png_that_lacks_rows_is_refused_and_a_black_one_is_not(
    depth: int, colour: int, interlaced: bool, level: int
) -> None:
    rows = rows_of(depth, colour, interlaced=interlaced, level=level)
    assert read(png_of(depth, colour, rows, interlaced=interlaced, idats=3)).size_wh == (WIDTH, HEIGHT)
    for there in (1, len(rows) // 2, len(rows) - 1):
        with pytest.raises(DamagedImage):
            read(png_of(depth, colour, rows[:there], interlaced=interlaced))


def test_a_refusal_says_how_much_is_missing() -> None:
    rows = rows_of(8, 2, interlaced=False, level=9)
    with pytest.raises(DamagedImage, match="80 of 440 bytes of its rows are there"):
        read(png_of(8, 2, rows[:2]))


def test_a_png_with_more_rows_than_it_says_is_read() -> None:
    rows = rows_of(8, 0, interlaced=False, level=0)
    np.testing.assert_array_equal(read(png_of(8, 0, rows * 2)).pixels, np.zeros((HEIGHT, WIDTH)))
