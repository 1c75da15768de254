from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.resize import result_size, shrink
from tests.models.toys import noise


@settings(deadline=None)  # shared machines
@given(width=st.integers(1, 9999), height=st.integers(1, 9999), outscale=st.floats(1e-6, 16))
def test_no_side_ever_vanishes(width: int, height: int, outscale: float) -> None:
    out_width, out_height = result_size((width, height), outscale)
    assert min(out_width, out_height) >= 1
    assert out_width <= max(1, width * outscale)
    assert out_height <= max(1, height * outscale)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size_wh", [(9, 6), (5, 3), (1, 1), (2, 7)])
def test_a_flat_colour_made_smaller_stays_that_colour_in_its_depth(dtype: type, size_wh: tuple[int, int]) -> None:
    flat = np.full((7, 10, 3), np.iinfo(dtype).max // 3, dtype)
    smaller = shrink(flat, size_wh)
    assert (smaller.shape, smaller.dtype) == ((size_wh[1], size_wh[0], 3), dtype)
    assert (smaller == np.iinfo(dtype).max // 3).all()


def test_each_pixel_of_a_smaller_picture_is_the_mean_of_what_it_covers() -> None:
    pixels = noise(40, 40)
    blocks = pixels.reshape(5, 8, 5, 8).mean(axis=(1, 3))
    assert np.abs(shrink(pixels, (5, 5)) - blocks).max() <= 0.5 + 1e-6
