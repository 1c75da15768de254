"""What is too large is refused unread, whatever command meets it."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.cli import main
from tests.models.cli.small_model import restore
from tests.models.toys import noise, png

GIGABYTE = 2**30
SOME = 2**25  # far more than the command needs beside the file


@pytest.fixture
def large(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    with (tmp_path / "in/large.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff")
    os.truncate(tmp_path / "in/large.jpg", GIGABYTE)  # a hole, which takes no room
    return tmp_path / "in/large.jpg"


@contextmanager
def never_above(peak: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < peak
    finally:
        tracemalloc.stop()


def test_one_that_is_too_large_does_not_keep_the_others_of_a_folder(
    weights: Path, tmp_path: Path, large: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large.with_name("small.png").write_bytes(png(noise(4, 4, 3)))
    with never_above(SOME):
        assert restore(weights, large.parent, tmp_path / "out", "--json") == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["in"] == str(large.with_name("small.png"))
    assert f"{large}: the file has 1,073,741,824 bytes, the limit is 200,000,000" in captured.err


@pytest.mark.parametrize("wish", ["--faces-preview", "--faces-masks"])
def test_neither_is_it_read_for_its_faces(
    weights: Path, tmp_path: Path, large: Path, capsys: pytest.CaptureFixture[str], wish: str
) -> None:
    with never_above(SOME):
        assert restore(weights, large, tmp_path / "new.png", wish, tmp_path / "faces.png") == 1
    assert capsys.readouterr().err == "error: the file has 1,073,741,824 bytes, the limit is 200,000,000\n"


def test_a_file_without_an_end_has_too_many_bytes_as_well(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore(weights, Path("/dev/zero"), tmp_path / "new.png") == 1
    assert "the limit is 200,000,000" in capsys.readouterr().err


def test_a_recipe_is_looked_for_no_further_than_it_can_be(large: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with never_above(GIGABYTE // 2):
        assert main(["recipe", str(large)]) == 1
    assert "no recipe" in capsys.readouterr().err
