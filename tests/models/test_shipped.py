"""The model that comes with the repository, in use: nothing is fetched, a short name, a denoise strength."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models import OptionsError, RestoreOptions, Restorer, WeightsMissing
from models.checkpoints.state_dicts import load_network, load_state_dict
from models.cli import main
from models.encoding import read_recipe
from models.loading import load_model
from models.planning import RATINGS
from models.registry import DENOISE_PARTNERS, MODELS, SHIPPED_MODEL
from models.weights import DEFAULT_FOLDER, WeightsStore
from tests.models.toys import noise, opened, pixels_of, png

PAIR = (SHIPPED_MODEL, DENOISE_PARTNERS[SHIPPED_MODEL])
LQ = png(noise(20, 24, 3))


def restored(folder: Path, denoise: float | None = None) -> np.ndarray:
    restorer = Restorer.open("compact", weights_dir=folder, device="cpu", dtype="float32", denoise=denoise, threads=1)
    result = restorer.restore(LQ, RestoreOptions(output_format="png", colour_lock=False))
    restorer.close()
    return pixels_of(result.data).astype(int)


def test_a_restorer_needs_nothing_in_the_folder(shipped, tmp_path):
    restorer = Restorer.open(weights_dir=tmp_path / "none", device="cpu", dtype="float32", threads=1)
    result = restorer.restore(LQ)
    restorer.close()
    assert (restorer.models, result.model, result.size_out_wh) == ((SHIPPED_MODEL,), SHIPPED_MODEL, (96, 80))
    assert result.recipe["model_sha256"] == MODELS[SHIPPED_MODEL].pin.sha256
    assert not (tmp_path / "none").exists()


def test_neither_does_the_command(shipped, tmp_path, capsys):
    (tmp_path / "old.png").write_bytes(LQ)
    arguments = ["restore", str(tmp_path / "old.png"), str(tmp_path / "new.png"), "--device", "cpu", "--json"]
    for more in ([], ["--model", "compact"], ["--model", SHIPPED_MODEL]):
        assert main([*arguments, "--weights-dir", str(tmp_path / "none"), *more]) == 0
        assert json.loads(capsys.readouterr().out)["model"] == SHIPPED_MODEL
        assert opened((tmp_path / "new.png").read_bytes()).size == (96, 80)


def test_a_wish_by_the_short_name_is_understood_by_a_restorer_of_several(shipped, tmp_path):
    restorer = Restorer.open(weights_dir=tmp_path, device="cpu", threads=1)
    assert restorer.restore(LQ, RestoreOptions(model="compact")).model == SHIPPED_MODEL
    with pytest.raises(OptionsError, match="no model 'compac'"):
        restorer.restore(LQ, RestoreOptions(model="compac"))
    restorer.close()


@pytest.mark.usefixtures("nothing_shipped")
def test_without_its_file_it_is_not_offered(tmp_path):
    with pytest.raises(WeightsMissing, match="python -m models weights fetch"):
        Restorer.open(weights_dir=tmp_path)
    with pytest.raises(WeightsMissing, match="git checkout"):
        Restorer.open("compact", weights_dir=tmp_path)


def test_it_is_the_everyday_model_and_its_partner_is_none_of_its_own(shipped):
    assert [name for name, rating in RATINGS.items() if rating.everyday] == [SHIPPED_MODEL]
    assert "restora-compact-detail" not in RATINGS


SIDE = 48
MIDDLE = SIDE // 2


def on_black(*dots: tuple[int, int], brightness: int = 255) -> np.ndarray:
    """Single bright pixels, by their distance from the middle."""
    picture = np.zeros((SIDE, SIDE), np.uint8)
    for y, x in dots:
        picture[MIDDLE + y, MIDDLE + x] = brightness
    return picture


STARS = {
    "one": on_black((0, 0)),
    "a dim one": on_black((0, 0), brightness=150),
    "two that touch": on_black((0, 0), (1, 1)),
    "two that are close": on_black((0, 0), (0, 2)),
    "a column": on_black(*((y, 0) for y in range(-MIDDLE, MIDDLE))),
    "some of them": on_black(*((y, x) for y in range(-20, 20, 10) for x in range(-20, 20, 7))),
    "one in the noise of a camera": np.maximum(noise(SIDE, SIDE) // 24, on_black((0, 0))),
}


@pytest.mark.parametrize("denoise", [1, 0.5, 0])
def test_stars_at_night_stay_what_they_are(tmp_path, denoise):
    restorer = Restorer.open("compact", weights_dir=tmp_path, device="cpu", dtype="float32", denoise=denoise, threads=1)
    options = RestoreOptions(output_format="png", colour_lock=False)
    for name, stars in STARS.items():
        enlarged = pixels_of(restorer.restore(png(stars), options).data).astype(int)
        expected = cv2.resize(stars.astype(np.float32), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC).clip(0, 255)
        near = cv2.dilate((expected > 20).astype(np.uint8), np.ones((9, 9)))  # two pixels of the input around each
        gray = enlarged if enlarged.ndim == 2 else enlarged.max(axis=2)
        assert (gray - expected)[near == 0].max() < 16, name
        assert gray.max() > stars.max() / 2, name
    restorer.close()


def test_the_ends_of_denoise_are_the_two_networks_and_the_middle_lies_between(shipped, tmp_path):
    clean, grainy, middle = (restored(tmp_path, denoise) for denoise in (1, 0, 0.5))
    assert np.array_equal(clean, restored(tmp_path))
    apart = np.abs(clean - grainy).mean()
    assert apart > 1, "the two are alike, so the test says nothing"
    assert 0 < np.abs(middle - clean).mean() < apart
    assert 0 < np.abs(middle - grainy).mean() < apart

    own = restored_by_its_own_name("restora-compact-detail", tmp_path)
    assert np.array_equal(grainy, own)


def restored_by_its_own_name(name: str, folder: Path) -> np.ndarray:
    restorer = Restorer.open(name, weights_dir=folder, device="cpu", dtype="float32", threads=1)
    result = restorer.restore(LQ, RestoreOptions(output_format="png", colour_lock=False))
    restorer.close()
    return pixels_of(result.data).astype(int)


def test_the_weights_go_from_one_end_to_the_other_on_a_straight_line(shipped, tmp_path):
    clean, grainy = (
        load_network(MODELS[name], load_state_dict(shipped / MODELS[name].file)).state_dict()
        for name in (SHIPPED_MODEL, "restora-compact-detail")
    )
    for strength in (0.0, 0.25, 0.5, 1.0):
        blended = load_model("compact", tmp_path, denoise=strength).state_dict()
        for key, weight in blended.items():
            torch.testing.assert_close(weight, strength * clean[key] + (1 - strength) * grainy[key])


def test_denoise_without_the_partner_says_how_it_comes_back(shipped, tmp_path):
    (shipped / "restora-compact-detail.safetensors").unlink()
    restored(tmp_path)
    with pytest.raises(WeightsMissing, match=r"git checkout -- weights/restora-compact-detail\.safetensors"):
        restored(tmp_path, 0.5)


@pytest.mark.parametrize("model", ["compact", "auto"])
def test_the_recipe_of_a_picture_made_with_denoise_makes_it_again(shipped, tmp_path, model):
    """By name the weights are blended, with auto the noise is given back: the recipe tells the two apart."""
    old, first, second = (tmp_path / name for name in ("old.png", "first.png", "second.png"))
    old.write_bytes(LQ)
    common = ["--weights-dir", str(tmp_path / "none"), "--device", "cpu"]
    assert main(["restore", str(old), str(first), "--model", model, "--denoise", "0.3", *common]) == 0
    recipe = read_recipe(first.read_bytes())
    assert (recipe["blend"], recipe["denoise"]) == ((0.3, None) if model == "compact" else (None, 0.3))
    assert main(["restore", str(old), str(second), "--recipe", str(first), *common]) == 0
    assert first.read_bytes() == second.read_bytes()


@pytest.fixture
def real() -> Path:
    """The folder of the pair as it was trained."""
    for name in PAIR:
        if not (DEFAULT_FOLDER / MODELS[name].file).is_file():
            pytest.skip(f"needs the {MODELS[name].file} that ships with the repository")
    return DEFAULT_FOLDER


@pytest.mark.parametrize("name", PAIR)
def test_the_files_of_this_repository_are_those_of_the_registry(real, tmp_path, name):
    stored = WeightsStore(tmp_path).verify(name)
    state = load_state_dict(stored.path)
    load_network(stored.architecture, state)
    assert {tensor.dtype for tensor in state.values()} <= {torch.float16, torch.float32}
    assert stored.path.stat().st_size < 6_000_000
    assert stored.path.stat().st_mode & 0o444 == 0o444, "a worker runs as somebody else"


def test_the_higher_denoise_the_less_grain_is_left(real):
    rng = np.random.default_rng(0)
    ramp = np.linspace(60, 190, 96)[None, :, None] + np.linspace(-20, 20, 96)[:, None, None]
    grain = np.repeat(rng.normal(0, 8, (96, 96, 1)), 3, axis=2)  # silver has no colour
    grainy = png((ramp + grain).clip(0, 255).astype(np.uint8))
    left = []
    for denoise in (0, 0.25, 0.5, 0.75, 1):
        restorer = Restorer.open("compact", weights_dir=real, device="cpu", dtype="float32", denoise=denoise, threads=1)
        made = pixels_of(restorer.restore(grainy, RestoreOptions(output_format="png")).data).astype(np.float32)
        restorer.close()
        left.append(float((made - cv2.GaussianBlur(made, (0, 0), 6)).std()))
    assert left == sorted(left, reverse=True), left
    assert left[-1] < left[0] / 2, left
