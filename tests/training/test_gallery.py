"""One picture that shows what every degradation does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import training.degradations as package
from training.degradations import PIPELINES
from training.drawings import drawing
from training.errors import DataError
from training.gallery import GAP, LINE, MOST_BYTES, SINGLE, TILE, gallery, read_pictures, write_gallery


@pytest.fixture(scope="module")
def pictures():
    return [drawing(number, width=300, height=260) for number in range(2)]


@pytest.fixture(scope="module")
def sheet(pictures):
    return gallery(pictures)


def test_every_single_degradation_is_shown_under_its_name():
    modules = {"blur", "compression", "noise", "prints", "resizing"}
    called_with_a_picture = {
        name
        for name in package.__all__
        if getattr(package, name).__class__ is type
        and getattr(package, name).__module__.rpartition(".")[2] in modules
        and name not in {"Antialiased", "AnyFilter"}  # the pipelines' ways to the final size
    }
    assert set(SINGLE) == called_with_a_picture
    assert all(type(degradation).__name__ == name for name, degradation in SINGLE.items())


def test_the_sheet_has_a_row_of_tiles_for_every_degradation_and_pipeline(sheet):
    lines = -(-(len(SINGLE) + len(PIPELINES) + 2) // 2)
    assert sheet.size == (2 * (2 * TILE + 2 * GAP), lines * (LINE + TILE + GAP))


def test_the_first_row_is_the_middle_of_the_pictures(sheet, pictures):
    for number, whole in enumerate(pictures):
        shown = np.asarray(sheet.crop((GAP + number * TILE, LINE, GAP + (number + 1) * TILE, LINE + TILE)))
        np.testing.assert_array_equal(shown, whole[66 : 66 + TILE, 86 : 86 + TILE])


def test_no_two_rows_are_the_same_and_a_seed_gives_the_same_sheet(sheet, pictures):
    tiles = set()
    for row in range(len(SINGLE) + len(PIPELINES) + 2):
        lines = sheet.height // (LINE + TILE + GAP)
        left, top = row // lines * (2 * TILE + 2 * GAP) + GAP, row % lines * (LINE + TILE + GAP) + LINE
        tiles.add(sheet.crop((left, top, left + TILE, top + TILE)).tobytes())
    assert len(tiles) == len(SINGLE) + len(PIPELINES) + 2
    assert gallery(pictures).tobytes() == sheet.tobytes()
    assert gallery(pictures, seed=1).tobytes() != sheet.tobytes()


def test_the_file_stays_below_its_limit(tmp_path):
    noise = np.random.default_rng(0).integers(100, 132, (1800, 800, 3), dtype=np.uint8)
    target = tmp_path / "new" / "sheet.jpg"
    write_gallery(Image.fromarray(noise), target)
    assert 0.5 * MOST_BYTES < target.stat().st_size <= MOST_BYTES
    with Image.open(target) as opened:
        assert opened.size == (800, 1800)


def test_pictures_that_cannot_be_shown_are_named(tmp_path):
    Image.fromarray(drawing(0, width=200, height=300)).save(tmp_path / "narrow.png")
    (tmp_path / "story.jpg").write_text("once upon a time")
    for name, words in {
        "narrow.png": "sides must be 256 px at least, not 200x300",
        "story.jpg": "",
        "nowhere.png": "No such file",
    }.items():
        with pytest.raises(DataError, match=rf"{name} cannot be shown: .*{words}"):
            read_pictures([tmp_path / name])


def test_without_pictures_there_are_drawings():
    assert [picture.shape for picture in read_pictures([])] == [(384, 480, 3)] * 3


def test_the_picture_in_the_documentation_is_small_enough_and_tells_of_no_camera():
    from tests.conftest import REPOSITORY

    file = REPOSITORY / "docs/images/degradations.jpg"
    assert file.stat().st_size <= MOST_BYTES
    with Image.open(file) as opened:
        assert not opened.getexif()
