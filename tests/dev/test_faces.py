"""The sheet of faces before and after."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dev.drawings import scene
from dev.faces import CAPTION, CELL, STRENGTHS, main
from models.weights import WeightsStore

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model and a detector."""
    folder = tmp_path_factory.mktemp("weights")
    shutil.copy(REPOSITORY / "weights" / "restora-compact.safetensors", folder)
    WeightsStore(folder).import_files((shared / "weights" / "mobilenet0.25_Final.pth",), name="detector")
    return folder


def test_each_step_of_the_strength_comes_nearer_to_the_photograph(shared, weights, tmp_path, capsys):
    with Image.open(shared / "images" / "faces" / "gfpgan_whole_Blake_Lively.jpg") as image:
        image.thumbnail((700, 700))
        image.save(tmp_path / "photo.png")
    assert main([str(tmp_path / "photo.png"), str(tmp_path / "sheet.png"), "--weights-dir", str(weights)]) == 0
    assert "no network: the photograph itself stood in for one" in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image, np.float32)[CAPTION : CAPTION + CELL]
    cells = np.split(sheet, 3 + len(STRENGTHS), axis=1)
    middle = slice(CELL // 3, 2 * CELL // 3)
    off = [float(np.abs(cell[middle, middle] - cells[-1][middle, middle]).mean()) for cell in cells[1:-1]]
    assert off == sorted(off, reverse=True)
    assert off[-1] < 0.6 * off[0]


def test_a_photograph_without_faces_is_told(weights, tmp_path, capsys):
    scene(400, 300).save(tmp_path / "house.png")
    assert main([str(tmp_path / "house.png"), str(tmp_path / "sheet.png"), "--weights-dir", str(weights)]) == 1
    assert "0 faces found" in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()
