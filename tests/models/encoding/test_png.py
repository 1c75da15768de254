from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoding import png
from models.encoding.description import Description
from models.encoding.png import combine_adler32, write_png
from models.encoding.png_filters import AVERAGE, PAETH, UP, Strip, predict_average, predict_paeth
from models.picture import Picture
from tests.models.encoding.containers import png_chunks, png_stream
from tests.models.toys import noise, pixels_of

KINDS = st.tuples(st.booleans(), st.booleans(), st.sampled_from([np.uint8, np.uint16]))


def picture_of(height, width, *, gray, see_through, dtype, flat=False):
    pixels = noise(height, width, *(() if gray else (3,)), dtype=dtype)
    alpha = noise(height, width, seed=1, dtype=dtype) if see_through else None
    return Picture(pixels=pixels // 64 * 64 if flat else pixels, alpha=alpha)


def assert_gives_back_every_sample(picture, data):
    """By OpenCV, which keeps 16 bits; gray with alpha comes as four channels."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.dtype == picture.pixels.dtype
    colours = picture.pixels if picture.pixels.ndim == 3 else picture.pixels[..., None].repeat(3, axis=2)
    if picture.alpha is not None:
        np.testing.assert_array_equal(decoded[..., 3], picture.alpha)
    elif decoded.ndim == 2:
        decoded = decoded[..., None].repeat(3, axis=2)
    np.testing.assert_array_equal(decoded[..., 2::-1], colours)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    kind=KINDS,
    flat=st.booleans(),
    strip_bytes=st.sampled_from([1, 700, 500_000]),
)
def test_every_kind_and_size_comes_back_exactly_whatever_the_strips(height, width, kind, flat, strip_bytes):
    gray, see_through, dtype = kind
    picture = picture_of(height, width, gray=gray, see_through=see_through, dtype=dtype, flat=flat)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "STRIP_BYTES", strip_bytes)
        data = write_png(picture, Description(), 1)
    assert_gives_back_every_sample(picture, data)
    row_bytes = width * ((1 if gray else 3) + see_through) * np.dtype(dtype).itemsize
    kinds = [kind for kind, _ in png_chunks(data)]
    assert kinds.count(b"IDAT") == -(-height // max(1, strip_bytes // row_bytes))
    raw = np.frombuffer(png_stream(data), np.uint8).reshape(height, 1 + row_bytes)
    assert set(raw[:, 0]) <= {UP, AVERAGE, PAETH}


@pytest.mark.parametrize(
    ("gray", "see_through", "dtype", "colour_type"),
    [(True, False, np.uint8, 0), (False, False, np.uint16, 2), (True, True, np.uint16, 4), (False, True, np.uint8, 6)],
)
def test_the_header_says_depth_and_kind(gray, see_through, dtype, colour_type):
    picture = picture_of(3, 5, gray=gray, see_through=see_through, dtype=dtype)
    (kind, body), *_ = png_chunks(write_png(picture, Description(), 1))
    assert kind == b"IHDR"
    assert struct.unpack(">IIBBBBB", body) == (5, 3, 8 * np.dtype(dtype).itemsize, colour_type, 0, 0, 0)


def test_pillow_reads_gray_with_alpha_as_such():
    picture = picture_of(6, 7, gray=True, see_through=True, dtype=np.uint8)
    assert picture.alpha is not None
    np.testing.assert_array_equal(
        pixels_of(write_png(picture, Description(), 1)), np.dstack([picture.pixels, picture.alpha])
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_threads_change_no_byte(dtype):
    picture = picture_of(1500, 700, gray=False, see_through=False, dtype=dtype, flat=True)
    one, many = (write_png(picture, Description(), threads) for threads in (1, 5))
    assert one == many
    assert len([kind for kind, _ in png_chunks(one) if kind == b"IDAT"]) > 5
    assert_gives_back_every_sample(picture, one)


def test_pixels_of_any_memory_layout_are_written_as_they_look():
    pixels = noise(40, 30, 3)
    turned = Picture(pixels=pixels.swapaxes(0, 1)[::-1])
    straight = Picture(pixels=np.ascontiguousarray(turned.pixels))
    assert write_png(turned, Description(), 1) == write_png(straight, Description(), 1)


def test_paeth_is_the_specifications_for_every_kind_of_neighbours():
    levels = np.array([*range(0, 256, 5), 1, 2, 127, 128, 254])
    left, up, corner = (values.ravel() for values in np.meshgrid(levels, levels, levels))
    guess = left + up - corner
    to_left, to_up, to_corner = (np.abs(guess - values) for values in (left, up, corner))
    nearest = np.where((to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner))
    ours = predict_paeth(*(values[None].astype(np.uint8) for values in (left, up, corner)))
    np.testing.assert_array_equal(ours[0], nearest)


def test_average_is_rounded_down_without_losing_the_carry():
    left, up = (values.ravel() for values in np.meshgrid(np.arange(256), np.arange(256)))
    ours = predict_average(left.astype(np.uint8), up.astype(np.uint8), left.astype(np.uint8))
    np.testing.assert_array_equal(ours, (left + up) // 2)


@given(first=st.binary(max_size=300), second=st.binary(max_size=300), times=st.integers(1, 300))
def test_checksums_of_pieces_make_that_of_the_whole(first, second, times):
    second *= times
    assert combine_adler32(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(first + second)


def test_a_trial_looks_at_whole_rows_with_their_own_neighbours():
    strip = Strip(picture_of(20, 9, gray=False, see_through=True, dtype=np.uint16), slice(4, 17))
    for kind in (UP, AVERAGE, PAETH):
        np.testing.assert_array_equal(strip.filtered(kind, 5), strip.filtered(kind)[::5])
