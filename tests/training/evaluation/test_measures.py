from __future__ import annotations

import math

import numpy as np
import pytest

from training.evaluation.errors import EvaluationError
from training.evaluation.measures import agreement, agreement_rgb, mean_gradient, score, sharpness
from training.evaluation.pictures import Sample

from .makers import gray, smooth

WHOLE_RANGE = 219 / 255  # of luma, for one of gray


def ramp(step: int) -> np.ndarray:
    return np.repeat(np.tile(np.arange(32, dtype=np.uint8) * step, (32, 1))[..., None], 3, axis=2)


def sample(gt: np.ndarray) -> Sample:
    height, width = gt.shape[:2]
    return Sample(set="own", picture="one", kind="clean", gt=gt, lq=gray(100, height // 4, width // 4))


def test_the_gradient_of_a_plane_that_falls_3_to_the_right_and_4_down_is_5():
    rows, columns = np.mgrid[:20, :30].astype(np.float64)
    assert mean_gradient(3 * columns + 4 * rows) == pytest.approx(5)


@pytest.mark.parametrize(("step", "expected"), [(2, 0.5), (4, 1.0), (6, 1.5), (0, 0.0)])
def test_sharpness_is_how_steep_the_answer_is_beside_the_original(step, expected):
    assert sharpness(ramp(step), ramp(4)) == pytest.approx(expected)


def test_beside_a_flat_original_there_is_no_sharpness():
    assert sharpness(ramp(2), gray(9)) is None


def test_agreement_of_a_constant_difference_is_known_by_hand():
    ours, theirs = gray(100), gray(116)
    assert agreement_rgb(ours, theirs) == pytest.approx(20 * math.log10(255 / 16))
    assert agreement(ours, theirs) == pytest.approx(20 * math.log10(255 / (16 * WHOLE_RANGE)))


def test_agreement_on_luma_leaves_out_the_border_and_that_on_rgb_does_not():
    ours, theirs = gray(100), gray(100)
    ours[:4] = ours[-4:] = ours[:, :4] = ours[:, -4:] = 0
    assert agreement(ours, theirs) == math.inf
    border = 1 - (24 / 32) ** 2
    assert agreement_rgb(ours, theirs) == pytest.approx(10 * math.log10(255**2 / (border * 100**2)))


def test_the_original_itself_gets_full_marks():
    gt = smooth(1)
    found = score(sample(gt), "perfect", gt, teacher=gt)
    assert (found.psnr, found.agreement, found.agreement_rgb) == (math.inf, math.inf, math.inf)
    assert (found.ssim, found.sharpness) == (pytest.approx(1), 1.0)
    assert found.colour_difference < 0.5  # the original's mean is rounded to levels
    assert found.colour_drift < 0.1


def test_a_brighter_answer_is_scored_by_its_brightness_alone():
    found = score(sample(gray(100)), "brighter", gray(105), teacher=None)
    assert found.psnr == pytest.approx(20 * math.log10(255 / (5 * WHOLE_RANGE)))
    assert found.ssim == pytest.approx(_ssim_of_flat(100, 105))
    assert (found.colour_difference, found.colour_drift) == (pytest.approx(5), pytest.approx(5))
    assert (found.sharpness, found.agreement, found.agreement_rgb) == (None, None, None)


def test_detail_that_averages_out_is_no_colour_error():
    answer = gray(100)
    answer[::2] += 20
    answer[1::2] -= 20
    found = score(sample(gray(100)), "striped", answer, teacher=None)
    assert (found.colour_difference, found.colour_drift) == (0, 0)


@pytest.mark.parametrize("shape", [(32, 28, 3), (16, 16, 3), (32, 32, 1), (32, 32)])
def test_an_answer_of_another_size_is_refused(shape):
    with pytest.raises(EvaluationError, match=r"the answer of wrong to own/one is .* and should be 32x32"):
        score(sample(gray(9)), "wrong", np.zeros(shape, np.uint8), teacher=None)


def test_a_teacher_s_answer_of_another_size_is_refused():
    with pytest.raises(EvaluationError, match="the answer of the teacher"):
        score(sample(gray(9)), "ours", gray(9), teacher=gray(9, 64, 64))


def _ssim_of_flat(a: float, b: float) -> float:
    """Only the first factor is left where nothing varies."""
    a, b = (16 + level * WHOLE_RANGE for level in (a, b))
    least = (0.01 * 255) ** 2
    return (2 * a * b + least) / (a * a + b * b + least)
