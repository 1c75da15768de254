"""Faces in the product: weights in the folder, the command, what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from models import OptionsError, RestoreOptions, Restorer, WeightsMissing
from models.archs import GFPGANv1Clean, SRVGGNetCompact
from models.cli import main
from models.engine.device import pick_engine
from models.faces import pipeline
from models.faces.pipeline import FacePipeline
from models.weights import WeightsStore
from tests.models.toys import pixels_of

OPTIONS = ["--model", "small", "--device", "cpu", "--dtype", "float32", "--threads", "1", "--no-colour-lock"]


@pytest.fixture(scope="module")
def weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small upsampler, the detector with real weights, and a narrow GFPGAN of random ones, all brought in by hand."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    small = SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2)
    for name, parameter in small.named_parameters():
        nn.init.zeros_(parameter) if name.startswith("body.6") else None  # the picture, every pixel four times
    restorer = GFPGANv1Clean(num_style_feat=16, num_mlp=2, num_feat=16)
    store = WeightsStore(folder)
    for name, network in (("small", small), ("own-restorer", restorer)):
        file = folder / f"{name}.pth"
        torch.save({"params_ema": network.state_dict()}, file)
        store.import_files((file,), name=name)
        file.unlink()
    store.import_files((shared / "weights" / "mobilenet0.25_Final.pth",), name="own-detector")
    return folder


@pytest.fixture(scope="module")
def photo(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph with faces, small enough to be quick; never leaves the machine."""
    source = shared / "goldens" / "faces" / "inputs" / "p3_pair.png"
    target = tmp_path_factory.mktemp("photo") / "pair.png"
    with Image.open(source) as image:
        image.thumbnail((480, 480))
        image.save(target)
    return target


def restore(weights: Path, *arguments: object) -> int:
    return main(["restore", *map(str, arguments), *OPTIONS, "--weights-dir", str(weights)])


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_restores_what_it_finds_and_says_so(weights, photo, tmp_path, capsys):
    assert restore(weights, photo, tmp_path / "a.png", "--faces", 100, "--json") == 0
    faces = report(capsys)["faces"]
    assert [face["number"] for face in faces] == [1, 2]
    assert all(len(face["landmarks"]) == 5 and face["score"] > 0.8 for face in faces)
    assert all(face["similarity"] is None for face in faces), "no weights of identity are here"
    assert restore(weights, photo, tmp_path / "a.png", "--faces", 100) == 0
    words = {f"{face['number']} {face['status']}" for face in faces}
    printed = capsys.readouterr().out
    assert all(word in printed for word in words)


def test_picking_and_leaving_out_are_two_ways_to_say_it(weights, photo, tmp_path, capsys):
    made = []
    for name, wish in (
        ("picked.png", ["--pick", "2"]),
        ("left.png", ["--leave", "1"]),
        ("none.png", ["--leave", "1,2"]),
    ):
        assert restore(weights, photo, tmp_path / name, "--faces", 100, "--json", *wish) == 0
        made.append((pixels_of((tmp_path / name).read_bytes()), report(capsys)["faces"]))
    assert np.array_equal(made[0][0], made[1][0])
    assert [face["reason"] for face in made[2][1]] == ["unpicked", "unpicked"]
    assert restore(weights, photo, tmp_path / "off.png", "--faces", 0) == 0
    assert np.array_equal(made[2][0], pixels_of((tmp_path / "off.png").read_bytes()))


def test_a_preview_is_written_beside_the_result(weights, photo, tmp_path):
    assert restore(weights, photo, tmp_path / "a.png", "--faces", 50, "--faces-preview", tmp_path / "faces.png") == 0
    with Image.open(tmp_path / "faces.png") as preview, Image.open(photo) as original:
        assert preview.width / preview.height == pytest.approx(original.width / original.height, rel=0.01)


