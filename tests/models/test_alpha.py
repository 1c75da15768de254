from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alpha import keep_in_neighbourhood, premultiply, to_depth, to_uint16, unpremultiply
from tests.models.toys import noise

UINT8, UINT16 = np.dtype(np.uint8), np.dtype(np.uint16)


def test_depths_convert_there_and_back_exactly() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint16(levels), levels.astype(int) * 257)
    np.testing.assert_array_equal(to_depth(to_uint16(levels), UINT8), levels)
    deep = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(to_uint16(deep), deep)
    np.testing.assert_array_equal(to_depth(deep, UINT8), np.floor(deep / 257 + 0.5))


@settings(deadline=None)  # shared machines
@given(seed=st.integers(0, 99), gray=st.booleans())
def test_8_bit_colours_survive_premultiplication_wherever_they_can_be_seen(seed: int, gray: bool) -> None:
    pixels = noise(9, 9, *([] if gray else [3]), seed=seed)
    alpha = noise(9, 9, seed=seed + 100)
    back = unpremultiply(premultiply(pixels, alpha), to_uint16(alpha), UINT8)
    np.testing.assert_array_equal(back[alpha > 0], pixels[alpha > 0])
    assert (back[alpha == 0] == 0).all()


def test_16_bit_premultiplication_agrees_with_fractions() -> None:
    pixels, alpha = noise(9, 9, 3, dtype=np.uint16), noise(9, 9, seed=1, dtype=np.uint16)
    exact = pixels.astype(float) * alpha[..., None] / 65535
    assert np.abs(premultiply(pixels, alpha) - exact).max() <= 0.5


def test_colour_above_opacity_is_white_not_overflow() -> None:
    white = unpremultiply(np.array([[60_000]], np.uint16), np.array([[30_000]], np.uint16), UINT16)
    assert white.item() == 65_535


def test_flat_opacity_stays_flat_whatever_the_network_adds() -> None:
    lq = np.zeros((12, 12), np.uint16)
    lq[:, 6:] = 65_535
    noisy = np.clip(np.kron(lq, np.ones((2, 2))) + np.where(noise(24, 24) > 128, 900, -900), 0, 65_535)
    sr = noisy.astype(np.uint16)
    keep_in_neighbourhood(sr, lq)
    assert (sr[:, :8] == 0).all()
    assert (sr[:, 16:] == 65_535).all()
    np.testing.assert_array_equal(sr[:, 8:16], noisy[:, 8:16])  # at the edge the network is free


@settings(deadline=None)
@given(height=st.integers(1, 30), width=st.integers(1, 30), new=st.tuples(st.integers(1, 80), st.integers(1, 80)))
def test_opacity_of_any_size_stays_within_what_the_input_has_around_it(
    height: int, width: int, new: tuple[int, int]
) -> None:
    lq, sr = noise(height, width, dtype=np.uint16), noise(*new, seed=1, dtype=np.uint16)
    before = sr.copy()
    keep_in_neighbourhood(sr, lq)
    for y, x in np.ndindex(*new):
        row, column = int((y + 0.5) * height / new[0]), int((x + 0.5) * width / new[1])
        around = lq[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
        assert sr[y, x] == np.clip(before[y, x], around.min(), around.max())
