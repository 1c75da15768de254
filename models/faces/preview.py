"""A picture of who is who: numbered frames around faces, and a mask for each, so that a caller can leave some out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.faces.alignment import Affine
from models.faces.face import Face
from models.faces.regions import Mask, face_mask, face_region

LONGEST_SIDE = 1600  # px; larger previews say no more
LEAST_SIDE = 480  # px; smaller pictures are enlarged, for a number needs some room
PICKED_RGB = (120, 255, 90)
LEFT_OUT_RGB = (255, 120, 90)
OUTLINE_RGB = (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_HEIGHT = 22  # px of a digit at scale 1
LEAST_DIGIT, MOST_DIGIT = 16, 48  # px
FRAME = 400  # times as thin as the preview's long side


def numbered_preview(
    picture: NDArray[np.uint8], faces: Sequence[Face], *, left_out: Collection[int] = ()
) -> NDArray[np.uint8]:
    """Frames with numbers from 1, in the order of ``faces``.

    Args:
        picture: (H, W) or (H, W, 3) uint8 RGB; left untouched.
        faces: in its pixels, see :func:`models.faces.report.in_reading_order`.
        left_out: numbers that are framed in another colour and crossed out.

    Returns:
        (h, w, 3) uint8 RGB, 480 to 1600 px along the longer side.
    """
    height, width = picture.shape[:2]
    longest = max(height, width)
    scale = min(LONGEST_SIDE, max(LEAST_SIDE, longest)) / longest
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, size_wh, interpolation=method) if scale != 1 else picture.copy()
    preview = np.asarray(small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2), np.uint8)
    preview = np.ascontiguousarray(preview)
    scaled = [face.scaled((size_wh[0] / width, size_wh[1] / height)) for face in faces]
    for number, face in enumerate(scaled, start=1):
        _frame(preview, face, crossed=number in left_out)
    taken: list[tuple[int, int, int, int]] = []
    for number, face in enumerate(scaled, start=1):  # after all frames, so that none runs through a number
        _number(preview, face, number, LEFT_OUT_RGB if number in left_out else PICKED_RGB, taken)
    return preview


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceMask:
    """What restoring one face would change of a picture.

    Attributes:
        number: from 1, as the preview counts.
        face: in pixels of the picture.
        pixels: (H, W) uint8, as large as the picture: 0 not at all, 255 wholly, if no other face were near.
        is_parsed: whether skin and hair were told from the rest; else it is an oval.
    """

    number: int
    face: Face
    pixels: Mask
    is_parsed: bool


def picture_mask(affine: Affine, size_wh: tuple[int, int], labels: NDArray[np.uint8] | None = None) -> Mask:
    """(H, W) uint8: what restoring one face would change, 0 not at all, 255 wholly.

    Args:
        affine: (2, 3) from the picture to the upright 512 px crop of the face.
        size_wh: of the picture, enlarged or not.
        labels: (512, 512) uint8, BiSeNet's class of each pixel of the crop; None where no parser is there.
    """
    mask = np.zeros(size_wh[::-1], np.uint8)
    region = face_region(affine, size_wh)
    if region is not None:
        mask[region.slices] = face_mask(affine, region, size_wh, labels)
    return mask


def _frame(preview: NDArray[np.uint8], face: Face, *, crossed: bool) -> None:
    left, top, right, bottom = (round(edge) for edge in face.box_xyxy)
    thin = max(1, round(max(preview.shape[:2]) / FRAME))
    lines = [((left, top), (right, bottom)), ((left, bottom), (right, top))] if crossed else []
    for colour, thickness in ((OUTLINE_RGB, 3 * thin), (LEFT_OUT_RGB if crossed else PICKED_RGB, thin)):
        cv2.rectangle(preview, (left, top), (right, bottom), colour, thickness, cv2.LINE_AA)
        for start, stop in lines:
            cv2.line(preview, start, stop, colour, thickness, cv2.LINE_AA)


def _number(
    preview: NDArray[np.uint8],
    face: Face,
    number: int,
    colour: tuple[int, int, int],
    taken: list[tuple[int, int, int, int]],
) -> None:
    """Digits as high as a third of the face, within limits, above its frame, or where else there is room."""
    left, top, right, bottom = face.box_xyxy
    digit = min(MOST_DIGIT, max(LEAST_DIGIT, (bottom - top) / 3))
    font, thick = digit / FONT_HEIGHT, max(1, round(digit / 9))
    (wide, high), _ = cv2.getTextSize(str(number), FONT, font, thick)
    gap = 2 * thick
    wide, high = wide + 2 * gap, high + 2 * gap
    height, width = preview.shape[:2]
    places = [
        (left, top - high), (right - wide, top - high), (left, bottom), (right, top), (left - wide, top), (left, top)
    ]  # fmt: skip
    spots = [(int(min(max(0, x), max(0, width - wide))), int(min(max(0, y), max(0, height - high)))) for x, y in places]
    free = (spot for spot in spots if not any(_overlap((*spot, wide, high), other) for other in taken))
    x, y = next(free, spots[0])
    taken.append((x, y, wide, high))
    at = (x + gap, y + high - gap)
    preview[y : y + high, x : x + wide] = OUTLINE_RGB
    cv2.putText(preview, str(number), at, FONT, font, colour, thick, cv2.LINE_AA)


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Rectangles as left, top, width, height."""
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))
