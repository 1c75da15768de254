"""Both commands in their short form, with a network small enough to run anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import engine, quality
from benchmarks.pictures import smooth_noise
from models import WeightsStore
from tests.models.toys import compact


@pytest.fixture
def weights(tmp_path: Path, nothing_shipped: None) -> Path:
    torch.save({"params": compact(features=16, convolutions=2).state_dict()}, tmp_path / "toy.pth")
    WeightsStore(tmp_path / "weights").import_files((tmp_path / "toy.pth",), name="toy")
    return tmp_path / "weights"


def test_the_short_benchmark_of_the_engine_measures_every_part(weights, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--quick", "--no-peer", "--device", "cpu", "--model", "toy", "--weights-dir", weights, "--out", out]
    assert engine.main(list(map(str, words))) == 0
    document = json.loads((out / "engine.json").read_text())
    [contest] = document["contests"]
    official, ours = contest["rows"][:2]
    assert (official["way"], ours["way"]) == ("(a) as RealESRGANer, float32", "(b) Restora, torch float32")
    assert official["times_a"] == 1
    per_pixel = official["s_per_megapixel"] / ours["s_per_megapixel"]
    assert ours["times_a"] == pytest.approx(per_pixel)
    assert official["db_to_float32"] > 30
    # 3 -> 16 -> 16 -> 16 -> 48 channels, 3x3 each, a multiplication and an addition.
    assert contest["flops_per_pixel"] == 2 * 9 * (3 * 16 + 16 * 16 * 2 + 16 * 48)
    assert set(document["exponents"]["toy"]) == {"total", "upscale"}
    [photo] = document["photo"]
    assert photo["stages"]["total"]["median"] >= photo["stages"]["upscale"]["median"]
    assert document["memory"][0]["total_bytes"] > 100e6  # torch alone is larger
    assert {path.name for path in out.glob("*.png")} == {"time.png", "memory.png", "figure.png"}
    shown = capsys.readouterr().out
    assert all(f"({letter})" in shown for letter in "abdefgh")
    assert (out / "engine.md").read_text() == shown


def test_the_short_benchmark_of_quality_holds_a_model_against_bicubic(weights, tmp_path, capsys):
    folder, out = tmp_path / "mine", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(smooth_noise(100)).save(folder / "colours.png")
    Image.fromarray(smooth_noise(64)[..., 0]).save(folder / "gray.png")
    words = ["--quick", "--device", "cpu", "--pictures", folder, "--weights-dir", weights, "--out", out]
    assert quality.main(list(map(str, words))) == 0
    document = json.loads((out / "quality.json").read_text())
    ways = ["bicubic", "Lanczos", "toy", "toy, no colour lock"]
    assert [(row["sent"], row["way"]) for row in document["means"]] == [
        (sent, way) for sent in ("PNG", "JPEG q60") for way in ways
    ]
    assert all(row["pictures"] == 2 for row in document["means"])
    by_way = {row["way"]: row for row in document["means"] if row["sent"] == "PNG"}
    assert by_way["bicubic"]["psnr"] > by_way["toy"]["psnr"]  # its weights are random
    assert by_way["toy"]["largest_drift"] < 0.5 < by_way["toy, no colour lock"]["largest_drift"]
    mean = np.mean([row["psnr"] for row in document["scores"] if (row["sent"], row["way"]) == ("PNG", "bicubic")])
    assert by_way["bicubic"]["psnr"] == pytest.approx(mean)
    assert capsys.readouterr().out == (out / "quality.md").read_text()


def test_a_folder_without_pictures_is_named_in_one_line(weights, tmp_path, capsys):
    assert quality.main(["--pictures", str(tmp_path / "nothing"), "--weights-dir", str(weights)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"no pictures in {tmp_path / 'nothing'}; name a folder of your own with --pictures"
    ]


def test_a_model_that_is_not_here_is_named_with_the_command_that_brings_it(tmp_path, capsys):
    words = ["--model", "realesr-animevideov3", "--weights-dir", str(tmp_path), "--out", str(tmp_path / "out")]
    assert engine.main(words) == 1
    assert "weights fetch realesr-animevideov3" in capsys.readouterr().err
