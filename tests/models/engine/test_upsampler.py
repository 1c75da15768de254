from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.engine.upsampler import Tiling, reflect
from models.engine.watch import Watch
from models.errors import OutOfMemory, RestorationStopped, SpoiledTile
from tests.models.toys import Conv3x3, Does, Nearest, noise, upsampler_of

WHOLE = Tiling(tile=0, overlap=0)


@pytest.mark.parametrize("placement", ["shifted", "clipped"])
@given(height=st.integers(1, 60), width=st.integers(1, 60), tile=st.integers(1, 40), batch=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_tiling_changes_nothing_when_the_overlap_covers_what_the_network_sees(
    placement: str, height: int, width: int, tile: int, batch: int
) -> None:
    upsampler, lq = upsampler_of(Conv3x3()), noise(height, width, 3)
    tiled = upsampler(lq, Tiling(tile=tile, overlap=2, placement=placement, batch=batch))
    # Not bit for bit: other shapes may take other convolution kernels.
    assert np.abs(tiled.astype(int) - upsampler(lq, WHOLE).astype(int)).max() <= 1


def test_without_overlap_the_seams_show_so_the_law_above_can_fail() -> None:
    upsampler, lq = upsampler_of(Conv3x3()), noise(40, 40, 3)
    seams = upsampler(lq, Tiling(tile=16, overlap=0)).astype(int) - upsampler(lq, WHOLE)
    assert np.abs(seams).max() > 10


@pytest.mark.parametrize("border", [0, 1, 10])
@pytest.mark.parametrize("unshuffle", [1, 2, 4])
@given(height=st.integers(1, 24), width=st.integers(1, 24), tile=st.sampled_from([0, 3, 8, 16]))
@settings(max_examples=25, deadline=None)
def test_every_pixel_lands_in_its_place_at_every_size(
    border: int, unshuffle: int, height: int, width: int, tile: int
) -> None:
    lq = noise(height, width, 3)
    sr = upsampler_of(Nearest(scale=2, unshuffle=unshuffle))(lq, Tiling(tile=tile, overlap=3, border=border))
    np.testing.assert_array_equal(sr, lq.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gray_picture_comes_back_gray_in_its_depth(dtype: type) -> None:
    lq = noise(9, 7, dtype=dtype)
    sr = upsampler_of(Nearest(scale=2))(lq, Tiling(tile=4, overlap=1))
    assert sr.dtype == dtype
    # The weights of R, G and B add up to one only as well as float32 can tell.
    assert np.abs(sr.astype(int) - lq.repeat(2, 0).repeat(2, 1)).max() <= (0 if dtype is np.uint8 else 1)


def test_all_16_bits_go_through() -> None:
    lq = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    rgb = np.repeat(lq[..., None], 3, axis=2)
    np.testing.assert_array_equal(upsampler_of(Nearest(scale=1))(rgb, Tiling(tile=64, overlap=0)), rgb)


def test_values_beyond_white_and_black_are_clamped() -> None:
    lq = noise(8, 8, 3)
    brighter = upsampler_of(Does(lambda x: x * 1.5 - 0.25, scale=1))(lq, WHOLE)
    np.testing.assert_allclose(brighter, np.clip(lq * 1.5 - 63.75, 0, 255), atol=0.5 + 1e-4)
    assert {0, 255} < set(brighter.flat)


@pytest.mark.parametrize("spoil", [float("nan"), float("inf"), -float("inf")])
def test_a_tile_that_is_no_numbers_fails_the_picture_and_names_its_place(spoil: float) -> None:
    calls = itertools.count()

    def spoil_the_third(lq: Tensor) -> Tensor:
        lq = lq.clone()
        if next(calls) == 2:  # the first was the probe that measures the network
            lq[0, 1, 2, 2] = spoil
        return lq

    with pytest.raises(SpoiledTile, match="no numbers for the rows from y=8, x=0"):
        upsampler_of(Does(spoil_the_third))(noise(40, 8, 3), Tiling(tile=8, overlap=0))


def test_an_error_inside_a_tile_is_not_swallowed() -> None:
    calls = itertools.count()

    def break_the_second(lq: Tensor) -> Tensor:
        if next(calls) == 2:
            raise RuntimeError("convolution went wrong")
        return lq

    with pytest.raises(RuntimeError, match="went wrong"):
        upsampler_of(Does(break_the_second))(noise(8, 40, 3), Tiling(tile=8, overlap=0))


def no_memory_on_a_gpu(_lq: Tensor) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def no_memory_on_the_cpu(lq: Tensor) -> Tensor:
    return lq if lq.shape[-1] == 8 else torch.empty(10**15)  # the real allocator's refusal


@pytest.mark.parametrize("exhaust", [no_memory_on_a_gpu, no_memory_on_the_cpu])
def test_running_out_of_memory_has_a_name(exhaust: object) -> None:
    upsampler = None
    with pytest.raises(OutOfMemory, match=r"2\.00 GiB|can't allocate"):  # noqa: PT012  the probe may be first to fail
        upsampler = upsampler_of(Does(exhaust))  # type: ignore[arg-type]
        upsampler(noise(9, 9, 3), WHOLE)


def test_progress_rises_to_one_within_a_single_tile_too() -> None:
    upsampler, fractions = upsampler_of(Conv3x3(convolutions=5)), list[float]()
    lq = noise(16, 16, 3)
    upsampler(lq, WHOLE, Watch(total=256, on_progress=fractions.append))
    assert fractions == sorted(set(fractions))
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    np.testing.assert_allclose(fractions, [0, 0.2, 0.4, 0.6, 0.8, 1])


@pytest.mark.parametrize("asked", [0, 1, 7, 13])
def test_a_stop_comes_between_two_convolutions_and_leaves_the_network_as_it_was(asked: int) -> None:
    network = Conv3x3(convolutions=5)
    upsampler, lq, questions = upsampler_of(network), noise(16, 48, 3), itertools.count()
    tiling = Tiling(tile=16, overlap=0)
    undisturbed = upsampler(lq, tiling)
    with pytest.raises(RestorationStopped):
        upsampler(lq, tiling, Watch(total=1, should_stop=lambda: next(questions) == asked))
    assert next(questions) == asked + 1  # not asked again once it was answered
    assert not any(module._forward_pre_hooks for module in network.modules())
    np.testing.assert_array_equal(upsampler(lq, tiling), undisturbed)


def test_the_input_is_left_untouched() -> None:
    lq = noise(20, 20, 3)
    before = lq.copy()
    upsampler_of(Conv3x3())(lq, Tiling(tile=8, overlap=2, border=3))
    np.testing.assert_array_equal(lq, before)


def test_the_same_picture_gives_the_same_result() -> None:
    upsampler, lq = upsampler_of(Conv3x3(convolutions=3)), noise(40, 50, 3)
    tiling = Tiling(tile=16, overlap=4, border=10)
    np.testing.assert_array_equal(upsampler(lq, tiling), upsampler(lq, tiling))


@pytest.mark.parametrize(
    ("row", "border", "expected"),
    [
        ([1, 2, 3], 2, [3, 2, 1, 2, 3, 2, 1]),
        ([1, 2], 3, [2, 1, 2, 1, 2, 1, 2, 1]),
        ([7], 2, [7, 7, 7, 7, 7]),
    ],
)
def test_reflection_repeats_where_the_picture_is_smaller_than_the_border(
    row: list[int], border: int, expected: list[int]
) -> None:
    picture = np.array([row] * 9, np.uint8)
    np.testing.assert_array_equal(reflect(picture, border)[border + 4], expected)


def test_reflection_fills_up_to_even_sides_at_the_bottom_and_right() -> None:
    picture = noise(5, 7, 3)
    even = reflect(picture, 0, align=2)
    assert even.shape == (6, 8, 3)
    np.testing.assert_array_equal(even[:5, :7], picture)
    np.testing.assert_array_equal(even[5, :7], picture[3])


def test_windows_are_counted_as_the_network_sees_them() -> None:
    seen: list[int] = []

    def count(lq: Tensor) -> Tensor:
        seen.append(lq.shape[0] * lq.shape[-1] * lq.shape[-2])
        return lq

    upsampler, tiling = upsampler_of(Does(count)), Tiling(tile=16, overlap=4, border=10, batch=3)
    seen.clear()
    upsampler(noise(50, 70, 3), tiling)
    assert upsampler.windows_pixels(50, 70, tiling) == sum(seen)
