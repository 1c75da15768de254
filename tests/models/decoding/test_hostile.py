"""The decoder against files from the test suites of other decoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import ImageError
from models.picture import Picture, decode

MAX_PIXELS = 40_000_000
NEEDS_A_TIME_BOUND = {"jpeg_progressive_scan_bomb.jpg"}  # decoded in a child process by a later issue


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "images" / "hostile"


def rows(folder: Path) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())["files"]
    return [row for row in files if row["file"] not in NEEDS_A_TIME_BOUND]


def attempt(path: Path) -> Picture | ImageError:
    try:
        return decode(path.read_bytes(), max_pixels=MAX_PIXELS, max_bytes=100_000_000)
    except ImageError as exc:
        return exc


def test_every_file_is_a_picture_within_limits_or_an_error_of_ours(folder: Path) -> None:
    for row in rows(folder):
        result = attempt(folder / row["file"])
        if isinstance(result, Picture):
            width, height = result.size_wh
            assert 1 <= width * height <= MAX_PIXELS, row["file"]
            assert result.pixels.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}, row["file"]
            assert result.alpha is None or result.alpha.shape == result.pixels.shape[:2], row["file"]
        else:
            assert str(result), row["file"]
            assert "\n" not in str(result), row["file"]


def test_what_must_be_accepted_or_refused_is(folder: Path) -> None:
    wrong = {
        row["file"]: repr(result)
        for row in rows(folder)
        if row["firm"] and isinstance(result := attempt(folder / row["file"]), Picture) != (row["expect"] == "accept")
    }
    assert wrong == {}


def test_the_eight_orientations_are_one_landscape(folder: Path) -> None:
    upright = [attempt(folder / f"jpeg_exif_orientation_{number}.jpg") for number in range(1, 9)]
    first = upright[0]
    assert isinstance(first, Picture)
    for picture in upright:
        assert isinstance(picture, Picture)
        assert picture.size_wh == (600, 450)
        assert np.abs(picture.pixels.astype(int) - first.pixels).mean() < 8


def test_a_scan_for_print_is_no_negative_with_or_without_profile(folder: Path) -> None:
    with_profile = attempt(folder / "jpeg_cmyk_swop_profile.jpg")
    without = attempt(folder / "jpeg_cmyk_no_profile.jpg")
    assert isinstance(with_profile, Picture)
    assert isinstance(without, Picture)
    likeness = np.corrcoef(with_profile.pixels.ravel(), without.pixels.ravel())[0, 1]
    assert likeness > 0.9
