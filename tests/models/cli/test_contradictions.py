"""Wishes that cannot be obeyed together are not dropped in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.cli import main
from tests.models.cli.small_model import MODEL, RECIPE, restore
from tests.models.toys import noise, png


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "old.png").write_bytes(png(noise(4, 4, 3)))
    (tmp_path / "recipe").write_text(json.dumps(RECIPE))
    return tmp_path / "old.png"


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (["--outscale", "4", "--faces", "50"], "leave out --outscale, --faces"),
        (["--no-colour-lock"], "leave out --no-colour-lock"),
        (["--pick", "1"], "leave out --pick"),
        (["--max-bytes", "9000", "--patience", "1"], "leave out --patience, --max-bytes"),
        (["--border", "10", "--patience", "10"], "leave out --patience, --border"),
        (["--colour-lock"], "leave out --colour-lock"),
        (["--format", "auto"], "leave out --format"),
    ],
)
def test_what_a_recipe_settles_is_not_to_be_asked_for(
    weights: Path, old: Path, capsys: pytest.CaptureFixture[str], wishes: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        restore(weights, old, old.with_name("new.png"), "--recipe", old.with_name("recipe"), *wishes)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (["--model", "compact"], "the recipe says model 'small', and --model says restora-compact"),
        (["--device", "cuda:1"], "the recipe says device 'cpu', and --device says cuda"),
        (["--dtype", "bfloat16"], "the recipe says dtype 'float32', and --dtype says bfloat16"),
        (["--threads", "2"], "the recipe says threads 1, and --threads says 2"),
    ],
)
def test_another_machine_than_a_recipe_was_made_on_is_not_to_be_asked_for(
    weights: Path, old: Path, capsys: pytest.CaptureFixture[str], wishes: list[str], words: str
) -> None:
    follow = ["restore", str(old), str(old.with_name("new.png")), "--recipe", str(old.with_name("recipe"))]
    assert main([*follow, "--weights-dir", str(weights), *wishes]) == 1
    assert words in capsys.readouterr().err
    assert not old.with_name("new.png").exists()


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (["--pick", "1", "--leave", "2,1"], "--leave names every face that --pick does, so that none is restored"),
        (["--pick", "1001"], "argument --pick: numbers of faces, from 1 to 1,000, with commas; not '1001'"),
        (["--leave", "9" * 5000], "argument --leave: numbers of faces, from 1 to 1,000, with commas; not '999"),
    ],
)
def test_faces_that_cannot_be_picked_are_wrong_usage(
    weights: Path, old: Path, capsys: pytest.CaptureFixture[str], wishes: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        restore(weights, old, old.with_name("new.png"), *wishes)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert len(line) < 250


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (["--patience", "-1"], "--patience must be a number above 0, not -1.0"),
        (["--max-bytes", "0"], "--max-bytes must be 1 or more, not 0"),
        (["--max-seconds", "0"], "--max-seconds must be a number above 0, not 0.0"),
        (["--tile", "5000"], "--tile must be from 0 to 4096 px, not 5000"),
    ],
)
def test_a_value_out_of_range_is_told_by_the_name_that_it_was_given_by(
    weights: Path, old: Path, capsys: pytest.CaptureFixture[str], wishes: list[str], words: str
) -> None:
    assert restore(weights, old, old.with_name("new.png"), *wishes) == 1
    assert capsys.readouterr().err == f"error: {words}\n"


def test_the_model_of_a_recipe_may_be_named_again(weights: Path, old: Path) -> None:
    assert RECIPE["model"] == MODEL
    assert restore(weights, old, old.with_name("new.png"), "--recipe", old.with_name("recipe")) == 0


def test_auto_beside_a_recipe_leaves_to_it_what_it_says(weights: Path, old: Path) -> None:
    wishes = ["--model", "auto", "--device", "auto", "--dtype", "auto"]
    follow = ["restore", str(old), str(old.with_name("new.png")), "--recipe", str(old.with_name("recipe"))]
    assert main([*follow, "--weights-dir", str(weights), *wishes]) == 0


def test_help_says_what_is_done_without_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["restore", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "(default: 10)" in words.partition("--border")[2]
    assert "the everyday one (default: 10)" in words
    assert "those of the input (default)" in words
