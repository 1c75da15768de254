"""What became of a face, and which number it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.errors import OptionsError
from models.faces.face import Face

Status = Literal["restored", "weakened", "left"]
Reason = Literal["unpicked", "too_small", "too_blurred", "no_time", "unlike", "failed"]

NOTICES: Mapping[Reason, str] = {"failed": "faces_failed", "no_time": "faces_no_time"}
NOT_LOOKED_FOR = "faces_not_looked_for"  # it failed, mostly for want of memory; whether there are any is not known
SAME_ROW = 0.5  # of a face's height: middles no farther apart are in one row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceReport:
    """What became of one face.

    Attributes:
        number: from 1, in reading order, see :func:`in_reading_order`.
        face: box, score and landmarks, in pixels of the picture that was given.
        status: ``restored`` as strongly as was asked; ``weakened`` for the likeness' sake; ``left`` as it was.
        reason: why it was not restored as asked: ``unpicked``, ``too_small`` or ``too_blurred`` to judge, ``unlike``
            (too little of the person was left), ``no_time`` (the picture's time was up), ``failed``; None where it was.
        strength: 0 to 100, used in the result.
        similarity: cosine between the face in the plain enlargement and in the result; None where nobody could tell.
        similarity_asked: the same at the strength that was asked for.
    """

    number: int
    face: Face
    status: Status
    reason: Reason | None = None
    strength: float = 0.0
    similarity: float | None = None
    similarity_asked: float | None = None

    @property
    def is_restored(self) -> bool:
        """Whether something of the restored face is to be seen."""
        return self.status != "left"

    @property
    def is_left_for_likeness(self) -> bool:
        """Whether it was to be restored and was left, so that nobody is given another face."""
        return self.status == "left" and self.reason in {"unlike", "too_small", "too_blurred"}


def notices_of(faces: Sequence[FaceReport]) -> tuple[str, ...]:
    """Stable codes of what the owner should be told: ``faces_failed``, ``faces_no_time``."""
    reasons = {face.reason for face in faces}
    return tuple(code for reason, code in NOTICES.items() if reason in reasons)


def expect_there(numbers: Iterable[int], found: int) -> None:
    """Refuse numbers of faces beyond those that were found.

    Raises:
        OptionsError: names the largest.
    """
    largest = max(numbers, default=0)
    if largest > found:
        last = f"the last one is number {found}" if found else "none was found"
        raise OptionsError(f"there is no face number {largest}: {last}")


def in_reading_order(faces: Sequence[Face]) -> tuple[Face, ...]:
    """Row by row from the top, each from the left; the same faces in any order give the same.

    Who stands as high as the face that begins a row, to half of its height, belongs to that row.
    """
    left, ordered = sorted(faces, key=_key), []
    while left:
        first = left[0]
        height = first.box_xyxy[3] - first.box_xyxy[1]
        row = [face for face in left if face is first or _middle(face)[1] - _middle(first)[1] <= SAME_ROW * height]
        left = [face for face in left if face not in row]
        ordered += sorted(row, key=lambda face: (_middle(face)[0], _key(face)))
    return tuple(ordered)


def _middle(face: Face) -> tuple[float, float]:
    left, top, right, bottom = face.box_xyxy
    return (left + right) / 2, (top + bottom) / 2


def _key(face: Face) -> tuple[float, ...]:
    x, y = _middle(face)
    return (y, x, *face.box_xyxy, *np.ravel(face.landmarks).tolist())
