"""The table of models agrees with the list of confirmed files, and a wrong name is answered helpfully."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import OptionsError
from models.registry import (
    ALIASES,
    DEFAULT_MODEL,
    DENOISE_PARTNERS,
    GROUPS,
    MODELS,
    SHIPPED_MODEL,
    RepackMirror,
    UrlMirror,
    WheelMirror,
    expect_role,
    find_model,
    names_of,
)

EXPECTED = {
    "RealESRGAN_x4plus",
    "RealESRGAN_x2plus",
    "RealESRGAN_x4plus_anime_6B",
    "RealESRNet_x4plus",
    "realesr-general-x4v3",
    "realesr-general-wdn-x4v3",
    "realesr-animevideov3",
}


OURS = {"restora-compact", "restora-compact-detail"}
FACES = {
    "restorer": ("GFPGANv1.4", "GFPGANv1.3"),
    "detector": (
        "detection_mobilenet0.25_Final",
        "detection_Resnet50_Final",
        "face_detection_yunet_2026may",
        "face_detection_yunet_2023mar",
    ),
    "parser": ("parsing_bisenet",),
    "identity": ("face_recognition_sface_2021dec",),
}
FOR_FACES = {name for names in FACES.values() for name in names}
ADDRESSES = {  # short forms of the list of confirmed files
    "RE": "https://github.com/xinntao/Real-ESRGAN/releases/download/",
    "GF": "https://github.com/TencentARC/GFPGAN/releases/download/",
    "FX": "https://github.com/xinntao/facexlib/releases/download/",
    "OZ": "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
    "47534e27c9851bb1128ccc0102f1145e27f23f98/models/",
}


def test_the_table_has_the_seven_super_resolution_models_our_own_pair_and_those_for_faces():
    assert set(MODELS) == EXPECTED | OURS | FOR_FACES
    assert DEFAULT_MODEL == "RealESRGAN_x4plus"


def test_every_model_has_a_role_and_the_usual_one_comes_first():
    assert set(names_of("upsampler")) == EXPECTED | OURS
    assert {role: names_of(role) for role in FACES} == FACES
    assert not set(GROUPS) & {*MODELS, *ALIASES}


def test_what_restores_faces_comes_with_everything_that_was_measured():
    firsts = {names_of(role)[0] for role in ("restorer", "detector", "identity")}
    second_opinion = next(name for name in names_of("detector") if MODELS[name].is_onnx)
    assert set(GROUPS["faces"]) == {*firsts, second_opinion}
    assert round(sum(MODELS[name].pin.bytes for name in GROUPS["faces"]) / 1e6) == 389  # as the pages say


def test_what_is_not_free_of_conditions_says_so():
    reserved = {name for name, spec in MODELS.items() if "with reservations" in spec.licence}
    assert reserved == {name for name, spec in MODELS.items() if spec.reservations}
    assert reserved == FOR_FACES - {"face_recognition_sface_2021dec"}
    assert "non-commercial" in MODELS["GFPGANv1.4"].reservations


def test_a_model_for_something_else_is_refused_with_what_it_does():
    expect_role("GFPGANv1.4", "restorer", "restorer")
    with pytest.raises(OptionsError) as refusal:
        expect_role("GFPGANv1.4", "restorer", "upsampler")
    assert str(refusal.value).startswith("GFPGANv1.4 restores faces; needed is a model that enlarges pictures: RealESR")
    assert not any(name in str(refusal.value)[12:] for name in FOR_FACES)


def test_our_own_pair_ships_with_the_repository_and_nothing_else_does():
    assert {name for name, spec in MODELS.items() if spec.is_shipped} == OURS
    assert {SHIPPED_MODEL, DENOISE_PARTNERS[SHIPPED_MODEL]} == OURS
    for name in OURS:
        assert MODELS[name].file == f"{name}.safetensors"
        assert MODELS[name].sources == ()
        assert MODELS[name].architecture == MODELS[SHIPPED_MODEL].architecture


def test_a_short_name_stands_for_a_model_and_hides_none():
    assert find_model("compact") is MODELS["restora-compact"]
    assert set(ALIASES.values()) <= set(MODELS)
    assert not set(ALIASES) & set(MODELS)


@pytest.mark.parametrize("name", sorted(EXPECTED | FOR_FACES))
def test_pins_are_those_of_the_confirmed_list(name, shared: Path):
    spec = MODELS[name]
    text = (shared / "weights" / "OFFICIAL.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{spec.file}`")]
    assert f"| {spec.pin.bytes:,} |" in row
    assert f"| `{spec.pin.sha256}` |" in row
    assert "**confirmed" in row
    assert spec.licence.removesuffix(" with reservations") in row
    prefix, rest = re.search(r"\| ([A-Z]{2})`(.+?)`", row).groups()
    assert spec.url == ADDRESSES[prefix] + rest


@pytest.mark.parametrize("name", sorted(EXPECTED - {"RealESRNet_x4plus"}))
def test_networks_are_those_of_the_official_layouts(name, layouts):
    spec, row = MODELS[name], layouts[name]
    assert (spec.architecture.name, dict(spec.architecture.arguments)) == (row["arch"], row["arguments"])
    assert spec.url == row["url"]
    assert spec.scale == row["arguments"].get("scale", row["arguments"].get("upscale"))


@pytest.mark.parametrize("name", sorted(EXPECTED | FOR_FACES))
def test_digests_are_digests_and_addresses_are_encrypted(name):
    spec = MODELS[name]
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in spec.accepted_sha256)
    for source in spec.sources:
        assert isinstance(source, WheelMirror) or source.url.startswith("https://")
        assert not isinstance(source, RepackMirror) or source.file != spec.file
    assert spec.sources[0] == UrlMirror(url=spec.url)


def test_no_two_models_accept_the_same_file():
    digests = [digest for spec in MODELS.values() for digest in spec.accepted_sha256]
    assert len(digests) == len(set(digests))


def test_a_typing_error_gets_the_closest_name_and_the_whole_list():
    with pytest.raises(OptionsError) as refusal:
        find_model("realesrgan_x4Plus_anime6B")
    assert "Did you mean RealESRGAN_x4plus_anime_6B?" in str(refusal.value)
    assert all(name in str(refusal.value) for name in EXPECTED)


def test_only_models_of_the_role_that_is_needed_are_suggested():
    with pytest.raises(OptionsError) as refusal:
        find_model("face_detection_yunet", role="upsampler")
    suggested = str(refusal.value).partition("Known: ")[2].split(", ")
    assert "Did you mean" not in str(refusal.value)
    assert {find_model(name).role for name in suggested} == {"upsampler"}
    assert {find_model(name).name for name in suggested} == {
        name for name, spec in MODELS.items() if spec.role == "upsampler"
    }


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(OptionsError) as refusal:
        find_model("zzz")
    assert "Did you mean" not in str(refusal.value)


def test_the_callers_own_names_are_suggested_too():
    with pytest.raises(OptionsError, match="Did you mean grandmas-net"):
        find_model("grandma-net", also=["grandmas-net"])


@pytest.mark.parametrize(
    "statement",
    [
        "import models",
        "import models.registry",
        "from models import WeightsStore, WeightsRefused, find_model",
        "from models.cli import main; main(['weights', 'list'])",
        "from models.weights.store import WeightsStore; WeightsStore('nowhere').list()",
    ],
)
def test_looking_at_models_does_not_load_torch(statement):
    code = f"{statement}\nimport sys\nassert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_public_names_are_sorted_and_all_there():
    import models

    assert models.__all__ == sorted(models.__all__)
    assert all(hasattr(models, name) for name in models.__all__)
    assert set(models.__all__) <= set(dir(models))
    with pytest.raises(AttributeError, match="no attribute 'Restorator'"):
        models.Restorator  # noqa: B018
