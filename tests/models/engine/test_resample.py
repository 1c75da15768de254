"""The library's resampler against OpenCV's, which Real-ESRGAN uses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.engine.resample import RowResampler, Taps
from models.resize import LEAST_FOR_LANCZOS
from tests.models.toys import noise

OUTSCALES = (0.05, 0.125, 0.24, 0.25, 0.26, 0.3, 0.5, 0.7, 1, 1.001, 1.5, 2, 2.37, 4, 5)


def resampled(picture: NDArray[np.generic], size_wh: tuple[int, int], *, step: int = 1_000) -> NDArray[np.float32]:
    """(H, W, C) to (H', W', C) float32, ``step`` rows at a time."""
    source = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)
    resampler = RowResampler(picture.shape[:2], size_wh[::-1])
    parts = [part for rows in source.split(step, dim=1) for part in resampler.push(rows)]
    return torch.cat(parts, dim=1).permute(1, 2, 0).numpy()


def opencv(picture: NDArray[np.generic], size_wh: tuple[int, int]) -> NDArray[np.generic]:
    shrinks = size_wh[0] / picture.shape[1] < LEAST_FOR_LANCZOS
    return cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)


def size_of(picture: NDArray[np.generic], outscale: float) -> tuple[int, int]:
    return max(1, int(picture.shape[1] * outscale)), max(1, int(picture.shape[0] * outscale))


@pytest.mark.parametrize("outscale", OUTSCALES)
def test_it_agrees_with_opencv_in_floating_point_within_a_hundredth_of_a_level(outscale: float) -> None:
    picture = noise(80, 60, 3)
    size_wh = size_of(picture, outscale)
    difference = resampled(picture, size_wh) - opencv(picture.astype(np.float32), size_wh)
    assert np.abs(difference).max() < 0.01


@pytest.mark.parametrize("outscale", OUTSCALES)
def test_it_agrees_with_opencv_in_levels_within_one(outscale: float) -> None:
    picture = noise(80, 60, 3)
    size_wh = size_of(picture, outscale)
    ours = np.clip(np.rint(resampled(picture, size_wh)), 0, 255)
    assert np.abs(ours - opencv(picture, size_wh)).max() <= 1


@given(
    shape_hw=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    size_wh=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    step=st.integers(1, 70),
)
@settings(deadline=None, max_examples=60)
def test_rows_may_come_in_any_portions(shape_hw: tuple[int, int], size_wh: tuple[int, int], step: int) -> None:
    picture = noise(*shape_hw, 3)
    portioned, whole = resampled(picture, size_wh, step=step), resampled(picture, size_wh)
    assert portioned.shape == (*size_wh[::-1], 3)
    np.testing.assert_allclose(portioned, whole, atol=1e-2)


@given(
    width=st.integers(1, 90),
    new_width=st.integers(1, 200),
    bounds=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(deadline=None, max_examples=60)
def test_a_slab_gives_its_columns_of_the_whole(width: int, new_width: int, bounds: tuple[float, float]) -> None:
    picture = torch.from_numpy(noise(9, width, 3).astype(np.float32)).permute(2, 0, 1)
    start, stop = sorted(int(bound * new_width) for bound in bounds)
    start = min(start, new_width - 1)
    stop = max(stop, start + 1)
    left, right = Taps.of(width, new_width).needed(start, stop)
    slab = RowResampler((9, width), (7, new_width), left=left, columns=(start, stop))
    whole = RowResampler((9, width), (7, new_width))
    (part,), (everything,) = slab.push(picture[:, :, left:right]), whole.push(picture)
    torch.testing.assert_close(part, everything[:, :, start:stop], atol=1e-2, rtol=0)


@given(length=st.integers(1, 3000), new_length=st.integers(1, 3000))
@settings(deadline=None)
def test_every_sample_is_a_mean_so_flat_stays_flat(length: int, new_length: int) -> None:
    taps = Taps.of(length, new_length)
    np.testing.assert_allclose(taps.weights.sum(axis=1), 1, atol=1e-9)
    assert taps.needed(0, new_length) == (0, length) or new_length < length  # nothing is left out where it grows
    start, stop = taps.needed(0, new_length)
    assert 0 <= start < stop <= length


def test_the_mean_of_the_covered_area_was_checked_by_hand() -> None:
    # Five samples to one: all of equal weight. Nine to two: the middle one counts half for either.
    row = np.arange(9.0).reshape(1, 9, 1)
    np.testing.assert_allclose(resampled(row[:, :5], (1, 1)).ravel(), [2])
    np.testing.assert_allclose(
        resampled(row, (2, 1)).ravel(), [(0 + 1 + 2 + 3 + 4 / 2) / 4.5, (8 + 7 + 6 + 5 + 2) / 4.5]
    )


def test_what_is_held_does_not_grow_with_the_height() -> None:
    def most_held(height: int) -> int:
        resampler, most = RowResampler((height, 20), (height // 2, 10)), 0
        for rows in torch.rand(3, height, 20).split(8, dim=1):
            list(resampler.push(rows))
            most = max(most, 0 if resampler._held is None else resampler._held.untyped_storage().nbytes())
        return most

    assert most_held(2000) <= most_held(200)
