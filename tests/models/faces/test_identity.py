"""SFace's file, which may be absent, and the crop that embedders see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import WeightsMissing, WeightsRefused
from models.faces.identity import TEMPLATE_112, SFaceEmbedder, identity_affine, identity_crop
from tests.models.faces.pictures import landmarks_of, photograph, to_crop_affine


def test_a_model_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="sface"):
        SFaceEmbedder(tmp_path / "sface.onnx")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sface.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsRefused, match="sface"):
        SFaceEmbedder(tmp_path / "sface.onnx")
    capfd.readouterr()  # OpenCV says so on the terminal, too


def test_landmarks_come_onto_the_template() -> None:
    for scale, degrees in ((0.3, 0.0), (1.0, 40.0), (4.0, -80.0)):
        turn = scale * np.exp(1j * np.radians(degrees))
        points = ((TEMPLATE_112 - 30) @ (1, 1j)) * turn
        landmarks = np.stack([points.real + 200, points.imag + 100], axis=1).astype(np.float32)
        affine = identity_affine(landmarks)
        moved = landmarks @ affine[:, :2].T + affine[:, 2]
        np.testing.assert_allclose(moved, TEMPLATE_112, atol=1e-3)


def test_landmarks_in_one_point_are_no_face() -> None:
    for level in (1, np.nan, np.inf):
        with pytest.raises(ValueError, match="one point"):
            identity_affine(np.full((5, 2), level, np.float32))


def test_a_large_face_is_averaged_and_not_sampled() -> None:
    """Checks finer than the crop become their mean; sampled they would become noise."""
    checks = (np.indices((900, 900)).sum(axis=0) % 2 * 200).astype(np.uint8)
    crop = identity_crop(checks, landmarks_of(to_crop_affine((450, 450), 0.7)))
    assert np.abs(crop[20:90, 20:90].astype(int) - 100).max() <= 4


def test_the_crop_is_where_opencv_s_own_alignment_has_it() -> None:
    """OpenCV samples, so that the two agree where nothing is finer than the crop."""
    picture = np.asarray(cv2.GaussianBlur(photograph(finest=0.02, noise=0), (0, 0), 2), np.uint8)
    landmarks = landmarks_of(to_crop_affine((200, 150), 3.6, 15))
    expected = cv2.warpAffine(picture, identity_affine(landmarks), (112, 112))
    assert np.abs(identity_crop(picture, landmarks).astype(int) - expected).max() <= 2
