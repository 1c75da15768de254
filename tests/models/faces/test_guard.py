"""A restored face is shown only as far as it is still the same person, whatever the restorer did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import RestorationStopped
from models.faces.alignment import warp
from models.faces.face import Face
from models.faces.guard import Candidate, Outcome, paste_guarded, reason_to_leave, sigmas_between_eyes
from models.faces.identity import cosine, embedding, identity_crop, similarity, unit
from models.faces.pasting import face_layer, pasted
from models.faces.report import FaceReport, in_reading_order
from models.faces.restoring import restore_crops
from tests.models.faces.pictures import SIDE, another_face, landmarks_of, photograph, to_crop_affine
from tests.models.faces.test_restoring import BAD

Array = NDArray[Any]
AFFINES = (to_crop_affine((110, 150), 2.6, 6), to_crop_affine((290, 140), 2.9, -9))


def embedder(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Faces are who they are by how they look from near: brightness without its mean, 16 x 16."""
    assert crop.shape == (112, 112, 3)
    assert crop.dtype == np.uint8
    gray = cv2.resize(crop.astype(np.float32).mean(axis=2)[16:96, 16:96], (16, 16), interpolation=cv2.INTER_AREA)
    return unit((gray - cv2.GaussianBlur(gray, (0, 0), 3)).ravel())


def crops_of(picture: Array, affines: tuple[Array, ...] = AFFINES) -> list[NDArray[np.uint8]]:
    return [warp(picture, affine, (SIDE, SIDE)) for affine in affines]


def candidates(
    picture: Array, restorer: Callable[[Array], Array], affines: tuple[Array, ...] = AFFINES
) -> list[Candidate]:
    made = restore_crops(restorer, crops_of(picture, affines))
    return [
        Candidate(
            landmarks=landmarks_of(affine),
            affine=affine,
            layer=None if crop.levels is None else face_layer(picture, crop.levels, affine),
            reason="failed" if crop.levels is None else None,
        )
        for affine, crop in zip(affines, made, strict=True)
    ]


def sharper(stack: Array) -> Array:
    levels = stack.astype(np.float32)
    return np.stack([crop + 0.7 * (crop - cv2.GaussianBlur(crop, (0, 0), 4)) for crop in levels])


def somebody_else(stack: Array) -> Array:
    """Keeps what a face looks like from afar, and changes all else."""
    return np.stack(
        [0.6 * cv2.GaussianBlur(crop.astype(np.float32), (0, 0), 12) + 0.9 * another_face(21) for crop in stack]
    ).astype(np.float32)


def test_a_face_that_stays_itself_is_restored_as_asked() -> None:
    picture, result = photograph(), photograph().copy()
    outcomes = paste_guarded(result, candidates(picture, sharper), 80, embedder=embedder, threshold=0.8)
    assert [(outcome.status, outcome.reason, outcome.strength) for outcome in outcomes] == [("restored", None, 80)] * 2
    layers = [candidate.layer for candidate in candidates(picture, sharper) if candidate.layer is not None]
    np.testing.assert_array_equal(result, pasted(picture, layers, [80, 80]))
    assert (result != picture).any()


@pytest.mark.parametrize("threshold", [0.7, 0.9, 0.97])
def test_somebody_else_s_face_is_shown_less_or_not_at_all(threshold: float) -> None:
    picture, result = photograph(), photograph().copy()
    faces = candidates(picture, somebody_else)
    assert all(face.layer is not None for face in faces)
    outcomes = paste_guarded(result, faces, 100, embedder=embedder, threshold=threshold)
    for outcome, face in zip(outcomes, faces, strict=True):
        assert outcome.status in {"weakened", "left"}
        assert outcome.reason == "unlike"
        assert outcome.strength in {0, *range(25, 100)}
        assert outcome.similarity_asked is not None
        assert outcome.similarity_asked < threshold <= outcome.similarity  # type: ignore[operator]
        assert similarity(embedder, picture, result, face.landmarks) == pytest.approx(outcome.similarity, abs=1e-6)
    assert np.array_equal(result, picture) == all(outcome.status == "left" for outcome in outcomes)


