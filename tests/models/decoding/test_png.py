"""PNG files whose rows end early, or that say by numbers what their colours mean."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageCms

from models.decoding import DecodeLimits, decode_here
from models.decoding.png import PASSES
from models.errors import DamagedImage
from models.picture import Picture
from tests.models.decoding.test_colour import chunk, with_chunk
from tests.models.toys import noise, png

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


SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_POINTS = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_GAMMA, LINEAR = 45455, 100_000


def gama(gamma: int) -> bytes:
    return struct.pack(">I", gamma)


def in_srgb(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Levels that are light, as sRGB has them, by its definition."""
    light = levels / 255
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_a_png_that_says_its_levels_are_light_becomes_as_bright_as_it_should_be(channels: int | None) -> None:
    levels = noise(6, 9, *([channels] if channels else []))
    picture = read(with_chunk(png(levels), b"gAMA", gama(LINEAR)))
    np.testing.assert_allclose(picture.pixels, in_srgb(levels[..., :3] if channels else levels), atol=1.5)
    assert (picture.tagged, picture.notices) == (True, ())


def test_a_16_bit_png_keeps_its_levels_and_what_they_mean() -> None:
    for levels in (noise(6, 9, dtype=np.uint16), noise(6, 9, 3, dtype=np.uint16)):
        done, data = cv2.imencode(".png", levels[..., ::-1] if levels.ndim == 3 else levels)
        assert done
        picture = read(with_chunk(data.tobytes(), b"gAMA", gama(LINEAR)))
        np.testing.assert_array_equal(picture.pixels, levels)
        assert picture.notices == ()
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.profile or b"")).profile
        assert profile.xcolor_space == ("GRAY" if levels.ndim == 2 else "RGB ")


def test_wide_primaries_of_a_png_are_those_of_the_same_profile() -> None:
    levels = noise(6, 9, 3)
    known = read(with_chunk(png(levels), b"cICP", bytes([12, 13, 0, 1]))).pixels  # Display P3
    for gamma in ([], [gama(SRGB_GAMMA)]):
        data = with_chunk(png(levels), b"cHRM", struct.pack(">8I", *P3_POINTS))
        for body in gamma:
            data = with_chunk(data, b"gAMA", body)
        np.testing.assert_allclose(read(data).pixels.astype(int), known, atol=2)


ODD_POINTS = [(0,) * 8, (31270, 32900) * 4, (31270, 0, *SRGB_POINTS[2:]), (2**32 - 1,) * 8]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *((b"gAMA", gama(gamma)) for gamma in (SRGB_GAMMA, 45000, 0, 1, 2**31, 2**32 - 1)),
        *((b"cHRM", struct.pack(">8I", *points)) for points in (SRGB_POINTS, *ODD_POINTS)),
        (b"gAMA", b""),
        (b"gAMA", bytes(5)),
        (b"cHRM", bytes(4)),
    ],
)
def test_numbers_that_mean_srgb_or_nothing_leave_a_png_as_it_is(kind: bytes, body: bytes) -> None:
    levels = noise(6, 9, 3)
    picture = read(with_chunk(png(levels), kind, body))
    np.testing.assert_array_equal(picture.pixels, levels)
    assert picture.notices == ()


def test_a_gamma_counts_only_where_nothing_says_more() -> None:
    levels = noise(6, 9, 3)
    with_srgb = with_chunk(png(levels), b"sRGB", b"\0")
    np.testing.assert_array_equal(read(with_chunk(with_srgb, b"gAMA", gama(LINEAR))).pixels, levels)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with_profile = with_chunk(png(levels, icc_profile=srgb), b"gAMA", gama(LINEAR))
    assert np.abs(read(with_profile).pixels.astype(int) - levels).max() <= 1
    with_cicp = with_chunk(with_chunk(png(levels), b"cICP", bytes([1, 13, 0, 1])), b"gAMA", gama(LINEAR))
    np.testing.assert_array_equal(read(with_cicp).pixels, levels)
    damaged = bytearray(with_chunk(png(levels), b"gAMA", gama(LINEAR)))
    damaged[33 + 8] ^= 1
    np.testing.assert_array_equal(read(bytes(damaged)).pixels, levels)


def test_a_png_with_a_palette_that_is_not_there_is_refused() -> None:
    data = png_of(8, 3, rows_of(8, 3, interlaced=False, level=7))
    assert read(data).size_wh == (WIDTH, HEIGHT)
    at = data.index(b"PLTE") - 4
    with pytest.raises(DamagedImage, match="no palette"):
        read(data[:at] + data[at + 12 + 3 * 256 :])


def test_more_transparent_colours_than_a_palette_can_have_are_ignored() -> None:
    data = png_of(8, 3, rows_of(8, 3, interlaced=False, level=7))
    at = data.index(b"IDAT") - 4
    np.testing.assert_array_equal(read(data[:at] + chunk(b"tRNS", bytes(300)) + data[at:]).pixels, read(data).pixels)
