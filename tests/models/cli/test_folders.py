"""Nothing in a folder is passed over in silence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.cli.small_model import restore
from tests.models.toys import noise, png

LONG = "x" * 200


@pytest.fixture
def too_deep(tmp_path: Path) -> Iterator[Path]:
    """A folder with a sub-folder that not even root can list: its path is longer than paths can be."""
    top = tmp_path / "deep"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(4096 // len(LONG) + 1):
        os.mkdir(LONG, dir_fd=here)
        above, here = here, os.open(LONG, os.O_RDONLY, dir_fd=here)
        os.close(above)
    os.close(here)
    yield top
    shutil.rmtree(top)


def test_a_sub_folder_that_cannot_be_read_is_named_and_the_others_are_restored(
    weights: Path, tmp_path: Path, too_deep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (too_deep / "a.png").write_bytes(png(noise(4, 4, 3)))
    assert restore(weights, too_deep, tmp_path / "out", "--format", "png") == 1
    assert (tmp_path / "out/a.png").exists()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: 1 of the folders could not be read: {too_deep / LONG}")
    assert last.endswith("File name too long")


def test_links_that_lead_nowhere_and_empty_pictures_of_any_kind_are_failures(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "broken.png").symlink_to("nowhere")
    (source / "circle.jpg").symlink_to("circle.jpg")
    (source / "notes").symlink_to("nowhere")
    for name in ("a.heic", "a.HEIF", "a.avif"):
        (source / name).touch()
    assert restore(weights, source, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "broken.png: No such file" in said
    assert "circle.jpg: Too many levels" in said
    assert "notes" not in said
    assert "error: 5 of 5 files failed" in said


def test_an_empty_folder_is_said_to_be_empty(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert restore(weights, tmp_path, tmp_path / "out") == 0
    assert capsys.readouterr().err == f"there are no files in {tmp_path}\n"
