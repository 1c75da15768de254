"""Faces of a picture: found roughly, then looked at one by one.

A detector's landmarks drift with the size and the angle of a face. So the first pass only finds: in the picture reduced
to sides for which the detector was made, so that a face may fill it or be a twentieth of it. The second pass turns each
face upright, brings it to the size at which the detector is steadiest, looks at it and at its mirror image, and takes
the mean. What was no face does not survive that: it is not seen again, or elsewhere, or not by the second detector.
Measured by ``python -m benchmarks.faces``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.faces.alignment import (
    TEMPLATE,
    TEMPLATE_EYE_DISTANCE,
    Affine,
    after,
    invert,
    least_squares_affine,
    transform,
    warp,
)
from models.faces.detectors import RGB, FaceDetector, RetinaFaceDetector, YuNetDetector, at_most
from models.faces.face import Face

__all__ = ["FaceDetector", "Limits", "RetinaFaceDetector", "YuNetDetector", "find_faces"]

TURNED_SIDE = 640  # px; for pictures that lie on their side or stand on their head
CLOSE_SIDE = 4.5  # eye distances; of the square that is looked at, about two heads wide
MOST_FOUND = 1000  # in one picture; a crowd of 400 is found, a network of nonsense comes to an end
CLOSE_BATCH = 16  # faces; their squares and mirror images go through the network together, in 200 MB
CLOSE_MIDDLE = (256.0, 290.0)  # of that square, in pixels of the 512 px template: the middle of a face
MIRRORED = (1, 0, 2, 4, 3)  # which landmark is which in a mirror


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What counts as a face.

    Attributes:
        first_score: of the detector in the whole picture.
        close_score: of the detector, at the least, for the upright face and for its mirror image.
        second_score: of another detector, where there is one, for the upright face.
        eye_distance: px in the picture; below, there is nothing to restore from.
        misfit: of the landmarks from the template's, root mean square over eye distance: faces in profile have more.
        mirror_misfit: of the landmarks from those of the mirror image, mean over eye distance.
        moved: of the landmarks from the first to the second pass, mean over eye distance.
        second_misfit: of the landmarks from those of the other detector, mean over eye distance.
    """

    first_score: float = 0.5
    close_score: float = 0.8
    second_score: float = 0.8
    eye_distance: float = 6.0
    misfit: float = 0.25
    mirror_misfit: float = 0.2
    moved: float = 0.35
    second_misfit: float = 0.3


def find_faces(
    image: RGB,
    detector: FaceDetector,
    *,
    refine: bool = True,
    second: FaceDetector | None = None,
    limits: Limits | None = None,
    check: Callable[[], None] = lambda: None,
) -> tuple[Face, ...]:
    """All faces worth a restoration.

    Args:
        image: (H, W, 3) uint8 RGB of any size; left untouched.
        detector: finds them.
        refine: look at each closely. Without, the landmarks are the first pass's, and only score and size are limits.
        second: another detector, asked about each face that the first one is sure of.
        limits: what counts as a face.
        check: called before each look; may raise.

    Returns:
        Faces in pixels of ``image``, the surest first. Their score is the lowest of those that ``detector`` gave.
        Pictures in which nothing stands upright are also looked at on their sides and upside down.
    """
    limits = limits or Limits()

    def judged(found: list[Face]) -> tuple[Face, ...]:
        sure = [face for face in found if face.score >= limits.first_score and face.eye_distance >= limits.eye_distance]
        return _judged(image, sure, detector, second, limits, check=check) if refine else tuple(sure)

    faces = judged(_found(image, detector, check))
    for quarters in (1, 3, 2):
        if faces:
            break
        check()
        faces = judged(_found_turned(image, detector, quarters))
    return faces


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """What a close look saw of a face; landmarks in pixels of the picture, the rest over the eye distance."""

    landmarks: NDArray[np.float64]
    score: float
    mirror_misfit: float


def _found(image: RGB, detector: FaceDetector, check: Callable[[], None]) -> list[Face]:
    """What the detector takes for a face in the picture at several sizes; each once, the surest first."""
    faces: list[Face] = []
    looked_at: set[tuple[int, ...]] = set()
    for side in detector.sides:
        small = at_most(image, side)
        if small.shape not in looked_at:
            looked_at.add(small.shape)
            check()
            factor_xy = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
            faces += [face.scaled(factor_xy) for face in detector(small)]
    return _each_once(faces)


def _found_turned(image: RGB, detector: FaceDetector, quarters: int) -> list[Face]:
    """The same in the picture turned left by so many quarters, in pixels of the picture as it is."""
    small = at_most(image, TURNED_SIDE)
    height, width = small.shape[:2]
    back = {
        1: np.array([(0.0, -1.0, width - 1), (1.0, 0.0, 0.0)]),
        2: np.array([(-1.0, 0.0, width - 1), (0.0, -1.0, height - 1)]),
        3: np.array([(0.0, 1.0, 0.0), (-1.0, 0.0, height - 1)]),
    }[quarters]
    factor_xy = image.shape[1] / width, image.shape[0] / height
    faces = detector(np.ascontiguousarray(np.rot90(small, quarters)))
    return _each_once([_moved(face, back).scaled(factor_xy) for face in faces])


