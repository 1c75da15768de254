from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from benchmarks.scores import SIGMA, WINDOW, colour_difference, colour_drift, delta_e, luma, psnr, ssim, within


def plane(value: float, side: int = 32) -> np.ndarray:
    return np.full((side, side), value)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((0, 0, 0), 16.0), ((255, 255, 255), 235.0), ((255, 0, 0), 81.48), ((0, 255, 0), 144.55), ((0, 0, 255), 40.97)],
)
def test_luma_is_that_of_studio_video(colour, expected):
    picture = np.full((2, 3, 3), colour, np.uint8)
    assert luma(picture) == pytest.approx(np.full((2, 3), expected), abs=0.01)


def test_luma_of_gray_is_that_of_equal_channels():
    gray = noise(1, 5, 7)
    assert luma(gray) == pytest.approx(luma(np.repeat(gray[..., None], 3, axis=2)))


@pytest.mark.parametrize(("off", "expected"), [(1, 48.13), (255, 0.0), (16, 24.05)])
def test_psnr_of_a_constant_difference_is_known_by_hand(off, expected):
    assert psnr(plane(0.0), plane(float(off))) == pytest.approx(expected, abs=0.01)


def test_psnr_of_equal_planes_is_infinite():
    assert psnr(plane(7.0), plane(7.0)) == math.inf


def test_the_border_is_cut_off_on_all_sides():
    framed = np.zeros((6, 8))
    framed[2:-2, 2:-2] = 1
    assert within(framed, 2).shape == (2, 4)
    assert within(framed, 2).min() == 1
    assert within(framed, 0).shape == (6, 8)


def test_ssim_of_two_flat_planes_is_only_their_brightness():
    # Without structure what is left is (2ab + C1) / (a^2 + b^2 + C1), C1 = 6.5025.
    expected = (2 * 100 * 120 + 6.5025) / (100**2 + 120**2 + 6.5025)
    assert ssim(plane(100.0), plane(120.0)) == pytest.approx(expected, rel=1e-9)


def test_ssim_of_a_plane_with_itself_is_one_and_with_its_negative_below_zero():
    ours = noise(2, 40, 40).astype(float)
    assert ssim(ours, ours) == pytest.approx(1.0)
    assert ssim(ours, 255 - ours) < 0


def test_ssim_is_what_the_papers_formula_gives_window_by_window():
    ours, theirs = (noise(seed, 14, 13).astype(float) for seed in (3, 4))
    theirs = 0.7 * ours + 0.3 * theirs
    axis = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    values = []
    for top in range(14 - WINDOW + 1):
        for left in range(13 - WINDOW + 1):
            a, b = (p[top : top + WINDOW, left : left + WINDOW] for p in (ours, theirs))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variances = (weights * (a - mean_a) ** 2).sum() + (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 6.5025) * (2 * covariance + 58.5225)
                / ((mean_a**2 + mean_b**2 + 6.5025) * (variances + 58.5225))
            )  # fmt: skip
    assert ssim(ours, theirs) == pytest.approx(np.mean(values), rel=1e-9)


def test_ssim_refuses_planes_smaller_than_a_window():
    with pytest.raises(ValueError, match="sides of 11 px at least, not 10x32"):
        ssim(np.zeros((32, 10)), np.zeros((32, 10)))


def test_colours_of_an_enlarged_copy_do_not_differ_from_those_of_the_original():
    lq = noise(5, 9, 8, 3)
    copy = np.repeat(np.repeat(lq, 4, axis=0), 4, axis=1)
    assert (colour_difference(copy, lq), colour_drift(copy, lq)) == (0, 0)
    assert delta_e(copy, lq) == pytest.approx(0, abs=1e-4)


def test_drift_is_that_of_the_worst_channel_and_does_not_see_differences_that_cancel_out():
    lq = np.full((4, 4, 3), 100, np.uint8)
    result = np.full((16, 16, 3), 100, np.uint8)
    result[..., 2] += 3
    result[:8, :, 0] += 2
    result[8:, :, 0] -= 2
    assert colour_drift(result, lq) == pytest.approx(3)
    assert colour_difference(result, lq) == pytest.approx((2 + 0 + 3) / 3)


def test_a_gray_picture_scores_alike_as_one_channel_and_as_three():
    gray, lq = noise(7, 16, 16), noise(8, 4, 4)
    as_rgb = [np.repeat(picture[..., None], 3, axis=2) for picture in (gray, lq)]
    for score in (colour_difference, colour_drift, delta_e):
        expected = score(*as_rgb)
        assert expected > 0
        assert score(gray, as_rgb[1]) == score(as_rgb[0], lq) == score(gray, lq) == expected


def test_black_and_white_are_a_hundred_apart():
    assert delta_e(np.zeros((4, 4), np.uint8), np.full((2, 2), 255, np.uint8)) == pytest.approx(100, abs=0.01)


def test_a_picture_reduced_and_enlarged_scores_less_the_more_it_lost():
    rng = np.random.default_rng(6)
    truth = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
    scores = []
    for factor in (2, 4, 8):
        small = truth.resize((96 // factor, 96 // factor), Image.Resampling.BICUBIC)
        back = np.asarray(small.resize((96, 96), Image.Resampling.BICUBIC))
        planes = luma(back), luma(np.asarray(truth))
        scores.append((psnr(*planes), ssim(*planes)))
    assert scores == sorted(scores, reverse=True)
