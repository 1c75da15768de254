from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.colour_lock import lock_colours
from models.engine.upsampler import Tiling
from models.errors import OptionsError
from models.grain import keep_noise
from tests.models.test_colour_lock import compact_network, scene

Array = NDArray[Any]

FLAT = (slice(24, 104), slice(24, 104))  # of the card
AMOUNTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def card(*channels: int, size: tuple[int, int] = (128, 200)) -> Array:
    """Levels of 8 bits, unrounded: a flat half, and one of stripes from fine to coarse."""
    height, width = size
    across = np.arange(width)
    stripes = np.where(np.sin(across**2 / 150) > 0, 190.0, 60.0)
    row = np.where(across < height, 120.0, stripes)
    tints = np.array([1.0, 0.8, 1.2])
    card = np.broadcast_to(row, (height, width))
    return np.asarray(card[..., None] * tints if channels else card.copy())


def noisy(levels: Array, sigma: float, dtype: type = np.uint8, seed: int = 1) -> Array:
    rng = np.random.default_rng(seed)
    return rounded(levels + rng.normal(0, sigma, levels.shape), dtype)


def rounded(levels: Array, dtype: type = np.uint8) -> Array:
    top = int(np.iinfo(dtype).max)
    return np.clip(np.rint(levels * (top / 255)), 0, top).astype(dtype)


def enlarged(pixels: Array, scale: float, method: int = cv2.INTER_NEAREST) -> Array:
    """As a clean result would be."""
    height, width = pixels.shape[:2]
    return np.asarray(cv2.resize(pixels, (int(width * scale), int(height * scale)), interpolation=method))


def sigma_of(pixels: Array, shape: tuple[int, ...] = (128, 200)) -> float:
    """Standard deviation in the flat half as seen at the input's scale, in levels of 8 bits."""
    seen = pixels.astype(np.float32) * np.float32(255 / np.iinfo(pixels.dtype).max)
    seen = np.asarray(cv2.resize(seen, (shape[1], shape[0]), interpolation=cv2.INTER_AREA))
    return float(seen[FLAT].std(axis=(0, 1)).mean())


@pytest.mark.parametrize(
    ("scale", "sigma", "channels", "dtype"),
    [
        (4, 2.0, (3,), np.uint8),
        (4, 15.0, (), np.uint8),
        (3.37, 6.0, (3,), np.uint16),
        (2, 6.0, (3,), np.uint8),
        (1.5, 15.0, (3,), np.uint8),
        (1, 2.0, (), np.uint16),
        (1, 15.0, (3,), np.uint8),
    ],
)
def test_noise_rises_with_the_amount_up_to_that_of_the_input(
    scale: float, sigma: float, channels: tuple[int, ...], dtype: type
) -> None:
    lq, clean = noisy(card(*channels), sigma, dtype), enlarged(rounded(card(*channels), dtype), scale)
    seen = []
    for amount in AMOUNTS:
        sr = clean.copy()
        keep_noise(sr, lq, amount)
        seen.append(sigma_of(sr))
    assert seen[0] < 1e-3
    assert (np.diff(seen) > 0.05 * sigma).all()
    assert seen[-1] == pytest.approx(sigma_of(lq), rel=0.15)


@pytest.mark.parametrize(("left", "own"), [(0.2, 0.0), (0.5, 0.3), (0.8, 0.0)])
def test_what_the_network_has_left_of_the_noise_is_not_given_back_twice(left: float, own: float) -> None:
    """``left``: share of the input's noise that stayed; ``own``: noise of the network's own making."""
    lq = noisy(card(3), 8)
    invented = np.random.default_rng(5).normal(0, own * 8, lq.shape)
    result = enlarged(rounded(card(3) + left * (lq - card(3)) + invented), 4)
    seen = []
    for amount in AMOUNTS:
        sr = result.copy()
        keep_noise(sr, lq, amount)
        seen.append(sigma_of(sr))
    assert (np.diff(seen) > 0).all()
    assert seen[-1] == pytest.approx(sigma_of(lq), rel=0.25)


