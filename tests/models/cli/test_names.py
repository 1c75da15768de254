"""Where results come out: under whatever name, nothing is lost that was there before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.models.cli.small_model import RECIPE, restore
from tests.models.toys import noise, png


def some_picture(path: Path, *, side: int = 4) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(noise(side, side, 3)))
    return path.read_bytes()


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_else_lies_in_the_folder_of_results_is_not_replaced(weights: Path, tmp_path: Path) -> None:
    for name in ("sub/a.png", "sub/b.jpg"):
        some_picture(tmp_path / name)
    kept = {name: some_picture(tmp_path / name, side=5) for name in ("a.png", "b.png", "sub/b.png")}
    (tmp_path / "a.png.png").mkdir()  # no file, but a name that is taken
    assert restore(weights, tmp_path / "sub", tmp_path, "--format", "png") == 0
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    assert names_in(tmp_path) == sorted(
        [*kept, "sub/a.png", "sub/b.jpg", "a.png-2.png", "b.jpg.png", "b.png.png"]
    )  # fmt: skip


def test_a_result_of_another_picture_of_that_name_is_not_replaced(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    made = []
    for side in (4, 5):
        some_picture(tmp_path / "a.png", side=side)
        assert restore(weights, tmp_path / "a.png", out, "--format", "png") == 0
        made.append((out / "a.png").read_bytes())
    assert made[0] == made[1]
    assert names_in(out) == ["a.png", "a.png.png"]


def test_a_recipe_for_another_format_than_out_replaces_not_even_in(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = some_picture(tmp_path / "a.jpg")
    (tmp_path / "recipe").write_text(json.dumps(RECIPE | {"output_format": "jpeg"}))
    assert restore(weights, tmp_path / "a.jpg", tmp_path / "a.png", "--recipe", tmp_path / "recipe", "--json") == 0
    assert json.loads(capsys.readouterr().out)["out"] == str(tmp_path / "a.png.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == original
