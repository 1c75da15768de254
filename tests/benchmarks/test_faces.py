"""The benchmark of faces measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import faces
from models.faces.alignment import TEMPLATE, estimate_affine
from models.faces.face import Face


@pytest.mark.parametrize("change", faces.CHANGES)
def test_a_change_knows_the_way_back(change):
    image = np.zeros((180, 241, 3), np.uint8)
    marks = np.array([(60, 80), (140, 84), (104, 112), (64, 140), (132, 144)], np.float64)
    for index, (x, y) in enumerate(marks):
        cv2.circle(image, (round(x), round(y)), 12, (50 * index + 55,) * 3, -1)
    changed, back = faces.CHANGES[change](image)
    seen = []
    for index in range(5):
        found = cv2.inRange(changed[..., 0], 50 * index + 40, 50 * index + 70)
        found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))  # edges of lighter marks
        y, x = np.nonzero(found)
        seen.append((x.mean(), y.mean()))
    order = list(faces.MIRRORED) if change == "mirrored" else slice(None)
    assert np.abs(back(np.array(seen)[order]) - marks).max() < 2


def test_a_face_that_moved_is_measured_in_eye_distances():
    face = Face(box_xyxy=(0, 0, 512, 512), score=1.0, landmarks=TEMPLATE.astype(np.float32))
    steadiness = faces.Steadiness()
    faces.note(steadiness, [face, None], [TEMPLATE + np.array((400, 0)), TEMPLATE + np.array((3, 4))])
    assert steadiness.landmarks == [pytest.approx(5 / face.eye_distance, abs=1e-4)]
    assert steadiness.corners == [pytest.approx(5, abs=0.01)]
    faces.note(steadiness, [face], [])
    assert (len(steadiness.landmarks), steadiness.lost) == (1, 1)


def test_crops_of_the_same_affine_have_the_same_corners():
    affine = estimate_affine((TEMPLATE / 3 + 7).astype(np.float32))
    assert faces.corner_shift(affine, affine) == pytest.approx(0, abs=1e-6)


def test_the_command_prints_the_table_and_writes_the_figures(shared: Path, tmp_path, capsys):
    words = ["--pictures", shared / "images/faces", "--most", "1", "--nobody", tmp_path, "--out", tmp_path / "out"]
    status = faces.main(list(map(str, words)))
    shown = capsys.readouterr().out
    document = json.loads((tmp_path / "out/faces.json").read_text())
    assert document["agreed"] == document["found"][faces.OURS] == 1
    assert set(document["steadiness"]) == {*faces.CHANGES, "template"}
    assert all(len(by_name[faces.OURS]["landmarks"]) == 1 for by_name in document["steadiness"].values())
    assert status == ("worse in" in shown)
    assert "| half size " in shown
    assert "codeformer" not in shown + json.dumps(document), "names of pictures stay here"


def test_no_pictures_is_said(tmp_path, shared: Path, capsys):
    assert faces.main(["--pictures", str(tmp_path)]) == 1
    assert "no pictures" in capsys.readouterr().err


def test_missing_weights_are_named(tmp_path, capsys):
    assert faces.main(["--retinaface", str(tmp_path / "none.pth")]) == 1
    assert "none.pth" in capsys.readouterr().err


def test_pictures_without_a_face_prove_nothing_and_say_so(shared: Path, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "gray.png"), np.full((64, 64, 3), 128, np.uint8))
    assert shared.is_dir()  # has the detectors
    assert faces.main(["--pictures", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert (said.out, "no face in 1 pictures" in said.err) == ("", True)
    assert not (tmp_path / "out").exists()