@pytest.mark.parametrize("sigma", [4.0, 10.0])
@pytest.mark.parametrize("name", ["kodak/kodim09.png", "kodak/kodim03.png", "set14/monarch.png"])
def test_a_real_result_becomes_as_noisy_as_its_input(shared: Path, name: str, sigma: float) -> None:
    with Image.open(shared / "images" / "eval" / name) as image:
        gt = np.asarray(image)
    still = cv2.resize(gt, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    lq = noisy(still.astype(float), sigma)
    result = compact_network(shared)(lq, Tiling(tile=0, overlap=0, border=10))
    lock_colours(result, lq)
    flat = flattest(still)
    seen = []
    for amount in AMOUNTS:
        sr = result.copy()
        keep_noise(sr, lq, amount)
        small = cv2.resize(sr.astype(np.float32), lq.shape[1::-1], interpolation=cv2.INTER_AREA)
        seen.append(float(fine(small)[flat].std()))
    assert (np.diff(seen) > 0).all()
    assert seen[-1] == pytest.approx(float(fine(lq)[flat].std()), rel=0.25)


def flattest(pixels: Array) -> Array:
    """(H, W) bool: the tenth of a picture with the least in it around each pixel."""
    detail = np.square(fine(cv2.GaussianBlur(pixels, (0, 0), 1))).sum(axis=2)
    around = cv2.dilate(detail, np.ones((9, 9), np.uint8))
    return np.asarray(around <= np.percentile(around, 10))


def fine(pixels: Array) -> Array:
    """Without what changes slowly."""
    levels = pixels.astype(np.float32)
    return np.asarray(levels - cv2.GaussianBlur(levels, (0, 0), 2))


def test_noise_is_as_strong_as_in_the_input_at_each_brightness() -> None:
    levels = np.repeat(np.array([60.0, 120.0, 180.0]), 80)[None].repeat(160, axis=0)
    strength = np.repeat(np.array([3.0, 6.0, 12.0]), 80)[None]
    lq = noisy(levels + np.random.default_rng(2).normal(0, 1, levels.shape) * strength, 0)
    sr = enlarged(rounded(levels), 4)
    keep_noise(sr, lq, 1.0)
    seen = np.asarray(cv2.resize(sr.astype(np.float32), (240, 160), interpolation=cv2.INTER_AREA))
    for part, sigma in ((slice(15, 65), 3), (slice(95, 145), 6), (slice(175, 225), 12)):
        assert seen[:, part].std() == pytest.approx(sigma, rel=0.25)


def test_edges_stay_as_sharp_as_the_network_made_them() -> None:
    lq = noisy(np.asarray(cv2.GaussianBlur(card(3), (0, 0), 1.2)), 5)
    sharp = enlarged(rounded(card(3)), 4)
    sr = sharp.copy()
    keep_noise(sr, lq, 1.0)
    steps = np.abs(np.diff(sharp.astype(int), axis=1)) > 40
    before, after = (np.abs(np.diff(pixels.astype(int), axis=1))[steps].mean() for pixels in (sharp, sr))
    assert after == pytest.approx(before, rel=0.02)
    # Beside the edges, where the input is blurred and the result is not, the difference is not taken for noise.
    beside = cv2.dilate(steps.astype(np.uint8), np.ones((1, 13), np.uint8))[..., :3] > 0
    change = np.abs(sr[:, 1:].astype(int) - sharp[:, 1:])
    assert np.percentile(change[beside], 99) <= 3 * 5


@pytest.mark.parametrize(("amount", "scale"), [(0.2, 1), (1.0, 2.5), (0.6, 4), (1.0, 4)])
def test_a_clean_input_leaves_the_result_alone(amount: float, scale: float) -> None:
    ramp = np.linspace(20, 230, 200)[None].repeat(128, axis=0)
    for levels in (card(3), card(), ramp):
        sr = enlarged(rounded(levels), scale, cv2.INTER_CUBIC)
        before = sr.copy()
        keep_noise(sr, rounded(levels), amount)
        np.testing.assert_array_equal(sr, before)


def test_none_changes_nothing_however_noisy_the_input() -> None:
    sr = enlarged(rounded(card(3)), 2)
    before = sr.copy()
    keep_noise(sr, noisy(card(3), 20), 0.0)
    np.testing.assert_array_equal(sr, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_stays_gray(dtype: type) -> None:
    gray = noisy(card(), 9, dtype)
    sr = np.repeat(enlarged(rounded(card(), dtype), 3.37)[..., None], 3, axis=2)
    alone = np.ascontiguousarray(sr[..., 0])
    keep_noise(sr, np.repeat(gray[..., None], 3, axis=2), 0.7)
    keep_noise(alone, gray, 0.7)
    for channel in range(3):
        np.testing.assert_array_equal(sr[..., channel], alone)


def test_colours_stay_even_where_noise_meets_black_and_white() -> None:
    levels = np.repeat(np.array([1.0, 90.0, 254.0]), 60)[None, :, None].repeat(128, axis=0).repeat(3, axis=2)
    lq = noisy(levels, 12)
    blocks = lq.reshape(128, 3, 60, 3).mean(axis=(0, 2))
    sr = np.repeat(np.repeat(rounded(blocks), 240, axis=0)[None], 512, axis=0)
    before = sr.mean(axis=(0, 1))
    keep_noise(sr, lq, 1.0)
    assert np.abs(sr.mean(axis=(0, 1)) - before).max() < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_colours_of_a_picture_stay(seed: int) -> None:
    levels = scene(150, 170, 3, seed=seed).astype(float)
    sr = enlarged(rounded(levels), 4, cv2.INTER_CUBIC)
    before = sr.mean(axis=(0, 1))
    keep_noise(sr, noisy(levels, 10), 1.0)
    assert np.abs(sr.mean(axis=(0, 1)) - before).max() < 0.1


def test_the_same_arrays_give_the_same_bytes() -> None:
    lq, once = noisy(card(3), 9), enlarged(rounded(card(3)), 3.37)
    again = once.copy()
    keep_noise(once, lq, 0.6)
    keep_noise(again, lq.copy(), 0.6)
    np.testing.assert_array_equal(once, again)


def test_strips_leave_no_seam() -> None:
    """Noise that is the same in every row of blocks comes out so, wherever strips begin."""
    period = noisy(np.full((32, 128, 3), 120.0), 8)
    lq = np.tile(period, (8, 1, 1))
    sr = np.full((1024, 512, 3), 120, np.uint8)
    keep_noise(sr, lq, 1.0)
    inner = sr[256:768].astype(int)
    assert np.abs(inner[:128] - inner[128:256]).max() <= 1
    assert np.abs(inner[:128] - inner[384:]).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (16, 15), (16, 16), (17, 71)])
@pytest.mark.parametrize("scale", [0.3, 1, 2, 4])
def test_the_smallest_pictures_pass(height: int, width: int, scale: float) -> None:
    lq = noisy(np.full((height, width, 3), 128.0), 10)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    sr = np.full((size[1], size[0], 3), 128, np.uint8)
    keep_noise(sr, lq, 1.0)
    assert sr.shape == (size[1], size[0], 3)
    if min(*size, height, width) < 16:
        assert (sr == 128).all()
    else:
        assert sr.std() > 3


def test_a_smaller_result_gets_the_noise_that_is_left_at_its_size() -> None:
    lq = noisy(np.full((240, 320, 3), 128.0), 12)
    sr = np.full((120, 160, 3), 128, np.uint8)
    keep_noise(sr, lq, 1.0)
    assert sr.std() == pytest.approx(12 / 2, rel=0.25)


@pytest.mark.parametrize("amount", [-0.1, 1.01, float("nan")])
def test_an_amount_outside_is_refused_with_the_number(amount: float) -> None:
    sr = np.zeros((32, 32), np.uint8)
    with pytest.raises(OptionsError, match=str(amount)):
        keep_noise(sr, sr, amount)
