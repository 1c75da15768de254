"""Faces are brought upright exactly, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.faces.alignment import (
    OUTSIDE_RGB,
    TEMPLATE,
    affine_after_scaling,
    after,
    align_face,
    estimate_affine,
    invert,
    least_squares_affine,
    scaling,
    transform,
    warp,
)
from models.faces.face import Face

CASES = [("p3_pair", 0), ("p3_pair", 1), ("p7_glasses", 0)]


def golden_case(shared: Path, name: str) -> dict[str, Any]:
    cases: dict[str, Any] = json.loads((shared / "goldens/faces/align.json").read_text())["cases"]
    return cases[name]


def picture_rgb(path: Path) -> NDArray[np.uint8]:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> NDArray[np.float64]:
    turn = scale * np.exp(1j * np.radians(degrees))
    return np.array([(turn.real, -turn.imag, shift[0]), (turn.imag, turn.real, shift[1])])


def ramps(width: int, height: int) -> NDArray[np.float32]:
    """A picture whose channels are x, y and their mean: what comes out of a warp says where it was taken from."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([x, y, (x + y) / 2])


def smooth(side: int, period: float) -> NDArray[np.float32]:
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return 128 + 60 * np.sin(2 * np.pi * x / period) + 60 * np.cos(2 * np.pi * y / period)


@pytest.mark.parametrize(("name", "index"), CASES)
def test_affines_are_the_reference_s(name, index, shared: Path):
    case = golden_case(shared, name)
    affine = estimate_affine(np.array(case["landmarks"][index], np.float32))
    np.testing.assert_allclose(affine, case["affine"][index], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "index"), CASES)
def test_the_way_back_is_the_reference_s_but_for_its_half_pixel(name, index, shared: Path):
    # The reference's inverse times 2 is right in a picture whose first pixel's corner is (0, 0), pasting adds a whole
    # pixel to it. With pixel centres at whole numbers, as OpenCV counts, half a pixel is right.
    case = golden_case(shared, name)
    back = invert(affine_after_scaling(np.array(case["affine"][index]), (2, 2)))
    before, used = (np.array(case[f"inverse_affine_{when}_paste"][index]) for when in ("before", "used_in"))
    np.testing.assert_allclose(back[:, :2], used[:, :2], atol=1e-4, rtol=0)
    np.testing.assert_allclose(back[:, 2], (before[:, 2] + used[:, 2]) / 2, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "index"), CASES)
def test_crops_are_the_reference_s(name, index, shared: Path):
    case = golden_case(shared, name)
    image = picture_rgb(shared / "goldens/faces/inputs" / case["photo"])
    before = image.copy()
    aligned = align_face(image, np.array(case["landmarks"][index], np.float32))
    difference = np.abs(aligned.crop.astype(int) - picture_rgb(shared / "goldens/faces" / case["crops"][index]))
    assert difference.max() <= 6
    assert difference.mean() <= 0.3
    assert np.array_equal(image, before), "the picture was changed"


@pytest.mark.parametrize("face_size", [112, 512])
def test_landmarks_that_fit_end_on_the_template(face_size):
    landmarks = transform(similarity(0.31, 37.0, (60, -20)), TEMPLATE).astype(np.float32)
    template = TEMPLATE * face_size / 512
    for affine in (estimate_affine(landmarks, face_size), least_squares_affine(landmarks, template)):
        np.testing.assert_allclose(transform(affine, landmarks), template, atol=2e-4 * face_size)


def test_one_landmark_far_off_does_not_count():
    landmarks = TEMPLATE.astype(np.float32)
    landmarks[2] += (90, 40)
    np.testing.assert_allclose(estimate_affine(landmarks), np.eye(2, 3), atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    "landmarks", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((4, 2)), np.full((5, 2), np.inf)]
)
def test_landmarks_that_are_no_face_are_refused(landmarks):
    with pytest.raises(ValueError, match="landmarks"):
        estimate_affine(landmarks.astype(np.float32))


@pytest.mark.parametrize("scale", [1.0, 1.7, 4.3])
@pytest.mark.parametrize("degrees", [0.0, 12.3, 90.0, 171.0])
def test_a_warp_takes_each_pixel_from_where_the_map_says(scale, degrees):
    affine = after(similarity(scale, degrees, (60, 60)), similarity(1, 0, (-50.3, -40.7)))
    warped = warp(ramps(100, 80), affine, (120, 120), border=np.nan)
    y, x = np.mgrid[:120, :120]
    source = transform(invert(affine), np.stack([x.ravel(), y.ravel()], axis=1)).reshape(120, 120, 2)
    inside = np.isfinite(warped[..., 0])
    assert inside.mean() > 0.3
    np.testing.assert_allclose(warped[..., :2][inside], source[inside], atol=5e-4)


@pytest.mark.parametrize("scale", [0.93, 0.5, 0.27, 0.06])
@pytest.mark.parametrize("degrees", [0.0, 33.0])
def test_a_warp_that_shrinks_stays_where_it_belongs(scale, degrees):
    affine = after(similarity(scale, degrees, (20.2, 19.9)), similarity(1, 0, (-300, -290)))
    warped = warp(ramps(600, 580), affine, (40, 40), border=np.nan)
    y, x = np.mgrid[:40, :40]
    source = transform(invert(affine), np.stack([x.ravel(), y.ravel()], axis=1)).reshape(40, 40, 2)
    inside = np.isfinite(warped[..., 0])
    assert inside.mean() > 0.3
    # Where an area ends at the picture's edge, its mean is not that of its middle.
    to_edge = np.minimum(source, np.array((599, 579)) - source).min(-1)
    away = inside & (to_edge > 2 / scale)
    error = (warped[..., :2][away] - source[away]) * scale  # in pixels of what comes out
    assert np.abs(error).max() < 0.05  # an area that ends inside a pixel takes that pixel as of one colour
    assert np.abs(error.mean(0)).max() < 0.005


