"""Faces in the product: weights in the folder, the command, what it prints, and what it refuses."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from models import OptionsError, RestorationStopped, RestoreOptions, Restorer, WeightsMissing
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


def test_picking_and_leaving_out_are_two_ways_to_say_it(weights, photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("models.faces.restoring.RELATED", -2.0)  # what an untrained network makes is shown, too
    made = []
    for name, wish in (
        ("picked.png", ["--pick", "2"]),
        ("left.png", ["--leave", "1"]),
        ("none.png", ["--leave", "1,2"]),
        ("other.png", ["--pick", "1"]),
    ):
        assert restore(weights, photo, tmp_path / name, "--faces", 100, "--json", *wish) == 0
        made.append((pixels_of((tmp_path / name).read_bytes()), report(capsys)["faces"]))
    picked, left, none, other = (picture for picture, _ in made)
    assert np.array_equal(picked, left)
    assert [face["status"] for face in made[0][1]] == ["left", "restored"]
    assert [face["status"] for face in made[3][1]] == ["restored", "left"]
    for one, another in ((picked, none), (other, none), (picked, other)):
        assert not np.array_equal(one, another)
    assert [face["reason"] for face in made[2][1]] == ["unpicked", "unpicked"]
    assert restore(weights, photo, tmp_path / "off.png", "--faces", 0) == 0
    assert np.array_equal(made[2][0], pixels_of((tmp_path / "off.png").read_bytes()))


def test_a_preview_is_written_beside_the_result(weights, photo, tmp_path):
    assert restore(weights, photo, tmp_path / "a.png", "--faces", 50, "--faces-preview", tmp_path / "faces.png") == 0
    with Image.open(tmp_path / "faces.png") as preview, Image.open(photo) as original:
        assert preview.width / preview.height == pytest.approx(original.width / original.height, rel=0.01)


def test_a_mask_for_each_face_is_written_and_said_to_be_an_oval(weights, photo, tmp_path, capsys):
    masks = tmp_path / "new" / "masks"
    assert restore(weights, photo, tmp_path / "a.png", "--faces", 0, "--faces-masks", masks, "--json") == 0
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("the masks are ovals: ")
    assert "weights fetch parsing_bisenet" in line
    assert sorted(path.name for path in masks.iterdir()) == ["face-1.png", "face-2.png"]
    assert restore(weights, photo, tmp_path / "a.png", "--faces", 50, "--json") == 0
    for face in report(capsys)["faces"]:
        with Image.open(masks / f"face-{face['number']}.png") as mask, Image.open(photo) as original:
            assert (mask.mode, mask.size) == ("L", original.size)
            x, y = map(round, face["landmarks"][2])
            assert mask.getpixel((x, y)) == 255, "the nose"
            assert mask.getpixel((0, 0)) == 0


def test_masks_go_into_an_empty_folder_of_their_own(weights, photo, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "face-3.png").write_bytes(b"of another picture")
    (tmp_path / "empty").mkdir()
    for source, out, masks, complaint in (
        (photo, tmp_path / "a.png", tmp_path / "full", "is a new folder, or an empty one"),
        (photo, tmp_path / "a.png", photo, "is a new folder, or an empty one"),
        (photo, tmp_path / "new" / "face-1.png", tmp_path / "new", "is a folder of its own"),
        (photo, tmp_path / "empty", tmp_path / "empty", "is a folder of its own"),
        (photo.parent, tmp_path / "out", tmp_path / "new", "is for one picture"),
    ):
        with pytest.raises(SystemExit) as ended:
            restore(weights, source, out, "--faces-masks", masks)
        assert ended.value.code == 2
        assert f"--faces-masks {complaint}" in capsys.readouterr().err


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
        (["--pick", "9"], "there is no face number 9: the last one is number 2"),
        (["--faces", "101"], "faces must be from 0 to 100, not 101"),
        (["--faces", "-1"], "faces must be from 0 to 100, not -1"),
    ],
)
def test_a_wish_that_cannot_be_is_one_line(weights, photo, tmp_path, capsys, wish, words):
    assert restore(weights, photo, tmp_path / "a.png", *wish) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    "wish",
    [
        ["--pick", "0"],
        ["--pick", "one"],
        ["--leave", ""],
        ["--faces-preview", "a.jpg"],
        ["--pick", "9", "--faces", "0"],
        ["--leave", "1", "--faces", "0"],
    ],
)
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


def copied(weights: Path, folder: Path, *more: Path) -> Path:
    """The same weights in a folder of its own, and some more."""
    folder.mkdir(exist_ok=True)
    for file in (*weights.glob("*.safetensors"), *more):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_second_opinion_is_asked_where_it_is_there_missed_in_words_and_never_damaged_in_silence(
    weights, shared, photo, tmp_path, capsys, caplog
):
    yunet = shared / "weights" / "face_detection_yunet_2026may.onnx"
    folder = copied(weights, tmp_path / "with-it", yunet)
    engine = pick_engine("cpu", "float32")
    with caplog.at_level("INFO"):
        alone, two = (FacePipeline.open(where, engine) for where in (weights, folder))
    assert (alone.second, alone.confirmed_by) == (None, None)
    assert two.second is not None
    assert two.confirmed_by == "face_detection_yunet_2026may"
    assert set(two.sha256) - set(alone.sha256) == {"second"}
    assert "found by own-detector, confirmed by nobody," in caplog.text
    assert "found by own-detector, confirmed by face_detection_yunet_2026may," in caplog.text
    (folder / yunet.name).write_bytes(b"not that detector")
    assert restore(folder, photo, tmp_path / "a.png", "--faces", 50) == 1
    assert "face_detection_yunet_2026may" in (said := capsys.readouterr().err)
    assert "is damaged; bring it again" in said


def test_faces_that_nobody_judged_are_told_once_and_only_where_one_was_restored(
    weights, photo, tmp_path, capsys, monkeypatch
):
    pictures = tmp_path / "in"
    pictures.mkdir()
    for name in ("one.png", "two.png"):
        (pictures / name).write_bytes(photo.read_bytes())
    assert restore(weights, photo, tmp_path / "left.png", "--leave", "1,2,99") == 0
    assert capsys.readouterr().err == "--leave: there is no face number 99: the last one is number 2\n"
    monkeypatch.setattr("models.faces.restoring.RELATED", -2.0)  # what an untrained network makes is shown, too
    assert restore(weights, pictures, tmp_path / "out", "--pick", "2", "--json") == 0
    said = capsys.readouterr()
    assert said.out.count('"status": "restored"') == 2
    (line,) = said.err.splitlines()
    assert line.startswith("nobody judged whether restored faces are still the same people: ")
    assert "python -m models weights fetch face_recognition_sface_2021dec" in line


def test_info_tells_what_there_is_for_faces(weights, shared, tmp_path, capsys):
    folder = copied(weights, tmp_path / "more", shared / "weights" / "face_detection_yunet_2026may.onnx")
    (folder / "face_recognition_sface_2021dec.onnx").write_bytes(b"not the judge of likeness")
    assert main(["info", "--json", "--device", "cpu", "--weights-dir", str(folder)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {name: value for name, value in facts.items() if name.startswith("face_")} == {
        "face_restorer": ["own-restorer"],
        "face_detectors": ["face_detection_yunet_2026may", "own-detector"],
        "face_parser": [],
        "face_judge": ["face_recognition_sface_2021dec is damaged"],
    }


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
    assert faces.guard_off == "the judge fails here: RuntimeError: no such layer"
    assert "likeness judged by nobody" in caplog.text


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


def test_progress_grows_from_face_to_face(weights, photo):
    with closing(Restorer.open("small", weights_dir=weights, device="cpu", dtype="float32", threads=1)) as restorer:
        seen, begun = [0.0], list[float]()
        first_layer = restorer._faces.restorer.network.conv_body_first
        first_layer.register_forward_pre_hook(lambda *_: begun.append(seen[-1]))
        restorer.restore(photo.read_bytes(), RestoreOptions(faces=100), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert 0 < begun[0] < begun[1] < 0.95


def test_a_stop_is_heard_inside_of_the_network_for_faces(weights, photo):
    layers: list[str] = []  # of that network, as they begin
    with closing(Restorer.open("small", weights_dir=weights, device="cpu", dtype="float32", threads=1)) as restorer:
        network = restorer._faces.restorer.network
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_pre_hook(lambda *_, name=name: layers.append(name))
        restorer.restore(photo.read_bytes(), RestoreOptions(faces=100, faces_picked=(1,)))
        whole = len(layers)
        layers.clear()
        with pytest.raises(RestorationStopped):
            restorer.restore(photo.read_bytes(), RestoreOptions(faces=100), should_stop=lambda: len(layers) >= 3)
    assert whole > 30
    assert len(layers) <= 4, "the first face was not finished, and the second not begun"