def _moved(face: Face, affine: Affine) -> Face:
    left, top, right, bottom = face.box_xyxy
    corners = transform(affine, np.array([(left, top), (right, top), (left, bottom), (right, bottom)]))
    box_xyxy = (*corners.min(0).tolist(), *corners.max(0).tolist())
    return replace(face, box_xyxy=box_xyxy, landmarks=transform(affine, face.landmarks).astype(np.float32))


def _each_once(faces: Sequence[Face]) -> list[Face]:
    """The surest of those that have their landmarks in about the same place; the surest first."""
    waiting = sorted(filter(_is_sound, faces), key=lambda face: -face.score)[:MOST_FOUND]
    landmarks = np.array([face.landmarks for face in waiting]).reshape(-1, 5, 2)
    eyes = np.array([face.eye_distance for face in waiting])
    open_, kept = np.ones(len(waiting), bool), []
    for index, face in enumerate(waiting):
        if open_[index]:
            kept.append(face)
            apart = np.linalg.norm(landmarks - landmarks[index], axis=2).mean(axis=1)
            open_ &= apart > np.maximum(eyes, eyes[index])
    return kept


def _is_sound(face: Face) -> bool:
    """Whether a detector gave numbers, and a box that has an inside."""
    left, top, right, bottom = face.box_xyxy
    numbers = (*face.box_xyxy, face.score, *face.landmarks.ravel().tolist())
    return all(map(math.isfinite, numbers)) and left < right and top < bottom


def _judged(
    image: RGB,
    faces: list[Face],
    detector: FaceDetector,
    second: FaceDetector | None,
    limits: Limits,
    *,
    check: Callable[[], None],
) -> tuple[Face, ...]:
    """Those that are faces, with landmarks from a close look."""
    looks = _looks(image, faces, detector, check)
    kept = [
        replace(face, score=min(face.score, look.score), landmarks=look.landmarks.astype(np.float32))
        for face, look in zip(faces, looks, strict=True)
        if look is not None and _plausible(face, look, limits)
    ]
    if second is not None:
        checks = _looks(image, kept, second, check)
        kept = [face for face, look in zip(kept, checks, strict=True) if _confirmed(face, look, limits)]
    return tuple(_each_once(kept))


def _plausible(face: Face, look: _Look, limits: Limits) -> bool:
    eye_distance = float(np.linalg.norm(look.landmarks[1] - look.landmarks[0]))
    return (
        look.score >= limits.close_score
        and eye_distance >= limits.eye_distance
        and look.mirror_misfit <= limits.mirror_misfit
        and misfit(look.landmarks) <= limits.misfit
        and _distance(face.landmarks, look.landmarks) <= limits.moved * eye_distance
    )


def _confirmed(face: Face, look: _Look | None, limits: Limits) -> bool:
    return (
        look is not None
        and look.score >= limits.second_score
        and _distance(face.landmarks, look.landmarks) <= limits.second_misfit * face.eye_distance
    )


def misfit(landmarks: NDArray[np.float32] | NDArray[np.float64]) -> float:
    """How far (5, 2) landmarks are from the template's, brought as near as a similarity can: RMS over eye distance."""
    ends = transform(least_squares_affine(landmarks), landmarks)
    return float(np.sqrt(np.square(ends - TEMPLATE).sum(axis=1).mean()) / TEMPLATE_EYE_DISTANCE)


def _looks(image: RGB, faces: Sequence[Face], detector: FaceDetector, check: Callable[[], None]) -> list[_Look | None]:
    """A close look at each face and at its mirror image."""
    looks: list[_Look | None] = []
    for start in range(0, len(faces), CLOSE_BATCH):
        check()
        some = faces[start : start + CLOSE_BATCH]
        side = round(CLOSE_SIDE * detector.best_eye_distance / 32) * 32  # what a network of stride 32 likes
        affines = [_to_square(face, detector.best_eye_distance, side) for face in some]
        crops = np.stack([warp(image, affine, (side, side), border=None) for affine in affines])
        answers = detector.closely(np.concatenate([crops, crops[:, :, ::-1]]))
        looks += map(_look, affines, answers[: len(some)], answers[len(some) :], [side] * len(some))
    return looks


def _look(affine: Affine, plain: Face | None, mirrored: Face | None, side: int) -> _Look | None:
    if plain is None or mirrored is None:
        return None
    turned_back = mirrored.landmarks[list(MIRRORED)] * np.array((-1, 1)) + np.array((side - 1, 0))
    landmarks = (plain.landmarks + turned_back) / 2
    eye_distance = max(float(np.linalg.norm(landmarks[1] - landmarks[0])), 1e-6)
    return _Look(
        landmarks=transform(invert(affine), landmarks),
        score=min(plain.score, mirrored.score),
        mirror_misfit=_distance(plain.landmarks, turned_back) / eye_distance,
    )


def _to_square(face: Face, eye_distance: float, side: int) -> Affine:
    """From the picture to a square in which the face stands upright, in the middle, with its eyes so far apart."""
    factor = eye_distance / TEMPLATE_EYE_DISTANCE
    shift = (side - 1) / 2 - factor * np.array(CLOSE_MIDDLE)
    return after(np.column_stack([np.eye(2) * factor, shift]), least_squares_affine(face.landmarks))


def _distance(
    some: NDArray[np.float32] | NDArray[np.float64], others: NDArray[np.float32] | NDArray[np.float64]
) -> float:
    """Mean over the landmarks, in pixels."""
    return float(np.linalg.norm(some - others, axis=1).mean())
