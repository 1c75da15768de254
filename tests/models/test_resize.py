from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.resize import resize, result_size
from tests.models.toys import noise


@settings(deadline=None)  # shared machines
@given(width=st.integers(1, 9999), height=st.integers(1, 9999), outscale=st.floats(1e-6, 16))
def test_no_side_ever_vanishes(width: int, height: int, outscale: float) -> None:
    out_width, out_height = result_size((width, height), outscale)
    assert min(out_width, out_height) >= 1
    assert out_width <= max(1, width * outscale)
    assert out_height <= max(1, height * outscale)


def test_the_same_size_is_the_same_array() -> None:
    pixels = noise(5, 7, 3)
    assert resize(pixels, (7, 5)) is pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size_wh", [(20, 14), (11, 3), (1, 1), (2, 1)])
def test_a_flat_colour_stays_that_colour_in_its_depth(dtype: type, size_wh: tuple[int, int]) -> None:
    flat = np.full((7, 10, 3), np.iinfo(dtype).max // 3, dtype)
    resized = resize(flat, size_wh)
    assert (resized.shape, resized.dtype) == ((size_wh[1], size_wh[0], 3), dtype)
    assert (resized == np.iinfo(dtype).max // 3).all()


def test_below_a_quarter_each_pixel_is_the_mean_of_what_it_covers() -> None:
    pixels = noise(40, 40)
    blocks = pixels.reshape(5, 8, 5, 8).mean(axis=(1, 3))
    assert np.abs(resize(pixels, (5, 5)) - blocks).max() <= 0.5 + 1e-6
