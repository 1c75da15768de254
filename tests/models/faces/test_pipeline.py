"""The way of the faces of a picture through the restorer: wishes, numbers, strength, and what goes wrong."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from models import OptionsError, RestorationStopped, RestoreOptions, Restorer
from models.archs import RetinaFace
from models.encoding import read_recipe
from models.engine.model import Model
from models.errors import OutOfMemory, WeightsRefused
from models.faces.alignment import align_face, invert, transform
from models.faces.detection import find_faces
from models.faces.detectors import RGB, RetinaFaceDetector
from models.faces.face import Face
from models.faces.finding import FaceFinder, align_in, eight_bit_rgb
from models.faces.identity import similarity
from models.faces.parsing import FaceParser
from models.faces.pipeline import DEFAULT_STRENGTH, FacePipeline
from models.faces.restoring import NetworkFaceRestorer
from models.picture import Picture
from models.planes import Planes
from models.recipe import options_of
from models.stopping import check
from tests.models.faces.pictures import landmarks_of, photograph, to_crop_affine
from tests.models.faces.test_guard import embedder, somebody_else
from tests.models.faces.test_restoring import BAD
from tests.models.toys import FLOAT32, Does, Nearest, compact, pixels_of, png, restorer_of, saved

Array = NDArray[Any]
AFFINES = (to_crop_affine((110, 150), 2.6, 6), to_crop_affine((290, 140), 2.9, -9))
SCALE = 2
PNG = {"output_format": "png", "outscale": SCALE, "colour_lock": False}


class KnowsWhere:
    """A detector for pictures whose faces were put there."""

    best_eye_distance = 50.0
    sides = (640,)

    def __init__(self, *affines: Array) -> None:
        self.landmarks = [landmarks_of(affine) for affine in affines]

    def __call__(self, _image: RGB) -> tuple[Face, ...]:
        return tuple(
            Face(box_xyxy=(*points.min(0).tolist(), *points.max(0).tolist()), score=0.9, landmarks=points)
            for points in self.landmarks
        )

    def closely(self, _crops: RGB) -> list[Face | None]:
        raise AssertionError("these pictures are not looked at closely")


def crisper(crops: Array) -> Array:
    """A restorer whose work shows, and is still the same face."""
    soft = np.stack([cv2.GaussianBlur(crop, (0, 0), 3) for crop in crops]).astype(np.float32)
    return crops + 1.2 * (crops.astype(np.float32) - soft)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FacePipeline]:
    """Pipelines that know where the faces are."""
    monkeypatch.setattr("models.faces.finding.find_faces", lambda image, detector, **_: detector(image))

    def build(restorer: Callable[[Array], Array] = crisper, **more: Any) -> FacePipeline:
        return FacePipeline(detector=KnowsWhere(*AFFINES), restorer=restorer, sha256={"restorer": "a" * 64}, **more)

    return build


@pytest.fixture
def restorer(pipeline: Callable[..., FacePipeline]) -> Iterator[Callable[..., Restorer]]:
    """Restorers that enlarge by repeating pixels, so that only faces change."""
    opened: list[Restorer] = []

    def build(*args: Any, faces: FacePipeline | str | None = None, **more: Any) -> Restorer:
        opened.append(restorer_of(Nearest(SCALE), faces=pipeline(*args, **more) if faces is None else faces))
        # Measured when it was made: a moment in which the machine did something else would be seconds per picture.
        opened[-1]._models["toy"]._seconds_per_pixel[FLOAT32] = 1e-7
        return opened[-1]

    yield build
    for each in opened:
        each.close()


def difference(one: bytes, other: bytes) -> Array:
    return np.abs(pixels_of(one).astype(int) - pixels_of(other).astype(int))


def around(affine: Array, reach: float = 0.5) -> tuple[slice, slice]:
    """The middle of a face in the result."""
    points = landmarks_of(affine) * SCALE
    (left, top), (right, bottom) = points.min(0).astype(int), points.max(0).astype(int)
    return slice(top, bottom), slice(left, right)


PHOTO = png(photograph())


def test_both_faces_are_restored_numbered_and_reported_and_nothing_else_changes(restorer):
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    result = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=100))
    assert [(face.number, face.status, face.strength) for face in result.faces] == [
        (1, "restored", 100),
        (2, "restored", 100),
    ]
    assert result.faces[0].face.landmarks[0, 0] < result.faces[1].face.landmarks[0, 0]
    assert (result.faces_restored, result.faces_left) == (2, 0)
    changed = difference(result.data, plain.data)
    assert all(changed[around(affine)].mean() > 2 for affine in AFFINES)
    assert not changed[:, :20].any()
    assert not changed[-20:].any()
    assert plain.faces == ()


def test_strength_0_is_byte_for_byte_what_a_restorer_without_faces_makes(restorer):
    without = restorer(faces="nothing here restores faces").restore(PHOTO, RestoreOptions(**PNG))
    assert restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0)).data == without.data


def test_the_distance_to_the_plain_picture_grows_with_the_strength_at_every_pixel(restorer):
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    last = np.zeros(1, int)
    for strength in (10, 35, 60, 85, 100):
        now = difference(restorer().restore(PHOTO, RestoreOptions(**PNG, faces=strength)).data, plain.data)
        assert (now >= last).all()
        assert now.sum() > last.sum()
        last = now


def test_another_strength_needs_no_second_pass_of_the_network(pipeline):
    calls = []

    def counting(crops: Array) -> Array:
        calls.append(len(crops))
        return crisper(crops)

    original = Picture(pixels=photograph())
    plain = cv2.resize(photograph(), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    faces = pipeline(counting)
    ready = faces.restore(original, faces.find(original), plain)
    assert sum(calls) == 2
    shown = [ready.shown(plain, strength=strength)[0] for strength in (0, 40, 100)]
    assert sum(calls) == 2
    assert shown[0] is plain
    assert 0 < np.abs(shown[1].astype(int) - plain).sum() < np.abs(shown[2].astype(int) - plain).sum()


@pytest.mark.parametrize(
    "wish", [{"faces_picked": (2,)}, {"faces_left_out": (1,)}, {"faces_picked": (1, 2), "faces_left_out": (1,)}]
)
def test_what_is_left_out_is_pixel_for_pixel_the_plain_picture(restorer, wish):
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    result = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=100, **wish))
    assert [(face.status, face.reason) for face in result.faces] == [("left", "unpicked"), ("restored", None)]
    changed = difference(result.data, plain.data)
    assert not changed[around(AFFINES[0])].any()
    assert changed[around(AFFINES[1])].any()
    assert (result.faces_restored, result.faces_left) == (1, 0)


def test_a_picked_face_that_is_not_there_is_named_and_one_left_out_is_no_mistake(restorer):
    with pytest.raises(OptionsError, match=r"there is no face number 3: the last one is number 2"):
        restorer().restore(PHOTO, RestoreOptions(**PNG, faces_picked=(3, 1)))
    assert restorer().restore(PHOTO, RestoreOptions(**PNG, faces_left_out=(3,))).faces_restored == 2


def test_by_default_photographs_have_their_faces_restored_and_drawings_only_when_asked(restorer):
    assert {face.strength for face in restorer().restore(PHOTO, RestoreOptions(**PNG)).faces} == {DEFAULT_STRENGTH}
    drawing = np.full((300, 400, 3), 255, np.uint8)
    cv2.rectangle(drawing, (40, 40), (200, 250), (200, 30, 30), -1)
    cv2.circle(drawing, (290, 140), 80, (30, 30, 200), -1)
    assert restorer().restore(png(drawing), RestoreOptions(**PNG)).faces == ()
    assert len(restorer().restore(png(drawing), RestoreOptions(**PNG, faces=50)).faces) == 2


def test_without_weights_faces_are_left_alone_and_an_explicit_wish_says_what_is_missing(restorer):
    off = "no weights for faces in weights; bring them with: python -m models weights fetch faces"
    assert restorer(faces=off).restore(PHOTO, RestoreOptions(**PNG)).faces == ()
    assert restorer(faces=off).faces_off == off
    assert restorer().faces_off is None
    with pytest.raises(OptionsError, match="weights fetch faces"):
        restorer(faces=off).restore(PHOTO, RestoreOptions(**PNG, faces=50))
    with pytest.raises(OptionsError, match="weights fetch faces"):
        restorer(faces=off).faces_preview(PHOTO)


def test_a_guard_that_is_off_says_why_and_where_no_face_is_restored_there_is_none_to_be_off(restorer):
    assert "face_recognition_sface_2021dec" in restorer().guard_off
    assert restorer(embedder=embedder).guard_off is None
    assert restorer(faces="none here").guard_off is None


@pytest.mark.parametrize("bad", BAD)
def test_a_restorer_that_fails_leaves_the_picture_as_it_was(restorer, bad):
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    result = restorer(bad).restore(PHOTO, RestoreOptions(**PNG, faces=100))
    assert not difference(result.data, plain.data).any()
    assert [(face.status, face.reason) for face in result.faces] == [("left", "failed")] * 2
    assert result.notices[-1:] == ("faces_failed",)


def test_somebody_else_s_face_is_not_shown_and_the_figures_can_be_computed_again(restorer):
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    changing = restorer(somebody_else, embedder=embedder, likeness=0.9).restore(PHOTO, RestoreOptions(**PNG, faces=100))
    assert {face.reason for face in changing.faces} == {"unlike"}
    honest = restorer(crisper, embedder=embedder, likeness=0.9).restore(PHOTO, RestoreOptions(**PNG, faces=100))
    for result in (changing, honest):
        before, after = pixels_of(plain.data), pixels_of(result.data)
        for face in result.faces:
            landmarks = face.face.scaled((SCALE, SCALE)).landmarks
            assert face.similarity == pytest.approx(similarity(embedder, before, after, landmarks), abs=1e-6)
    assert honest.faces_restored == 2
    assert all(face.similarity >= 0.9 for face in (*honest.faces, *changing.faces))


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_gray_transparent_and_deep_pictures_have_faces_too(restorer, mode):
    image = Image.fromarray(photograph())
    if mode == "I;16":
        image = Image.fromarray(photograph().mean(axis=2).astype(np.uint16) * 257)
    elif mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    else:
        image = image.convert("L")
    options = RestoreOptions(**PNG, faces=100)
    plain = restorer().restore(saved(image, "PNG"), replace(options, faces=0))
    result = restorer().restore(saved(image, "PNG"), options)
    assert result.faces_restored == 2
    changed, levels = difference(result.data, plain.data), 257 if mode == "I;16" else 1
    if mode != "RGBA":
        assert all(changed[around(affine)].mean() > levels / 2 for affine in AFFINES)
        return
    assert not changed[..., 3].any()
    colours, alpha = changed[..., :3].mean(axis=2), pixels_of(plain.data)[..., 3]
    opaque = restorer().restore(PHOTO, replace(options, faces=0)), restorer().restore(PHOTO, options)
    expected = difference(*(one.data for one in opaque)).mean(axis=2)
    clear = alpha > 96
    assert np.corrcoef(colours[clear], expected[clear])[0, 1] > 0.85
    assert colours[clear].mean() == pytest.approx(expected[clear].mean(), rel=0.1)
    assert not colours[alpha == 0].any()


def kinds_of(photo: Array) -> dict[str, Picture]:
    alpha = np.broadcast_to(np.linspace(0, 255, photo.shape[1]).astype(np.uint8), photo.shape[:2])
    deep, gray = photo.astype(np.uint16) * 257 - (photo > 0), np.ascontiguousarray(photo[..., 0])
    return {
        "as it is": Picture(pixels=photo),
        "opaque": Picture(pixels=photo, alpha=np.full(photo.shape[:2], 255, np.uint8)),
        "gray": Picture(pixels=gray),
        "transparent": Picture(pixels=photo, alpha=alpha),
        "gray and transparent": Picture(pixels=gray, alpha=alpha),
        "deep": Picture(pixels=deep),
        "deep and transparent": Picture(pixels=deep, alpha=alpha.astype(np.uint16) * 257),
    }


@pytest.mark.parametrize("kind", kinds_of(photograph()))
def test_a_face_is_cut_from_the_picture_as_detectors_see_it_wherever_it_lies(kind):
    picture = kinds_of(photograph())[kind]
    share = 1.0 if picture.alpha is None else picture.alpha[..., None] / np.iinfo(picture.alpha.dtype).max
    colours = picture.pixels if picture.pixels.ndim == 3 else np.repeat(picture.pixels[..., None], 3, axis=2)
    seen = eight_bit_rgb(picture)
    expected = colours * (255 / np.iinfo(colours.dtype).max) * share + 128 * (1 - share)
    assert np.abs(seen - expected).max() <= 1
    for affine in (*AFFINES, to_crop_affine((5, 290), 1.4, 120), to_crop_affine((200, 150), 0.8)):
        one, other = align_in(picture, landmarks_of(affine)), align_face(seen, landmarks_of(affine))
        assert np.array_equal(one.affine, other.affine)
        assert np.abs(one.crop.astype(int) - other.crop).max() <= 1


@pytest.mark.parametrize("kind", kinds_of(photograph()))
def test_looking_at_a_picture_takes_no_more_than_what_is_looked_at(kind):
    picture = kinds_of(np.zeros((2000, 2100, 3), np.uint8))[kind]
    tracemalloc.start()
    try:
        seen = eight_bit_rgb(picture)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    made = 0 if kind in {"as it is", "opaque"} else seen.nbytes
    assert taken <= made + 8_000_000


def cut_out(middle: tuple[float, float], radius: float) -> Array:
    """(300, 400) uint8: opaque in a disc with a hard outline, and nothing beside it."""
    y, x = np.mgrid[:300, :400]
    return np.where(np.hypot(x - middle[0], y - middle[1]) < radius, 255, 0).astype(np.uint8)


def enlarged(picture: Picture, times: int) -> Picture:
    """As the restorer enlarges what is transparent, with an interpolation in place of a network."""

    def enlarge(plane: Array) -> Array:
        return np.asarray(cv2.resize(plane, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC))

    return Planes.of(picture).enlarged(enlarge).as_picture(picture)


@pytest.mark.parametrize(("times", "depth"), [(1, np.uint8), (2, np.uint16), (4, np.uint8)])
@pytest.mark.parametrize("outline", ["head", "half a face", "half there", "faint"])
def test_a_restorer_that_changes_nothing_changes_nothing_of_what_is_transparent(pipeline, outline, times, depth):
    middles = ((110, 150), (290, 140))
    alpha = {
        "head": np.maximum(*(cut_out(middle, 45) for middle in middles)),
        "half a face": np.maximum(*(cut_out((x + 30, y), 40) for x, y in middles)),
        "half there": np.full((300, 400), 128, np.uint8),
        "faint": np.full((300, 400), 30, np.uint8),
    }[outline]
    level = np.iinfo(depth).max // 255
    original = Picture(pixels=photograph(noise=0, finest=0.03).astype(depth) * level, alpha=alpha.astype(depth) * level)
    plain = enlarged(original, times)
    faces = pipeline(lambda crops: crops.astype(np.float32))
    found = faces.find(original)
    ready = faces.restore(original, found, plain.pixels, alpha=plain.alpha, reasons=[None, None])
    result, reports = ready.shown(plain.pixels, strength=100)
    assert [report.status for report in reports] == ["restored"] * 2
    changed = np.abs(result.astype(float) - plain.pixels) / level
    # What is seen, in levels; colours themselves come back from 8 bits of a fraction of them.
    assert (changed * plain.alpha[..., None] / np.iinfo(depth).max).max() <= 2
    assert not changed[plain.alpha == 0].any()


def test_what_is_restored_beside_an_outline_is_the_face_and_not_what_is_behind_it(pipeline):
    alpha = cut_out((110, 150), 55)
    original = Picture(pixels=photograph(noise=0), alpha=alpha)
    plain, opaque = enlarged(original, 2), enlarged(Picture(pixels=photograph(noise=0)), 2)
    faces = pipeline()
    faces.detector = KnowsWhere(AFFINES[0])
    found = faces.find(original)
    changes = []
    for picture, large in ((original, plain), (Picture(pixels=photograph(noise=0)), opaque)):
        ready = faces.restore(picture, found, large.pixels, alpha=large.alpha, reasons=[None])
        changes.append(ready.shown(large.pixels, strength=100)[0].astype(float) - large.pixels)
    inside = cv2.erode(plain.alpha, np.ones((61, 61), np.uint8)) == 255
    assert np.abs(changes[1][inside]).mean() > 1.5
    assert np.abs(changes[0] - changes[1])[inside].mean() < 0.3 * np.abs(changes[1][inside]).mean()


def test_a_recipe_makes_the_same_faces_again(restorer):
    first = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=70, faces_left_out=(1,)))
    recipe = read_recipe(first.data)
    assert (recipe["faces"], recipe["faces_picked"], recipe["faces_sha256"]) == (70, [2], {"restorer": "a" * 64})
    assert restorer().restore(PHOTO, options_of(recipe)).data == first.data


def test_recipes_of_the_time_before_faces_ask_for_none():
    recipe = {
        "model": "toy", "outscale": 2, "reduced_to": [10, 10], "denoise": None, "strength": 1, "colour_lock": True,
        "output_format": "png", "max_output_bytes": None, "tile": None, "overlap": 0, "border": 0,
        "placement": "streamed",
    }  # fmt: skip
    assert options_of(recipe).faces == 0


def test_a_stop_is_heard_among_the_faces(restorer):
    asked = []

    def stop() -> bool:
        return bool(asked)

    def restore(crops: Array) -> Array:
        asked.append(len(crops))
        return crisper(crops)

    with pytest.raises(RestorationStopped):
        restorer(restore).restore(PHOTO, RestoreOptions(**PNG, faces=100), should_stop=stop)
    assert asked == [1]


def test_progress_rises_through_the_faces_to_the_end(restorer):
    seen: list[float] = []
    restorer(seconds_per_face=5.0).restore(PHOTO, RestoreOptions(**PNG, faces=100), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert sum(0.2 < value < 1 for value in seen) >= 2


def test_the_largest_faces_come_first_where_time_is_short(restorer):
    quick = RestoreOptions(**PNG, faces=100, max_seconds=60)
    result = restorer(seconds_per_face=40.0).restore(PHOTO, quick)
    assert [(face.status, face.reason) for face in result.faces] == [("restored", None), ("left", "no_time")]
    assert result.notices[-1:] == ("faces_no_time",)
    again = restorer().restore(PHOTO, options_of(read_recipe(result.data)))
    assert again.data == result.data


def test_nobody_is_looked_for_where_no_time_is_left_unless_asked_for(restorer, pipeline):
    faces = pipeline()
    faces.detector = None  # would be an error
    assert restorer(faces=faces).restore(PHOTO, RestoreOptions(**PNG, max_seconds=1e-9)).faces == ()


def test_a_stop_is_heard_while_faces_are_looked_for(pipeline):
    with pytest.raises(RestorationStopped):
        find_faces(photograph(), KnowsWhere(*AFFINES), check=lambda: check(lambda: True))


def test_a_stop_is_heard_inside_of_the_detector_s_network():
    asked: list[int] = []

    def stop_at_the_tenth() -> bool:
        asked.append(1)
        return len(asked) == 10

    torch.manual_seed(0)
    detector = RetinaFaceDetector(RetinaFace(), sides=(320,))
    sure = KnowsWhere(*AFFINES)
    sure.closely = lambda crops: [one_face(crops.shape[1])] * len(crops)
    for finder in (FaceFinder(detector=detector), FaceFinder(detector=sure, second=detector)):
        asked.clear()
        with pytest.raises(RestorationStopped):
            finder.find(Picture(pixels=photograph()), should_stop=stop_at_the_tenth)
        assert len(asked) == 10
    assert not any(module._forward_pre_hooks for module in detector._network.modules())


def one_face(side: int) -> Face:
    """Where a close look expects it."""
    return KnowsWhere(to_crop_affine((side / 2, side / 2), 126 / 50))(None)[0]


def test_a_stop_is_heard_inside_of_the_parser_s_network(pipeline):
    began: list[int] = []

    def begin(lq: torch.Tensor) -> torch.Tensor:
        began.append(1)
        return lq

    network = nn.Sequential(Does(begin, scale=1), nn.Conv2d(3, 19, 1), Does(begin, scale=1))
    faces, original = pipeline(parser=FaceParser(network, FLOAT32)), Picture(pixels=photograph())
    found = faces.find(original)
    with pytest.raises(RestorationStopped):
        faces.restore(original, found, photograph(), should_stop=lambda: bool(began))
    assert began == [1]
    assert len(faces.restore(original, found, photograph()).candidates) == 2


def test_a_recipe_of_a_picture_without_faces_can_be_followed_without_weights(restorer, pipeline):
    faces = pipeline()
    faces.detector = KnowsWhere()
    result = restorer(faces=faces).restore(PHOTO, RestoreOptions(**PNG, faces=70))
    assert read_recipe(result.data)["faces"] == 0
    assert restorer(faces="none here").restore(PHOTO, options_of(read_recipe(result.data))).data == result.data


def test_picking_is_asking_also_in_a_drawing_and_without_weights(restorer):
    drawing = np.full((300, 400, 3), 255, np.uint8)
    cv2.circle(drawing, (290, 140), 80, (30, 30, 200), -1)
    assert len(restorer().restore(png(drawing), RestoreOptions(**PNG, faces_picked=(1,))).faces) == 2
    with pytest.raises(OptionsError, match="faces cannot be restored: none here"):
        restorer(faces="none here").restore(PHOTO, RestoreOptions(**PNG, faces_picked=(1,)))


def test_a_picture_reduced_to_nothing_has_no_faces_to_show(restorer):
    result = restorer().restore(PHOTO, RestoreOptions(outscale=0.004, output_format="png", faces=100))
    assert {face.reason for face in result.faces} <= {"too_small", None}


def test_the_preview_numbers_the_faces(restorer):
    preview = restorer().faces_preview(PHOTO, RestoreOptions(faces_left_out=(2,)))
    assert preview.shape[2] == 3
    assert (preview != restorer().faces_preview(PHOTO)).any()


@pytest.mark.parametrize("labelled", [False, True])
def test_a_mask_holds_all_that_restoring_its_face_changes_and_no_more_than_was_parsed(restorer, labelled):
    skin_on_the_left = np.zeros((512, 512), np.uint8)
    skin_on_the_left[:, :256] = 1
    built = restorer(parser=(lambda *_: skin_on_the_left) if labelled else None)
    masks = list(built.face_masks(PHOTO))
    assert [(mask.number, mask.is_parsed) for mask in masks] == [(1, labelled), (2, labelled)]
    plain = built.restore(PHOTO, RestoreOptions(**PNG, faces=0))
    for mask, affine in zip(masks, AFFINES, strict=True):
        assert (mask.pixels.shape, mask.pixels.dtype) == (photograph().shape[:2], np.uint8)
        left, right = (transform(invert(affine), np.array([(x, 292.0)]))[0].round().astype(int) for x in (140, 372))
        assert mask.pixels[left[1], left[0]] > 230
        assert (mask.pixels[right[1], right[0]] < 10) == labelled
        alone = built.restore(PHOTO, RestoreOptions(**PNG, faces=100, faces_picked=(mask.number,)))
        changed = difference(alone.data, plain.data).any(axis=2)
        near = cv2.dilate(mask.pixels, np.ones((3, 3), np.uint8)).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
        assert changed.any()
        assert not changed[near == 0].any()


def test_masks_are_numbered_where_nothing_restores_faces_and_refused_where_nothing_finds_them(restorer, pipeline):
    whole = restorer(parser=lambda *_: np.zeros((512, 512), np.uint8))
    assert not any(mask.pixels.any() for mask in whole.face_masks(PHOTO))
    with pytest.raises(OptionsError, match="faces cannot be found: none here"):
        restorer(faces="none here").face_masks(PHOTO)
    finder = FaceFinder(detector=pipeline().detector)
    with closing(restorer_of(Nearest(SCALE), faces="none here", finder=finder)) as built:
        assert [(mask.number, mask.is_parsed) for mask in built.face_masks(PHOTO)] == [(1, False), (2, False)]


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_no_more_memory_is_taken_for_faces_than_is_reserved_for_them(pipeline, depth, transparent):
    near = [to_crop_affine((90 + 70 * column, 100 + 90 * row), 2.9, 5) for row in range(2) for column in range(4)]
    pixels = photograph().astype(depth) * (np.iinfo(depth).max // 255)
    alpha, large = (np.full((300 * times, 400 * times), np.iinfo(depth).max // 2, depth) for times in (1, 4))
    original, plain = Picture(pixels=pixels), cv2.resize(pixels, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    seen = {"alpha": large} if transparent else {}
    original = replace(original, alpha=alpha) if transparent else original
    faces = pipeline(embedder=embedder, likeness=0.9)
    faces.detector = KnowsWhere(*near)
    found = faces.find(original)
    faces.restore(original, found[:1], plain, **seen)  # what is made once for all pictures
    tracemalloc.start()
    try:
        ready = faces.restore(original, found, plain, **seen)
        ready.show(plain, strength=100)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    reserved = faces.needed_bytes(original, found, (plain.shape[1], plain.shape[0]))
    assert len(found) == 8
    assert taken <= reserved <= 3 * taken


def test_a_network_for_faces_has_its_memory_reserved_too(pipeline):
    small = pipeline()
    large = pipeline(NetworkFaceRestorer(Does(lambda lq: lq), FLOAT32))
    original, found = Picture(pixels=photograph()), small.find(Picture(pixels=photograph()))
    more = large.needed_bytes(original, found, (800, 600)) - small.needed_bytes(original, found, (800, 600))
    assert 0.5e9 < more < 0.9e9
    assert large.needed_bytes(original, (), (800, 600)) == 0


def test_the_picture_is_cut_for_what_its_faces_leave_and_comes_first_where_that_is_nothing(
    pipeline, monkeypatch, caplog
):
    reserved: list[int] = []
    tiling = Model.tiling

    def spied(self: Model, *args: Any, reserved_bytes: int = 0) -> Any:
        reserved.append(reserved_bytes)
        return tiling(self, *args, reserved_bytes=reserved_bytes)

    monkeypatch.setattr(Model, "tiling", spied)
    photo = Picture(pixels=photograph())
    for_faces = pipeline().needed_bytes(photo, pipeline().find(photo), (800, 600))
    with closing(restorer_of(compact(SCALE), faces=pipeline())) as restorer:
        for strength in (100, 0):
            restorer.restore(PHOTO, RestoreOptions(**PNG, faces=strength))
        assert reserved[0] - reserved[1] == for_faces > 0
        monkeypatch.setattr("models.engine.model.free_bytes", lambda _engine: for_faces)
        assert restorer.restore(PHOTO, RestoreOptions(**PNG, faces=100)).faces_restored == 2
    assert "not free beside the network" in caplog.text


def test_people_are_told_a_time_with_the_faces_in_it(restorer):
    with_them = restorer(seconds_per_face=3.5).restore(PHOTO, RestoreOptions(**PNG, faces=100))
    one = restorer(seconds_per_face=3.5).restore(PHOTO, RestoreOptions(**PNG, faces=100, faces_picked=(2,)))
    without = restorer(seconds_per_face=3.5).restore(PHOTO, RestoreOptions(**PNG, faces=0))
    assert with_them.estimate_s - without.estimate_s == pytest.approx(7, abs=0.5)
    assert one.estimate_s - without.estimate_s == pytest.approx(3.5, abs=0.5)
    assert (
        f"About {with_them.estimate_s:.1f} s are expected. 7.0 s of that is for faces, of which 2 will be"
        in with_them.choice
    )
    assert "faces" not in without.choice


@pytest.mark.parametrize("believed_s", [4.0, 0.0])
def test_the_time_told_for_a_face_follows_what_faces_take(pipeline, restorer, believed_s):
    took_s: list[float] = []

    def slow(crops: Array) -> Array:
        began = time.perf_counter()
        time.sleep(0.2 * len(crops))
        made = crisper(crops)
        took_s.append(time.perf_counter() - began)
        return made

    faces = pipeline(slow, seconds_per_face=believed_s)
    restorer(faces=faces).restore(PHOTO, RestoreOptions(**PNG, faces=100))
    learnt_s = sum(took_s) / 2  # for each of the two
    assert learnt_s >= 0.2
    assert faces.seconds_per_face == pytest.approx((believed_s + learnt_s) / 2 if believed_s else learnt_s, abs=0.15)


@pytest.mark.parametrize("bad", BAD)
def test_faces_that_fail_teach_nothing_of_the_time(pipeline, restorer, bad):
    faces = pipeline(bad, seconds_per_face=4.0)
    restorer(faces=faces).restore(PHOTO, RestoreOptions(**PNG, faces=100))
    assert faces.seconds_per_face == 4.0


@pytest.mark.parametrize("wish", [{}, {"faces_left_out": (1, 2)}])
def test_the_seconds_of_looking_for_faces_are_told_too_and_are_gone_from_the_time_there_is(restorer, monkeypatch, wish):
    took_s: list[float] = []

    def find(image: Array, detector: KnowsWhere, **_: object) -> tuple[Face, ...]:
        began = time.perf_counter()
        time.sleep(0.6)
        took_s.append(time.perf_counter() - began)  # which on a busy machine is more
        return detector(image)

    monkeypatch.setattr("models.faces.finding.find_faces", find)
    options = RestoreOptions(**PNG, faces=100, **wish)
    told_s = restorer(seconds_per_face=4.0).restore(PHOTO, options).estimate_s
    without_s = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0)).estimate_s
    assert told_s - without_s == pytest.approx(took_s[0] + (0 if wish else 8), abs=0.3)
    if not wish:
        short = replace(options, max_seconds=without_s + 8.3)
        reasons = [face.reason for face in restorer(seconds_per_face=4.0).restore(PHOTO, short).faces]
        assert reasons.count("no_time") == 1


def test_faces_that_will_be_left_take_no_time(restorer):
    small = png(cv2.resize(photograph(), None, fx=0.1, fy=0.1, interpolation=cv2.INTER_AREA))
    tiny = restorer(seconds_per_face=30.0)
    tiny._faces.detector = KnowsWhere(*(affine @ np.diag([10, 10, 1]) for affine in AFFINES))
    result = tiny.restore(small, RestoreOptions(**PNG, faces=100))
    assert [face.reason for face in result.faces] == ["too_small"] * 2
    assert result.estimate_s < 30


def no_room(*_: object, **__: object) -> Any:
    raise MemoryError("no")


def no_room_for_opencv(*_: object, **__: object) -> Any:
    return cv2.resize(np.zeros((2, 2), np.uint8), (2**31 - 1, 2**18), interpolation=cv2.INTER_NEAREST)


def broken(*_: object, **__: object) -> Any:
    raise RuntimeError("a kernel that this processor has not got")


def confused(*_: object, **__: object) -> Any:
    return cv2.GaussianBlur(np.zeros((2, 2), np.uint8), (2, 2), 1)  # an even side, which OpenCV refuses


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("pipeline.reason_to_leave", no_room), ("pipeline.reason_to_leave", broken), ("pipeline.align_in", no_room),
        ("pipeline.face_layer", no_room_for_opencv), ("pipeline.face_layer", confused),
        ("pipeline.paste_guarded", no_room), ("pipeline.paste_guarded", broken),
    ],
)  # fmt: skip
def test_whatever_goes_wrong_with_faces_is_a_picture_without_them_that_says_so(restorer, monkeypatch, where, fault):
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    monkeypatch.setattr(f"models.faces.{where}", fault)
    result = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=100, faces_left_out=(1,)))
    assert not difference(result.data, plain.data).any()
    assert [face.reason for face in result.faces] == ["unpicked", "failed"]
    assert result.notices[-1:] == ("faces_failed",)


@pytest.mark.parametrize("fault", [no_room_for_opencv, broken])
def test_a_judge_or_a_parser_that_fails_costs_faces_and_no_picture(restorer, fault, caplog):
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    for part in ("embedder", "parser"):
        result = restorer(**{part: fault}).restore(PHOTO, RestoreOptions(**PNG, faces=100))
        assert [(face.status, face.reason) for face in result.faces] == [("left", "failed")] * 2
        assert not difference(result.data, plain.data).any()
        assert result.notices[-1:] == ("faces_failed",)
    assert ("OutOfMemory: " if fault is no_room_for_opencv else "RuntimeError: a kernel") in caplog.text


@pytest.mark.parametrize("fault", [no_room_for_opencv, confused])
def test_a_detector_that_fails_costs_faces_and_no_picture(restorer, pipeline, fault, caplog):
    faces = pipeline()
    faces.detector = fault
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    result = restorer(faces=faces).restore(PHOTO, RestoreOptions(**PNG, faces=100))
    assert (result.data, result.faces, result.notices[-1:]) == (plain.data, (), ("faces_not_looked_for",))
    assert "looking for faces" in caplog.text


class Looks(KnowsWhere):
    """A detector that can be looked through closely, or dies of it."""

    def __init__(self, happening: Callable[..., Any] = lambda crops: [None] * len(crops)) -> None:
        super().__init__()
        self.closely = happening  # type: ignore[method-assign]


@pytest.mark.parametrize("fault", [broken, confused])
def test_what_fails_on_trial_is_switched_off_and_that_is_told(pipeline, fault, caplog):
    faces = pipeline(second=Looks(fault), parser=fault, embedder=fault)
    faces.detector = Looks()
    faces.sha256 = dict.fromkeys(("detector", "second", "restorer", "parser", "identity"), "a" * 64)
    faces.calibrate()
    assert (faces.second, faces.parser, faces.embedder) == (None, None, None)
    assert set(faces.sha256) == {"detector", "restorer"}
    told = [record.getMessage() for record in caplog.records]
    for words in ("without a second opinion", "in an oval"):
        (said,) = (message for message in told if words in message)
        assert "RuntimeError: a kernel" in said or "error: OpenCV" in said
    assert faces.guard_off.startswith(("the judge fails here: RuntimeError: a kernel", "the judge fails here: error:"))
    working = pipeline(second=Looks(), parser=lambda crop: crop[..., 0], embedder=embedder)
    working.detector = Looks()
    working.calibrate()
    assert None not in (working.second, working.parser, working.embedder)


def test_without_a_restorer_or_a_detector_that_works_on_trial_faces_are_off_in_words(pipeline):
    faces = pipeline(broken)
    faces.detector = Looks()
    with pytest.raises(WeightsRefused, match="restores faces does not work here: RuntimeError: a kernel"):
        faces.calibrate()
    faces.detector = Looks(broken)
    with pytest.raises(WeightsRefused, match="finds no faces here: RuntimeError: a kernel"):
        faces.calibrate()


def test_a_trial_without_memory_says_nothing_about_the_parts(pipeline):
    faces = pipeline(embedder=no_room_for_opencv)
    faces.detector = Looks()
    with pytest.raises(OutOfMemory, match="Insufficient memory"):
        faces.calibrate()
    assert faces.embedder is no_room_for_opencv


def test_no_memory_for_looking_is_tried_twice_and_then_a_picture_without_faces(restorer, monkeypatch):
    plain = restorer().restore(PHOTO, RestoreOptions(**PNG, faces=0))
    tries: list[int] = []

    def find(image: Array, detector: KnowsWhere, **_: object) -> tuple[Face, ...]:
        tries.append(1)
        return no_room() if len(tries) != 2 else detector(image)

    built = restorer()
    monkeypatch.setattr("models.faces.finding.find_faces", find)
    assert built.restore(PHOTO, RestoreOptions(**PNG, faces=100)).faces_restored == 2
    monkeypatch.setattr("models.faces.finding.find_faces", no_room)
    result = built.restore(PHOTO, RestoreOptions(**PNG, faces=100))
    assert (result.data, result.faces, result.notices[-1:]) == (plain.data, (), ("faces_not_looked_for",))


def test_one_face_without_room_leaves_the_other_restored(restorer):
    tries: list[int] = []

    def greedy(crops: Array) -> Array:
        tries.append(len(crops))
        return no_room() if len(tries) <= 2 else crisper(crops)

    result = restorer(greedy).restore(PHOTO, RestoreOptions(**PNG, faces=100))
    assert [(face.status, face.reason) for face in result.faces] == [("left", "failed"), ("restored", None)]
    assert tries == [1, 1, 1]


def test_whatever_ends_the_pasting_half_way_leaves_the_picture_as_it_was(pipeline):
    faces, original = pipeline(embedder=embedder, likeness=0.9), Picture(pixels=photograph())
    plain = cv2.resize(photograph(), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    ready = faces.restore(original, faces.find(original), plain)
    asked: list[bool] = []

    def after_the_first() -> bool:
        asked.append(not np.array_equal(picture, plain))
        return asked[-1]

    picture = plain.copy()
    with pytest.raises(RestorationStopped):
        ready.show(picture, strength=100, should_stop=after_the_first)
    assert asked == [False, True]
    assert np.array_equal(picture, plain)
    assert np.array_equal(ready.shown(plain, strength=100)[0], plain) is False
