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


@pytest.mark.parametrize("scale", [0.5, 0.26, 0.13])
def test_of_a_huge_face_fewer_pixels_show_the_same(scale: float) -> None:
    """The other opinion is OpenCV's mean of all pixels; grain that is finer than the crop is all they may differ in."""
    side = round(512 / scale)
    grain = np.random.default_rng(3).integers(-10, 11, (256, 256, 3)).astype(np.int16)
    grain = np.tile(grain, (-(-side // 256), -(-side // 256), 1))[:side, :side]
    picture = cv2.resize(photograph(512, 512, noise=0, finest=0.01), (side, side), interpolation=cv2.INTER_LINEAR)
    picture = cv2.add(picture, grain, dtype=cv2.CV_8U)
    landmarks = landmarks_of(to_crop_affine((side / 2, 0.57 * side), scale))
    small = cv2.resize(picture, (112, 112), interpolation=cv2.INTER_AREA)
    expected = identity_crop(small, ((landmarks + 0.5) * (112 / side) - 0.5).astype(np.float32))
    error = np.abs(identity_crop(picture, landmarks).astype(int) - expected)
    assert error.mean() < 1.2, f"{error.mean():.2f} in the mean, {error.max()} at the most"


def test_the_crop_is_where_opencv_s_own_alignment_has_it() -> None:
    """OpenCV samples, so that the two agree where nothing is finer than the crop."""
    picture = np.asarray(cv2.GaussianBlur(photograph(finest=0.02, noise=0), (0, 0), 2), np.uint8)
    landmarks = landmarks_of(to_crop_affine((200, 150), 3.6, 15))
    expected = cv2.warpAffine(picture, identity_affine(landmarks), (112, 112))
    assert np.abs(identity_crop(picture, landmarks).astype(int) - expected).max() <= 2
