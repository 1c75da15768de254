"""Where results come out: under whatever name, nothing is lost that was there before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.cli.restore import recipe_in
from tests.models.cli.small_model import restore
from tests.models.toys import noise, png


def some_picture(path: Path, *, side: int = 4) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(noise(side, side, 3)))
    return path.read_bytes()


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_picture_beside_the_original_is_not_replaced_by_the_result(weights: Path, tmp_path: Path) -> None:
    some_picture(tmp_path / "b.jpg")
    unrelated = some_picture(tmp_path / "b.png", side=5)
    assert restore(weights, tmp_path / "b.jpg", tmp_path, "--format", "png") == 0
    assert (tmp_path / "b.png").read_bytes() == unrelated
    assert names_in(tmp_path) == ["b.jpg", "b.jpg.png", "b.png"]


def test_originals_in_the_folder_of_results_are_not_replaced(weights: Path, tmp_path: Path) -> None:
    some_picture(tmp_path / "sub/a.png")
    kept = some_picture(tmp_path / "a.png", side=5)
    (tmp_path / "a.png.png").mkdir()  # no file, but a name that is taken
    assert restore(weights, tmp_path / "sub", tmp_path, "--format", "png") == 0
    assert (tmp_path / "a.png").read_bytes() == kept
    assert names_in(tmp_path) == ["a.png", "a.png-2.png", "sub/a.png"]


def test_only_the_result_of_the_very_picture_is_replaced(weights: Path, tmp_path: Path) -> None:
    some_picture(tmp_path / "one/a.png")
    some_picture(tmp_path / "two/a.png", side=5)
    out = tmp_path / "out"
    for outscale in ("1", "2"):
        assert restore(weights, tmp_path / "one", out, "--format", "png", "--outscale", outscale) == 0
    assert names_in(out) == ["a.png"]
    assert recipe_in(out / "a.png")["outscale"] == 2
    assert restore(weights, tmp_path / "two", out, "--format", "png") == 0
    assert names_in(out) == ["a.png", "a.png.png"]


def test_a_recipe_for_another_format_than_out_replaces_neither_in_nor_anything_else(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = some_picture(tmp_path / "a.jpg")
    unrelated = some_picture(tmp_path / "c.jpg", side=5)
    assert restore(weights, tmp_path / "a.jpg", tmp_path / "first.jpg") == 0
    capsys.readouterr()
    for out, made in (("a.png", "a.png.jpg"), ("c.png", "c.png.jpg"), ("new.png", "new.jpg")):
        assert restore(weights, tmp_path / "a.jpg", tmp_path / out, "--recipe", tmp_path / "first.jpg", "--json") == 0
        assert json.loads(capsys.readouterr().out)["out"] == str(tmp_path / made)
    assert (tmp_path / "a.jpg").read_bytes() == original
    assert (tmp_path / "c.jpg").read_bytes() == unrelated
