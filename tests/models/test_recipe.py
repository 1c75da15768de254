"""The same picture and recipe give the same bytes; a recipe that is none is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from models import OptionsError, RestoreOptions
from models.archs import SRVGGNetCompact
from models.cli import main
from models.encoding import read_recipe
from models.recipe import options_of
from models.weights import WeightsStore
from tests.conftest import REPOSITORY
from tests.models.toys import compact, noise, png, restorer_of, saved

RECORDS = {"made", "seconds"}  # of Restored.recipe, not of the file


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small networks of one kind, with other weights."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(("small", "other")):
        torch.manual_seed(seed)
        checkpoint = folder / f"{name}.pth"
        torch.save({"params": SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2).state_dict()}, checkpoint)
        WeightsStore(folder).import_files((checkpoint,), name=name)
        checkpoint.unlink()
    return folder


def picture_files() -> dict[str, bytes]:
    photo = noise(45, 61, 3) // 4 + 90
    return {
        "photo.png": png(photo),
        "photo.jpg": saved(Image.fromarray(photo), "JPEG", quality=80),
        "gray.png": png(noise(45, 61)),
        "clear.png": png(noise(45, 61, 4)),
    }


OPTIONS = {
    "nothing said": RestoreOptions(),
    "everything said": RestoreOptions(
        outscale=1.3, denoise=0.4, colour_lock=False, output_format="webp", tile=32, overlap=5, border=3
    ),
    "a small file": RestoreOptions(outscale=3, output_format="jpeg", max_output_bytes=9_000),
    "as large as it was": RestoreOptions(outscale=1, strength=0.6, output_format="png"),
    "the reference's tiles": RestoreOptions(placement="clipped", tile=32, output_format="png"),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", picture_files())
def test_following_the_recipe_of_a_result_makes_it_again_byte_for_byte(name: str, options: RestoreOptions) -> None:
    data, restorer = picture_files()[name], restorer_of(compact(2))
    first = restorer.restore(data, options)
    again = restorer.restore(data, options)
    recipe = read_recipe(first.data)
    followed = restorer.restore(data, options_of(recipe))
    restorer.close()
    assert first.data == again.data == followed.data
    assert recipe == json.loads(json.dumps({key: first.recipe[key] for key in first.recipe.keys() - RECORDS}))


def test_another_wish_gives_other_bytes_so_the_law_above_can_fail() -> None:
    restorer, data = restorer_of(compact(2)), picture_files()["photo.png"]
    files = {restorer.restore(data, options).data for options in OPTIONS.values()}
    assert len(files) == len(OPTIONS)


def restore(weights: Path, *arguments: str | Path) -> int:
    return main(["restore", *map(str, arguments), "--weights-dir", str(weights), "--device", "cpu"])


def test_two_processes_make_the_same_bytes_and_a_third_that_follows_the_recipe(weights: Path, tmp_path: Path) -> None:
    lq = tmp_path / "old.png"
    lq.write_bytes(picture_files()["photo.png"])
    made = [tmp_path / f"{number}.jpg" for number in range(3)]
    command = [sys.executable, "-m", "models", "restore", str(lq)]
    for out, how in zip(made, (["--model", "small"], ["--model", "small"], ["--recipe", str(made[0])]), strict=True):
        subprocess.run([*command, str(out), *how, "--weights-dir", str(weights)], cwd=REPOSITORY, check=True)
    first, second, followed = (path.read_bytes() for path in made)
    assert first == second == followed


def test_what_json_reports_can_be_followed_as_well(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lq, first, second = tmp_path / "old.png", tmp_path / "first.webp", tmp_path / "second.webp"
    lq.write_bytes(picture_files()["clear.png"])
    assert restore(weights, lq, first, "--model", "small", "--outscale", "1.4", "--json") == 0
    (tmp_path / "report.json").write_text(capsys.readouterr().out)
    assert restore(weights, lq, second, "--recipe", tmp_path / "report.json") == 0
    assert first.read_bytes() == second.read_bytes()


def test_a_recipe_for_other_weights_of_that_name_is_refused(
    weights: Path, a_recipe: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lq, out = tmp_path / "old.png", tmp_path / "new.png"
    lq.write_bytes(picture_files()["photo.png"])
    recipe = a_recipe | {"model": "small", "model_sha256": WeightsStore(weights).verify("other").source_sha256}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert restore(weights, lq, out, "--recipe", tmp_path / "recipe.json") == 1
    assert "other weights of small" in capsys.readouterr().err
    assert not out.exists()


@pytest.fixture(scope="module")
def a_recipe() -> dict[str, Any]:
    restorer = restorer_of(compact(2))
    try:
        return dict(restorer.restore(picture_files()["photo.png"], RestoreOptions(outscale=2)).recipe)
    finally:
        restorer.close()


def test_a_recipe_holds_all_that_matters_and_nothing_of_the_moment(a_recipe: dict[str, Any]) -> None:
    said = {"model", "model_sha256", "source_sha256", "seed", "outscale", "dtype", "device", "version"}
    assert said < a_recipe.keys()
    assert (a_recipe["model"], a_recipe["outscale"], a_recipe["reduced_to"]) == ("toy", 2, [61, 45])


@pytest.mark.parametrize("recipe", [{}, {"model": "x"}, {"outscale": 2}])
def test_what_is_no_recipe_is_called_none(recipe: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match=r"no recipe of ours: it has no .*border"):
        options_of(recipe)


GARBAGE: list[tuple[str, Any]] = [
    ("reduced_to", None), ("reduced_to", 5), ("reduced_to", "ab"), ("reduced_to", [1]), ("reduced_to", [0, 0]),
    ("reduced_to", [-4, 5]), ("reduced_to", [10**9, 10**9]), ("reduced_to", [float("inf"), 1]),
    ("reduced_to", [float("nan"), 1]), ("reduced_to", [{}, []]), ("reduced_to", [400, 400]),
    ("outscale", "two"), ("outscale", -1), ("outscale", float("nan")), ("outscale", [2]), ("outscale", {}),
    ("denoise", 3), ("denoise", "much"), ("strength", -1), ("strength", "x"), ("strength", {}),
    ("output_format", "tiff"), ("output_format", 7), ("output_format", ["png"]), ("output_format", None),
    ("max_output_bytes", 0), ("max_output_bytes", "9"), ("tile", -1), ("tile", 10**9), ("tile", "x"), ("tile", 3.5),
    ("overlap", 10**6), ("overlap", 2.5), ("border", None), ("border", "x"), ("border", 1.5),
    ("placement", "everywhere"), ("placement", {}), ("colour_lock", "perhaps"),
    ("outscale", 10**400), ("model", ["toy"]), ("model", 5), ("model", {"toy": 1}), ("model", "nobody"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), GARBAGE)
def test_a_recipe_with_garbage_in_it_is_refused_before_any_work(
    a_recipe: dict[str, Any], name: str, value: Any
) -> None:
    restorer, progress = restorer_of(compact(2)), list[float]()
    recipe = a_recipe | {name: value}
    with pytest.raises(OptionsError) as refused:
        restorer.restore(picture_files()["photo.png"], options_of(recipe), on_progress=progress.append)
    restorer.close()
    assert "\n" not in str(refused.value)
    assert progress == []


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "5", "null", '"recipe"', "{}", "nonsense", '{"recipe": 5}', '{"recipe": [1]}', '{"recipe": "model"}',
        '{"recipe": null}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_file_that_holds_no_recipe_is_one_line_of_complaint(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    complains(weights, tmp_path, capsys, text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *GARBAGE,
        ("model", None), ("blend", "much"), ("blend", 0.5), ("blend", True), ("blend", 2),
        ("model_sha256", ["a"]), ("model_sha256", {}), ("model_sha256", 5),
        ("threads", "many"), ("threads", -1), ("threads", [2]), ("threads", 10**9), ("threads", 1.5e300),
        ("device", "cuda:99"), ("device", {}), ("device", 5), ("dtype", "int4"), ("dtype", []), ("model", "../small"),
        ("model", "/etc/passwd"), ("model", ""), ("model", "a\nb"),
    ],
)  # fmt: skip
def test_so_is_one_with_garbage_in_it(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: Any
) -> None:
    complains(weights, tmp_path, capsys, json.dumps(RECIPE | {name: value}))


RECIPE: dict[str, Any] = {
    "model": "small", "outscale": 2.0, "reduced_to": [61, 45], "denoise": None, "strength": 1.0, "colour_lock": True,
    "output_format": "png", "max_output_bytes": None, "tile": None, "overlap": 4, "border": 10,
    "placement": "streamed", "device": "cpu", "dtype": "float32", "threads": 1,
}  # fmt: skip


def test_a_result_that_has_no_sensible_size_is_refused_as_well(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complains(weights, tmp_path, capsys, json.dumps(RECIPE | {"outscale": 1e99}))


def complains(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    lq, out, recipe = tmp_path / "old.png", tmp_path / "new.png", tmp_path / "recipe.json"
    lq.write_bytes(picture_files()["photo.png"])
    recipe.write_text(text)
    assert restore(weights, lq, out, "--recipe", recipe) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert not out.exists()


def test_the_recipe_used_for_these_can_be_followed(weights: Path, tmp_path: Path) -> None:
    lq, recipe = tmp_path / "old.png", tmp_path / "recipe.json"
    lq.write_bytes(picture_files()["photo.png"])
    recipe.write_text(json.dumps(RECIPE))
    assert restore(weights, lq, tmp_path / "new.png", "--recipe", recipe) == 0
