"""A recipe says how, of any picture; how far its own was reduced, and whose face was which, it says of that alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from models import OptionsError, RestoreOptions, Restorer
from models.encoding import read_recipe
from models.recipe import of_another, options_of
from tests.models.cli.small_model import bring, restore
from tests.models.toys import Nearest, noise, opened, pixels_of, png, restorer_of

SMALL, OTHER = png(noise(30, 40, 3)), png(noise(200, 120, 3))


@pytest.fixture(scope="module")
def nearest() -> Restorer:
    return restorer_of(Nearest(scale=2))


def test_a_picture_keeps_its_resolution_whatever_that_of_the_recipe_had(nearest: Restorer) -> None:
    recipe = read_recipe(nearest.restore(SMALL, RestoreOptions(outscale=2, output_format="png")).data)
    assert recipe["reduced_to"] == [40, 30]
    restored = nearest.restore(OTHER, options_of(recipe))
    np.testing.assert_array_equal(pixels_of(restored.data), noise(200, 120, 3).repeat(2, 0).repeat(2, 1))
    assert restored.notices == ("recipe_of_another",)
    assert (restored.recipe["reduced_to"], restored.recipe["source_sha256"]) == (
        [120, 200],
        hashlib.sha256(OTHER).hexdigest(),
    )


def test_a_smaller_picture_is_not_refused_for_what_that_of_the_recipe_was_reduced_to(nearest: Restorer) -> None:
    recipe = nearest.restore(OTHER, RestoreOptions(outscale=2)).recipe
    assert nearest.restore(SMALL, options_of(recipe)).size_out_wh == (80, 60)


def test_wishes_of_a_recipe_are_obeyed_for_any_picture(nearest: Restorer) -> None:
    wishes = RestoreOptions(outscale=1.5, denoise=0.4, colour_lock=False, output_format="webp", tile=32, border=3)
    recipe = nearest.restore(SMALL, wishes).recipe
    made = nearest.restore(OTHER, options_of(recipe)).recipe
    asked = ("model", "outscale", "denoise", "colour_lock", "output_format", "tile", "border")
    assert [made[name] for name in asked] == [recipe[name] for name in asked]


def test_the_very_picture_is_reduced_as_its_recipe_says(nearest: Restorer) -> None:
    recipe = {**nearest.restore(SMALL, RestoreOptions(outscale=2)).recipe, "reduced_to": [20, 15]}
    restored = nearest.restore(SMALL, options_of(recipe))
    assert (restored.recipe["reduced_to"], restored.notices) == ([20, 15], ())


def test_numbers_of_faces_are_those_of_the_picture_that_they_were_counted_in() -> None:
    theirs = RestoreOptions(faces=70, faces_picked=(3,), faces_left_out=(1,), source_sha256="a" * 64)
    assert of_another(theirs, SMALL) == RestoreOptions(faces=70)
    assert of_another(RestoreOptions(faces_picked=(3,)), SMALL) is None
    assert of_another(RestoreOptions(faces_picked=(3,), source_sha256=hashlib.sha256(SMALL).hexdigest()), SMALL) is None


@pytest.mark.parametrize("value", [5, ["a"], {}])
def test_what_is_no_digest_is_refused(nearest: Restorer, value: object) -> None:
    recipe = nearest.restore(SMALL, RestoreOptions(outscale=2)).recipe
    with pytest.raises(OptionsError, match="source_sha256 must be"):
        options_of({**recipe, "source_sha256": value})


def test_a_folder_done_by_the_recipe_of_one_picture_says_which_others_it_is_not_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(tmp_path)
    folder, made, out = tmp_path / "in", tmp_path / "made.png", tmp_path / "out"
    folder.mkdir()
    (folder / "own.png").write_bytes(SMALL)
    (folder / "other.png").write_bytes(OTHER)
    assert restore(tmp_path, folder / "own.png", made) == 0
    assert capsys.readouterr().err == ""
    assert restore(tmp_path, folder, out, "--recipe", made) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: the recipe is of another picture than {folder / 'other.png'}")
    assert (out / "own.png").read_bytes() == made.read_bytes()
    assert opened((out / "other.png").read_bytes()).size == (240, 400)
    assert read_recipe((out / "other.png").read_bytes())["reduced_to"] == [120, 200]
