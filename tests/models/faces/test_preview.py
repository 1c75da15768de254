"""Who is who, to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from models.faces.face import Face
from models.faces.pasting import face_layer
from models.faces.preview import LEFT_OUT_RGB, PICKED_RGB, numbered_preview, picture_mask
from tests.models.faces.pictures import another_face, photograph, to_crop_affine


def face(left: float, top: float, side: float) -> Face:
    box = (left, top, left + side, top + 1.25 * side)
    return Face(box_xyxy=box, score=0.9, landmarks=np.zeros((5, 2), np.float32))


def pixels_of(preview: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(preview.astype(int) - colour).max(axis=2) < 8).sum())


@pytest.mark.parametrize(("height", "width"), [(60, 80), (300, 400), (480, 320), (2000, 3000), (3, 900)])
def test_pictures_of_any_size_get_frames_and_numbers_of_a_readable_size(height: int, width: int) -> None:
    picture = np.full((height, width, 3), 90, np.uint8)
    side = min(height, width) / 3
    preview = numbered_preview(picture, [face(side / 2, side / 2, side), face(width - 1.5 * side, side / 2, side)])
    assert 480 <= max(preview.shape[:2]) <= 1600
    assert preview.shape[1] / preview.shape[0] == pytest.approx(width / height, rel=0.35)
    assert (picture == 90).all()
    if min(height, width) > 50:
        assert pixels_of(preview, PICKED_RGB) > 300
        assert pixels_of(preview, LEFT_OUT_RGB) == 0


def test_a_preview_without_faces_is_the_picture() -> None:
    picture = photograph(600, 500)
    np.testing.assert_array_equal(numbered_preview(picture, []), picture)
    gray = numbered_preview(np.ascontiguousarray(picture[..., 0]), [])
    np.testing.assert_array_equal(gray, np.repeat(picture[..., :1], 3, axis=2))


def test_every_number_looks_different_and_left_out_ones_have_another_colour() -> None:
    picture = np.full((500, 700, 3), 90, np.uint8)
    faces = [face(60, 150, 120), face(300, 150, 120), face(520, 150, 120)]
    preview = numbered_preview(picture, faces, left_out={2})
    digits = [preview[95:148, left : left + 60] for left in (55, 295, 515)]
    assert (digits[0] != digits[2]).any()
    assert pixels_of(digits[1], LEFT_OUT_RGB) > 20
    assert pixels_of(digits[1], PICKED_RGB) == 0
    assert pixels_of(digits[0], PICKED_RGB) > 20


def test_numbers_of_a_crowd_do_not_lie_on_each_other() -> None:
    picture = np.full((600, 600, 3), 90, np.uint8)
    crowd = [face(200 + 2 * index, 300 + 2 * index, 60) for index in range(4)]
    one, four = (int((numbered_preview(picture, faces) == 0).all(axis=2).sum()) for faces in (crowd[:1], crowd))
    assert one > 300
    assert four > 2.5 * one


@pytest.mark.parametrize("middle", [(5, 5), (398, 150), (-300, 900)])
def test_faces_at_and_beyond_the_border_are_no_trouble(middle: tuple[float, float]) -> None:
    preview = numbered_preview(photograph(), [face(middle[0] - 30, middle[1] - 30, 60)] * 2, left_out=[2])
    assert preview.shape == (360, 480, 3)
    assert picture_mask(to_crop_affine(middle, 3), (400, 300)).shape == (300, 400)


def test_a_mask_is_that_of_the_layer_in_the_whole_picture() -> None:
    picture, affine = photograph(), to_crop_affine((120, 170), 2.5, 15)
    layer = face_layer(picture, another_face(), affine)
    mask = picture_mask(affine, (400, 300))
    np.testing.assert_array_equal(mask[layer.region.slices], layer.mask)
    assert int(mask.sum()) == int(layer.mask.sum())
    assert mask[170, 120] == 255