@pytest.fixture(scope="module")
def without_restorer(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder, but nothing in it restores faces."""
    folder = tmp_path_factory.mktemp("found-only")
    for file in weights.glob("*.safetensors"):
        if file.stem != "own-restorer":
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_preview_needs_nothing_that_restores_faces_and_says_once_that_they_stay(
    weights, without_restorer, photo, tmp_path, capsys
):
    assert restore(weights, photo, tmp_path / "a.png", "--faces", 0, "--faces-preview", tmp_path / "with.png") == 0
    assert capsys.readouterr().err == ""
    preview = tmp_path / "without.png"
    assert restore(without_restorer, photo, tmp_path / "b.png", "--faces-preview", preview) == 0
    said = capsys.readouterr().err
    assert (said.count("left as they are"), said.count("weights fetch faces"), said.count("\n")) == (1, 1, 1)
    assert preview.read_bytes() == (tmp_path / "with.png").read_bytes()
    assert np.array_equal(*(pixels_of((tmp_path / name).read_bytes()) for name in ("a.png", "b.png")))


def test_a_preview_without_a_detector_is_one_line_that_says_what_brings_it(weights, photo, tmp_path, capsys):
    for name in ("small", "own-restorer"):
        (tmp_path / f"{name}.safetensors").write_bytes((weights / f"{name}.safetensors").read_bytes())
    assert restore(tmp_path, photo, tmp_path / "a.png", "--faces-preview", tmp_path / "faces.png") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: faces cannot be found: ")
    assert "python -m models weights fetch detection_mobilenet0.25_Final" in line
    assert not (tmp_path / "faces.png").exists()


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (["--pick", "9"], "there is no face number 9: 2 were found"),
        (["--faces", "101"], "faces must be from 0 to 100, not 101"),
        (["--faces", "-1"], "faces must be from 0 to 100, not -1"),
    ],
)
def test_a_wish_that_cannot_be_is_one_line(weights, photo, tmp_path, capsys, wish, words):
    assert restore(weights, photo, tmp_path / "a.png", *wish) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("wish", [["--pick", "0"], ["--pick", "one"], ["--leave", ""], ["--faces-preview", "a.jpg"]])
def test_what_is_no_number_and_no_png_is_a_usage_error(weights, photo, tmp_path, capsys, wish):
    with pytest.raises(SystemExit) as ended:
        restore(weights, photo, tmp_path / "a.png", *wish)
    assert ended.value.code == 2
    assert wish[0] in capsys.readouterr().err


def test_a_recipe_is_followed_and_refused_with_other_weights(weights, photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("models.faces.restoring.RELATED", -2.0)  # what an untrained network makes is shown, too
    assert restore(weights, photo, tmp_path / "a.png", "--faces", 60, "--pick", 1) == 0
    again = ["restore", str(photo), str(tmp_path / "b.png"), "--recipe", str(tmp_path / "a.png"), "--weights-dir"]
    assert main([*again, str(weights)]) == 0
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    others = tmp_path / "others"
    others.mkdir()
    (others / "small.safetensors").write_bytes((weights / "small.safetensors").read_bytes())
    capsys.readouterr()
    assert main([*again, str(others)]) == 1
    assert "faces" in capsys.readouterr().err


def test_without_a_restorer_or_a_detector_everything_else_works(weights, photo, tmp_path, capsys):
    for name in ("own-restorer", "own-detector"):
        folder = tmp_path / f"without-{name}"
        folder.mkdir()
        for file in weights.glob("*.safetensors"):
            if file.stem != name:
                (folder / file.name).write_bytes(file.read_bytes())
        with pytest.raises(WeightsMissing, match="python -m models weights fetch faces"):
            FacePipeline.open(folder, pick_engine("cpu", "float32"))
        assert restore(folder, photo, tmp_path / "a.png", "--json") == 0
        assert report(capsys)["faces"] == []
        assert restore(folder, photo, tmp_path / "a.png", "--faces", 50) == 1
        assert "weights fetch faces" in capsys.readouterr().err


def test_damaged_weights_switch_faces_off_and_say_so(weights, photo, tmp_path, capsys, caplog):
    for file in weights.glob("*.safetensors"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "face_recognition_sface_2021dec.onnx").write_bytes(b"not the judge of likeness")
    with caplog.at_level("WARNING"):
        assert restore(tmp_path, photo, tmp_path / "a.png", "--json") == 0
    assert report(capsys)["faces"] == []
    assert "face_recognition_sface_2021dec" in caplog.text
    assert restore(tmp_path, photo, tmp_path / "a.png", "--faces", 50) == 1
    assert "is damaged; bring it again" in capsys.readouterr().err


def test_a_judge_that_fails_on_trial_is_told_as_one_that_is_missing(weights, monkeypatch, caplog):
    def failing(_crop):
        raise RuntimeError("no such layer")

    there = pipeline.installed
    monkeypatch.setattr(
        pipeline, "installed", lambda folder, role: ["judge"] if role == "identity" else there(folder, role)
    )
    monkeypatch.setattr(pipeline, "onnx_file", lambda *_: Path("judge.onnx"))
    monkeypatch.setattr(pipeline, "digest_of", lambda name, *_, **__: name)
    monkeypatch.setattr(pipeline, "SFaceEmbedder", lambda _path: failing)
    with caplog.at_level("INFO"):
        faces = FacePipeline.open(weights, pick_engine("cpu", "float32"))
    assert faces.embedder is None
    assert set(faces.sha256) == {"detector", "restorer"}
    assert "the judge fails here: RuntimeError: no such layer" in caplog.text
    assert "without a guard of likeness: judge does not work here" in caplog.text


def test_a_restorer_of_other_faces_is_refused_in_words(weights, photo, tmp_path, capsys):
    for name in ("small", "own-detector"):
        (tmp_path / f"{name}.safetensors").write_bytes((weights / f"{name}.safetensors").read_bytes())
    file = tmp_path / "tiny.pth"
    torch.save(GFPGANv1Clean(out_size=64, num_style_feat=16, num_mlp=2, num_feat=16).state_dict(), file)
    WeightsStore(tmp_path).import_files((file,), name="tiny")
    assert restore(tmp_path, photo, tmp_path / "a.png", "--faces", 50) == 1
    assert "tiny restores faces of 64 px; here they have 512" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["IN", "OUT"])
def test_a_preview_overwrites_neither_the_picture_nor_its_result(weights, photo, tmp_path, capsys, name):
    own, out = tmp_path / "own.png", tmp_path / "out.png"
    own.write_bytes(photo.read_bytes())
    with pytest.raises(SystemExit):
        restore(weights, own, out, "--faces-preview", {"IN": own, "OUT": out}[name])
    assert f"--faces-preview is {name} itself" in capsys.readouterr().err
    assert own.read_bytes() == photo.read_bytes()


def test_networks_for_faces_are_no_upsamplers(weights, photo, tmp_path, capsys):
    arguments = [
        "restore",
        str(photo),
        str(tmp_path / "a.png"),
        "--weights-dir",
        str(weights),
        "--model",
        "own-restorer",
    ]
    assert main(arguments) == 1
    assert "restores faces" in capsys.readouterr().err
    with pytest.raises(OptionsError, match="finds faces"):
        Restorer.open("own-detector", weights_dir=weights)


def test_progress_and_a_stop_reach_into_the_network_for_faces(weights, photo):
    restorer = Restorer.open("small", weights_dir=weights, device="cpu", dtype="float32", threads=1)
    seen: list[float] = []
    restorer.restore(photo.read_bytes(), RestoreOptions(faces=100), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    restorer.close()