def test_a_face_that_is_never_like_itself_is_left_byte_for_byte() -> None:
    picture, result = photograph(), photograph().copy()
    outcomes = paste_guarded(result, candidates(picture, somebody_else), 100, embedder=embedder, threshold=0.9999)
    assert [(outcome.status, outcome.strength) for outcome in outcomes] == [("left", 0)] * 2
    assert result.tobytes() == picture.tobytes()


@pytest.mark.parametrize("restorer", BAD)
def test_a_restorer_that_fails_leaves_the_picture_as_it_was(restorer: Callable[[Array], Array]) -> None:
    picture, result = photograph(), photograph().copy()
    outcomes = paste_guarded(result, candidates(picture, restorer), 100, embedder=embedder)
    assert outcomes == (Outcome(status="left", reason="failed", strength=0.0),) * 2
    assert result.tobytes() == picture.tobytes()


class Distance:
    """A judge by how far a face is from the plain one: the stronger it is shown, the less alike."""

    def __init__(
        self, plain: Array, landmarks: Array, likeness: Callable[[float], float] = lambda far: 1 - far
    ) -> None:
        self.plain, self.likeness, self.asked = identity_crop(plain, landmarks).astype(float), likeness, 0

    def __call__(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.asked += 1
        cosine = self.likeness(float(np.abs(crop - self.plain).mean()) / 40)
        return np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)


def scanned(picture: Array, face: Candidate, judge: Distance, wishes: list[float]) -> dict[float, float]:
    """How alike a face is at each strength, without the guard."""
    assert face.layer is not None
    return {wish: similarity(judge, picture, pasted(picture, [face.layer], [wish]), face.landmarks) for wish in wishes}


@pytest.mark.parametrize("threshold", [0.45, 0.62, 0.8, 0.97])
def test_who_asks_for_more_never_gets_less_and_who_asks_for_what_is_alike_gets_it(threshold: float) -> None:
    picture = photograph()
    face = candidates(picture, somebody_else)[0]
    judge = Distance(picture, face.landmarks)
    alike = scanned(picture, face, judge, list(range(101)))
    cap = max(wish for wish, value in alike.items() if value >= threshold)
    assert 0 < cap < 100
    cap = cap if cap >= 25 else 0
    last = 0.0
    for wish in sorted([*range(0, 101, 5), 80.5, *(cap + more for more in (0, -1, 1, -0.4, 0.4) if cap)]):
        (outcome,) = paste_guarded(picture.copy(), [face], wish, embedder=judge, threshold=threshold)
        assert outcome.strength == min(wish, cap)
        assert outcome.strength >= last
        last = outcome.strength


def test_a_face_that_is_fine_is_judged_once_and_another_nine_times_at_most() -> None:
    picture = photograph()
    face = candidates(picture, somebody_else)[0]
    for threshold in (0.1, 0.45, 0.62, 0.8, 0.97, 0.9999):
        for wish in (100, 80, 33):
            judge = Distance(picture, face.landmarks)
            (outcome,) = paste_guarded(picture.copy(), [face], wish, embedder=judge, threshold=threshold)
            most = 2 if outcome.status == "restored" else 10  # one of them of the plain face
            assert 2 <= judge.asked <= most


def test_where_likeness_comes_and_goes_what_is_alike_is_shown_and_what_is_shown_is_alike() -> None:
    picture = photograph()
    face = candidates(picture, somebody_else)[0]
    judge = Distance(picture, face.landmarks, lambda far: 0.6 + 0.4 * float(np.cos(25 * far)))
    wishes = [float(wish) for wish in range(25, 101, 3)]
    alike = scanned(picture, face, judge, wishes)
    assert {value >= 0.8 for value in alike.values()} == {True, False}
    for wish in wishes:
        result = picture.copy()
        (outcome,) = paste_guarded(result, [face], wish, embedder=judge, threshold=0.8)
        assert outcome.strength <= wish
        assert (outcome.strength == wish) == (alike[wish] >= 0.8)
        assert outcome.similarity == pytest.approx(similarity(judge, picture, result, face.landmarks), abs=1e-6)
        assert outcome.similarity >= 0.8  # type: ignore[operator]


