"""Pictures that nobody has to bring."""

from __future__ import annotations

import numpy as np

from training.drawings import drawing, write_drawings


def test_the_same_number_and_seed_give_the_same_picture_and_others_another():
    first = drawing(3, seed=1)
    np.testing.assert_array_equal(first, drawing(3, seed=1))
    assert (first != drawing(4, seed=1)).mean() > 0.5
    assert (first != drawing(3, seed=2)).mean() > 0.5


def test_a_drawing_has_flat_parts_and_steep_ones():
    for number in range(3):
        steps = np.abs(np.diff(drawing(number).astype(int), axis=1)).max(axis=2)
        assert (steps < 6).mean() > 0.3
        assert (steps > 60).mean() > 0.002


def test_files_that_are_written_again_are_the_same(tmp_path):
    files = write_drawings(tmp_path, 2)
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in write_drawings(tmp_path, 2)] == before
    assert [file.name for file in files] == ["drawing-000.png", "drawing-001.png"]
