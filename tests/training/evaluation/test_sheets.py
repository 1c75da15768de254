from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.sheets import GAP, LINE, Row, sheet, spread

from .makers import gray


def test_answers_stand_side_by_side_unresized_and_the_original_last():
    answers = {"do nothing": gray(10), "ours": gray(20)}
    paper = np.asarray(
        sheet(
            [
                Row(title="one", answers=answers, original=gray(30)),
                Row(title="two", answers={name: picture[:16] for name, picture in answers.items()}),
            ]
        )
    )
    assert paper.shape == (LINE + GAP + 32 + LINE + GAP + 16 + LINE + GAP, GAP + 3 * (32 + GAP), 3)
    first, second = LINE + GAP, LINE + GAP + 32 + LINE + GAP
    for column, level in enumerate((10, 20, 30)):
        left = GAP + column * (32 + GAP)
        assert np.array_equal(paper[first : first + 32, left : left + 32], gray(level))
        here = gray(255 if level == 30 else level, 16)  # the second has no original
        assert np.array_equal(paper[second : second + 16, left : left + 32], here)


def test_every_column_and_every_row_is_labelled():
    paper = np.asarray(sheet([Row(title="one", answers={"do nothing": gray(10, 64, 64), "ours": gray(20, 64, 64)})]))
    for top in (0, LINE + GAP + 64):
        assert paper[top : top + LINE, GAP : GAP + 64].min() < 128
    assert paper[:LINE, GAP + 64 + GAP :].min() < 128


@pytest.mark.parametrize(
    ("pictures", "kinds", "most", "expected"),
    [
        (3, 2, 12, {(0, 0), (1, 1), (2, 0)}),
        (31, 4, 4, {(0, 0), (7, 1), (15, 2), (23, 3)}),
        (5, 4, 0, set()),
    ],
)
def test_a_sheet_shows_pictures_from_everywhere_and_kinds_in_turn(pictures, kinds, most, expected):
    assert spread(pictures, kinds, most) == expected