def test_a_judge_that_fails_has_no_opinion_of_that_face_which_is_left_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    picture, result = photograph(), photograph().copy()
    faces = candidates(picture, sharper)
    first = identity_crop(picture, faces[0].landmarks)

    def failing(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        if np.abs(crop.astype(int) - first).mean() < 3:
            raise cv2.error("this blob has no size")
        return embedder(crop)

    outcomes = paste_guarded(result, faces, 80, embedder=failing, threshold=0.8)
    assert [(outcome.status, outcome.reason) for outcome in outcomes] == [("left", "failed"), ("restored", None)]
    assert outcomes[0].similarity is None
    assert "judging the likeness of a face failed: error: this blob has no size" in caplog.text
    alone = picture.copy()
    paste_guarded(alone, faces[1:], 80, embedder=embedder, threshold=0.8)
    np.testing.assert_array_equal(result, alone)


def test_a_judge_that_fails_after_it_liked_a_face_takes_its_opinion_with_it() -> None:
    picture = photograph()
    face = candidates(picture, somebody_else)[0]
    for fails_at in range(1, 10):
        judge, result, failures = Distance(picture, face.landmarks), picture.copy(), [0]

        def failing(
            crop: NDArray[np.uint8], judge: Distance = judge, at: int = fails_at, failures: list[int] = failures
        ) -> NDArray[np.float32]:
            if judge.asked + 1 == at:
                failures[0] += 1
                raise RuntimeError("no more")
            return judge(crop)

        (outcome,) = paste_guarded(result, [face], 100, embedder=failing, threshold=0.62)
        if failures[0]:
            assert (outcome.status, outcome.reason, outcome.strength) == ("left", "failed", 0)
            assert result.tobytes() == picture.tobytes()


def test_one_bad_face_does_not_keep_the_other_from_being_restored() -> None:
    picture, result = photograph(), photograph().copy()
    first, second = candidates(picture, sharper)[0], candidates(picture, somebody_else)[1]
    outcomes = paste_guarded(result, [first, second], 100, embedder=embedder, threshold=0.95)
    assert outcomes[0].status == "restored"
    assert outcomes[1].reason == "unlike"


@pytest.mark.parametrize("apart", [30, 55, 75])
@pytest.mark.parametrize("picture", [photograph(), np.ascontiguousarray(photograph()[..., 0])])
def test_figures_are_those_of_the_two_pictures_though_faces_overlap(apart: int, picture: Array) -> None:
    affines = tuple(to_crop_affine((140 + apart * index, 150), 3.4, 12 * index) for index in range(3))
    colours = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    restorers = (sharper, somebody_else, sharper)
    made = [restorer(crop[None])[0] for restorer, crop in zip(restorers, crops_of(colours, affines), strict=True)]
    faces = [
        Candidate(landmarks=landmarks_of(affine), affine=affine, layer=face_layer(picture, crop, affine))
        for affine, crop in zip(affines, made, strict=True)
    ]
    result = picture.copy()
    outcomes = paste_guarded(result, faces, 90, embedder=embedder, threshold=0.93)
    for outcome, face in zip(outcomes, faces, strict=True):
        assert outcome.similarity == pytest.approx(similarity(embedder, picture, result, face.landmarks), abs=1e-6)
        assert outcome.similarity is not None
        assert outcome.similarity >= 0.93 or outcome.status == "left"
    layers = [face.layer for face in faces if face.layer is not None]
    np.testing.assert_array_equal(result, pasted(picture, layers, [outcome.strength for outcome in outcomes]))


def test_without_a_judge_the_strength_holds() -> None:
    picture, result = photograph(), photograph().copy()
    faces = candidates(picture, somebody_else)
    outcomes = paste_guarded(result, faces, 40, embedder=None)
    assert outcomes == (Outcome(status="restored", reason=None, strength=40.0),) * 2
    np.testing.assert_array_equal(result, pasted(picture, [face.layer for face in faces if face.layer], [40, 40]))


@pytest.mark.parametrize("judge", [None, embedder])
def test_strength_zero_is_no_restoration(judge: Any) -> None:
    picture, result = photograph(), photograph().copy()
    outcomes = paste_guarded(result, candidates(picture, sharper), 0, embedder=judge)
    assert result.tobytes() == picture.tobytes()
    assert {outcome.status for outcome in outcomes} == {"left"}


def test_unpicked_faces_keep_their_reason_and_their_pixels() -> None:
    picture, result = photograph(), photograph().copy()
    first, second = candidates(picture, sharper)
    unpicked = Candidate(landmarks=second.landmarks, affine=second.affine, layer=None, reason="unpicked")
    outcomes = paste_guarded(result, [unpicked, first], 100, embedder=embedder, threshold=0.8)
    assert outcomes[0] == Outcome(status="left", reason="unpicked", strength=0.0)
    assert outcomes[1].status == "restored"
    assert second.layer is not None
    np.testing.assert_array_equal(result[second.layer.region.slices], picture[second.layer.region.slices])


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_judge_without_an_opinion_is_no_leave_to_change_a_face(value: float) -> None:
    picture, result = photograph(), photograph().copy()
    outcomes = paste_guarded(
        result, candidates(picture, sharper), 100, embedder=lambda _crop: np.full(8, value, np.float32)
    )
    assert [(outcome.status, outcome.reason, outcome.similarity) for outcome in outcomes] == [
        ("left", "unlike", None)
    ] * 2
    assert result.tobytes() == picture.tobytes()


def test_a_wish_to_stop_passes_through() -> None:
    def check() -> None:
        raise RestorationStopped("enough")

    picture = photograph()
    with pytest.raises(RestorationStopped):
        paste_guarded(picture.copy(), candidates(picture, sharper), 100, embedder=embedder, check=check)


def test_embedders_see_a_face_upright_whatever_its_size_and_angle() -> None:
    soft = photograph(800, 600, finest=0.02, noise=0)
    affine = to_crop_affine((400, 300), 1.2, 25)
    upright = warp(soft, affine, (SIDE, SIDE))
    template = landmarks_of(to_crop_affine((256, 292), 1))
    expected = identity_crop(upright, template).astype(int)
    assert np.abs(identity_crop(soft, landmarks_of(affine)).astype(int) - expected).mean() < 2
    np.testing.assert_array_equal(
        identity_crop(soft.astype(np.uint16) * 257, landmarks_of(affine)), identity_crop(soft, landmarks_of(affine))
    )
    gray = np.ascontiguousarray(soft[..., 0])
    assert (
        identity_crop(gray, landmarks_of(affine))[..., 0] == identity_crop(gray, landmarks_of(affine))[..., 2]
    ).all()


def test_a_crop_depends_on_nothing_but_what_it_shows() -> None:
    picture, landmarks = photograph(), landmarks_of(AFFINES[0])
    other = picture.copy()
    other[:, 300:] = 0
    np.testing.assert_array_equal(identity_crop(picture, landmarks), identity_crop(other, landmarks))


def test_likeness_is_the_cosine() -> None:
    one, other = np.array([3, 0, 4], np.float32), np.array([0, 0, 2], np.float32)
    assert cosine(unit(one), unit(other)) == pytest.approx(0.8)
    assert np.linalg.norm(unit(one)) == pytest.approx(1)
    assert np.isnan(cosine(unit(one), unit(np.zeros(3, np.float32))))
    picture, landmarks = photograph(), landmarks_of(AFFINES[0])
    assert similarity(embedder, picture, picture, landmarks) == pytest.approx(1)
    assert embedding(embedder, picture, landmarks).shape == (256,)


def drawn_face(eye_distance: float, blur: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Dark and light ovals, drawn large and made smaller."""
    canvas = np.full((1200, 1200), 90.0, np.float32)
    for middle, axes, level in (
        ((600, 640), (300, 400), 190.0), ((450, 540), (50, 25), 40.0), ((750, 540), (50, 25), 40.0),
        ((600, 860), (130, 30), 70.0), ((600, 720), (30, 60), 150.0),
    ):  # fmt: skip
        cv2.ellipse(canvas, middle, axes, 0, 0, 360, level, -1, cv2.LINE_AA)
    landmarks = np.array([(450, 540), (750, 540), (600, 720), (475, 860), (725, 860)], np.float32)
    scale = eye_distance / 300
    small = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), blur) if blur else small
    gray = np.rint(small).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2), (landmarks + 0.5) * np.float32(scale) - 0.5


@pytest.mark.parametrize(
    ("eye_distance", "blur", "reason"),
    [
        (60, 0, None), (12, 0, None), (9, 0, "too_small"), (40, 40 / 14, None), (40, 40 / 6, "too_blurred"),
        (200, 200 / 14, None), (200, 200 / 6, "too_blurred"), (14, 14 / 6, "too_blurred"),
    ],
)  # fmt: skip
def test_faces_too_small_or_too_blurred_to_judge_are_told(eye_distance: float, blur: float, reason: str | None) -> None:
    picture, landmarks = drawn_face(eye_distance, blur)
    assert reason_to_leave(picture, landmarks) == reason
    assert reason_to_leave(picture[..., 0].astype(np.uint16) * 257, landmarks) == reason


def test_a_picture_without_edges_is_too_blurred() -> None:
    assert (
        reason_to_leave(np.full((200, 200), 128, np.uint8), landmarks_of(to_crop_affine((100, 100), 3)))
        == "too_blurred"
    )


@pytest.mark.parametrize("name", ["gfpgan_crop_Adele_crop", "codeformer_gray_Einstein01", "codeformer_crop_0143"])
def test_blur_of_real_faces_is_measured(shared: Path, name: str) -> None:
    picture = np.asarray(cv2.imread(str(shared / "images" / "faces" / f"{name}.png")), np.uint8)
    scale = 40 / 126 * 512 / picture.shape[0]
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    landmarks = (landmarks_of(to_crop_affine((256, 292), 1)) + 0.5) * np.float32(40 / 126) - 0.5
    assert reason_to_leave(small, landmarks) is None
    for sigmas in (12, 8, 5):
        blurred = np.asarray(cv2.GaussianBlur(small, (0, 0), 40 / sigmas), np.uint8)
        assert sigmas_between_eyes(blurred, landmarks) == pytest.approx(sigmas, rel=0.25)


def face(x: float, y: float, side: float = 40) -> Face:
    return Face(box_xyxy=(x, y, x + side, y + side), score=0.9, landmarks=np.zeros((5, 2), np.float32))


def test_faces_are_numbered_as_one_reads() -> None:
    rows = [face(10, 12), face(80, 0), face(150, 15), face(0, 60), face(70, 70), face(30, 140)]
    for seed in range(5):
        shuffled = [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]
        assert in_reading_order(shuffled) == tuple(rows)
    assert in_reading_order([]) == ()


def test_a_report_says_whether_a_face_was_restored() -> None:
    kept = FaceReport(number=1, face=face(0, 0), status="weakened", reason="unlike", strength=50)
    left = FaceReport(number=2, face=face(0, 0), status="left", reason="unlike")
    unpicked = FaceReport(number=3, face=face(0, 0), status="left", reason="unpicked")
    assert [report.is_restored for report in (kept, left, unpicked)] == [True, False, False]
    assert [report.is_left_for_likeness for report in (kept, left, unpicked)] == [False, True, False]