def test_a_warp_that_shrinks_does_not_alias():
    stripes = np.tile(np.array((0, 255), np.uint8), (200, 100))
    affine = similarity(0.4, 5.0, (2, 2))
    small, plain = (warp(stripes, affine, (60, 60), border=None, antialias=on)[10:50, 10:50] for on in (True, False))
    assert plain.std() > 50
    assert small.std() < 20  # what a mean over 2.5 px leaves of stripes of one pixel


def test_there_and_back_is_the_picture():
    image = smooth(120, period=30).astype(np.uint8)
    affine = after(similarity(3.1, 17.0, (180, 180)), similarity(1, 0, (-59, -61)))
    back = warp(warp(image, affine, (360, 360)), invert(affine), (120, 120))
    assert np.abs(back[25:95, 25:95].astype(int) - image[25:95, 25:95]).max() <= 3


@pytest.mark.parametrize("scale_xy", [(2.0, 2.0), (1.5, 1.5), (4.0, 3.99)])
def test_the_enlarged_picture_gives_the_same_crop(scale_xy):
    width, height = 200, 180
    large_wh = round(width * scale_xy[0]), round(height * scale_xy[1])
    exact = large_wh[0] / width, large_wh[1] / height
    large = cv2.resize(ramps(width, height), large_wh, interpolation=cv2.INTER_LINEAR)
    affine = after(similarity(1.3, 21.0, (64, 64)), similarity(1, 0, (-90, -95)))
    crop = warp(ramps(width, height), affine, (128, 128))
    crop_of_large = warp(large, affine_after_scaling(affine, exact), (128, 128), antialias=False)
    np.testing.assert_allclose(crop_of_large, crop, atol=0.01)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("scale", [0.4, 1.0, 2.0])
def test_every_kind_of_picture_keeps_its_type_and_its_border(dtype, channels, scale):
    image = np.full((30, 40, *channels), 200, dtype)
    before = image.copy()
    warped = warp(image, similarity(scale, 0, (8, 8)), (70, 60), border=7)
    assert (warped.dtype, warped.shape) == (dtype, (60, 70, *channels))
    assert np.all(warped[12:16, 12:16] == 200)
    assert np.all(warped[:4, :4] == 7)
    assert np.all(warp(image, similarity(scale, 0, (8, 8)), (70, 60), border=None) == 200)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_a_panorama_is_warped_as_exactly_as_a_small_picture(scale):
    panorama = np.repeat(np.arange(40_000, dtype=np.float32)[None] % 200, 60, axis=0)
    affine = after(similarity(scale, 0, (20, 20)), similarity(1, 0, (-39_090.3, -30)))
    small_affine = after(similarity(scale, 0, (20, 20)), similarity(1, 0, (-90.3, -30)))
    warped, expected = warp(panorama, affine, (40, 40)), warp(panorama[:, :200], small_affine, (40, 40))
    np.testing.assert_allclose(warped, expected, atol=1e-3)


def test_a_warp_may_look_past_the_picture():
    assert np.all(warp(np.ones((5, 6), np.float32), similarity(0.5, 0, (500, 500)), (9, 8), border=3) == 3)


def test_outside_the_picture_a_crop_is_neutral_gray():
    landmarks = (TEMPLATE * 0.2 - 40).astype(np.float32)  # its left upper part lies outside
    crop = align_face(np.zeros((80, 80, 3), np.uint8), landmarks).crop
    assert tuple(crop[0, 0]) == OUTSIDE_RGB


def test_scaling_maps_corners_to_corners():
    corners = np.array([(-0.5, -0.5), (9.5, 4.5)])  # of the pixels of a 10x5 picture
    np.testing.assert_allclose(transform(scaling((3, 2)), corners), [(-0.5, -0.5), (29.5, 9.5)])
    np.testing.assert_allclose(after(invert(scaling((3, 2))), scaling((3, 2))), np.eye(2, 3))


def test_a_map_onto_a_line_cannot_be_inverted():
    with pytest.raises(ValueError, match="inverted"):
        invert(np.array([(1.0, 2.0, 0.0), (2.0, 4.0, 0.0)]))


def test_a_face_follows_its_picture():
    face = Face(box_xyxy=(-0.5, 1.0, 9.5, 4.5), score=0.9, landmarks=TEMPLATE.astype(np.float32))
    large = face.scaled((2.0, 3.0))
    assert large.box_xyxy == (-0.5, 4.0, 19.5, 14.5)
    assert large.score == 0.9
    np.testing.assert_allclose(large.landmarks, transform(scaling((2, 3)), TEMPLATE), rtol=1e-6)
    assert face.scaled((2, 2)).eye_distance == pytest.approx(2 * face.eye_distance)
    assert face.eye_distance == pytest.approx(125.92, abs=0.01)
