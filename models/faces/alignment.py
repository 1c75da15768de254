"""From a picture to an upright face of a fixed size, and the mathematics of the way back.

The five points are those of FFHQ's alignment at 512 px, to which facexlib's helper (and with it GFPGAN's training
crops) aligns: https://github.com/xinntao/facexlib. What differs here: a picture that has to shrink is averaged first,
which the reference's plain bilinear warp does not do, so that it aliases; and the centre of the first pixel is (0, 0)
in every picture, also in an enlarged one, where the reference is half a pixel off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine.tiling import Region

TEMPLATE_SIDE = 512
TEMPLATE = np.array(
    [
        (192.98138, 239.94708),  # eyes
        (318.90277, 240.1936),
        (256.63416, 314.01935),  # nose
        (201.26117, 371.41043),  # mouth corners
        (313.08905, 371.15118),
    ]
)
TEMPLATE.flags.writeable = False
TEMPLATE_EYE_DISTANCE = float(np.linalg.norm(TEMPLATE[1] - TEMPLATE[0]))  # 125.9 px
OUTSIDE_RGB = (132.0, 133.0, 135.0)  # what the reference puts where the crop leaves the picture: a neutral gray

Affine = NDArray[np.float64]
"""(2, 3): a point (x, y) goes to ``affine[:, :2] @ (x, y) + affine[:, 2]``."""

AnyPixels = TypeVar(
    "AnyPixels",
    NDArray[np.uint8],
    NDArray[np.uint16],
    NDArray[np.float32],
    NDArray[np.uint8 | np.uint16],
    NDArray[np.uint8 | np.uint16 | np.float32],
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedFace:
    """An upright face.

    Attributes:
        crop: (side, side, 3) uint8 RGB.
        affine: (2, 3) float64, from the picture to the crop.
    """

    crop: NDArray[np.uint8]
    affine: Affine


def estimate_affine(landmarks: NDArray[np.float32], face_size: int = TEMPLATE_SIDE) -> Affine:
    """Turn, scale and shift that brings landmarks onto the template, by the least median of squares.

    One landmark that is far off (a nose in profile, a mouth behind a hand) does not count.

    Args:
        landmarks: (5, 2) in pixels of the picture.
        face_size: side of the crop in pixels.

    Returns:
        (2, 3) float64 from the picture to the crop.

    Raises:
        ValueError: they are not ten finite numbers, or lie in one point.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != TEMPLATE.shape or not np.isfinite(points).all():
        raise ValueError(f"five finite landmarks are needed, not {points.tolist()}")
    affine, _ = cv2.estimateAffinePartial2D(points, _template(face_size), method=cv2.LMEDS)
    if affine is None:
        raise ValueError(f"no similarity brings these landmarks onto the template: {points.tolist()}")
    return np.asarray(affine, np.float64)


def least_squares_affine(
    landmarks: NDArray[np.float32] | NDArray[np.float64], template: NDArray[np.float64] = TEMPLATE
) -> Affine:
    """Turn, scale and shift that brings landmarks nearest to a template, all five of them alike.

    Umeyama 1991, for two dimensions, where complex numbers say it in a line: a turn with a scale is a factor.

    Args:
        landmarks: (5, 2) in pixels of the picture.
        template: (5, 2) in pixels of the crop, where they should lie.

    Returns:
        (2, 3) float64 from the picture to the crop; of zeros and the template's middle if all lie in one point.
    """
    source, target = _complex(np.asarray(landmarks, np.float64)), _complex(template)
    spread = source - source.mean()
    size = float(np.vdot(spread, spread).real)
    turn = complex(np.vdot(spread, target) / size) if size else 0j
    shift = complex(target.mean() - turn * source.mean())
    return np.array([(turn.real, -turn.imag, shift.real), (turn.imag, turn.real, shift.imag)])


def align_face(image: NDArray[np.uint8], landmarks: NDArray[np.float32], *, face_size: int = 512) -> AlignedFace:
    """Warp one face onto the template.

    Args:
        image: (H, W, 3) uint8 RGB; left untouched.
        landmarks: (5, 2) in pixels of ``image``.
        face_size: side of the crop in pixels.

    Raises:
        ValueError: no similarity transform fits the landmarks.
    """
    affine = estimate_affine(landmarks, face_size)
    return AlignedFace(crop=warp(image, affine, (face_size, face_size), border=OUTSIDE_RGB), affine=affine)


def warp(
    image: AnyPixels,
    affine: Affine,
    size_wh: tuple[int, int],
    *,
    border: float | tuple[float, float, float] | None = 0.0,
    antialias: bool = True,
) -> AnyPixels:
    """Resample a picture through an affine map, bilinearly and exact to a ten-thousandth of a pixel.

    Args:
        image: (H, W) or (H, W, 3), uint8, uint16 or float32; left untouched.
        affine: (2, 3) from ``image`` to the result: a turn, one scale, a shift (and a mirror, if you like).
        size_wh: width and height of the result.
        border: what lies outside ``image``; None repeats its edge.
        antialias: where the map shrinks, reduce ``image`` to the mean of the area of each new pixel first.

    Returns:
        (height, width) or (height, width, 3) of the same type.
    """
    image, affine = _part(image, affine, size_wh, reduce=antialias)
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    value = (border,) * 3 if isinstance(border, (int, float)) else border or (0.0, 0.0, 0.0)
    # OpenCV takes half the time for four channels that it takes for three.
    is_rgb = image.ndim == 3 and image.shape[2] == 3
    shown = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA) if is_rgb else image
    warped = cv2.warpAffine(shown, affine, size_wh, flags=cv2.INTER_LINEAR, borderMode=mode, borderValue=value)
    return np.asarray(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB) if is_rgb else warped, image.dtype)


def transform(affine: Affine, points: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) points through the map."""
    moved: NDArray[np.float64] = np.asarray(points, np.float64) @ affine[:, :2].T + affine[:, 2]
    return moved


def invert(affine: Affine) -> Affine:
    """The map back.

    Raises:
        ValueError: there is none, because everything ends on a line or a point.
    """
    try:
        back = np.linalg.inv(affine[:, :2])
    except np.linalg.LinAlgError as exc:
        raise ValueError(f"this map cannot be inverted: {affine.tolist()}") from exc
    return np.column_stack([back, -back @ affine[:, 2]])


def after(second: Affine, first: Affine) -> Affine:
    """The map that does ``first``, then ``second``."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def scaling(scale_xy: tuple[float, float]) -> Affine:
    """The map from a picture to the same picture enlarged: x becomes ``scale * (x + 0.5) - 0.5``."""
    scale = np.array(scale_xy, np.float64)
    return np.column_stack([np.diag(scale), scale / 2 - 0.5])


def affine_after_scaling(affine: Affine, scale_xy: tuple[float, float]) -> Affine:
    """From the enlarged picture to the crop.

    Args:
        affine: (2, 3) from the picture to the crop.
        scale_xy: how many times wider and higher the enlarged picture is.
    """
    return after(affine, invert(scaling(scale_xy)))


def scale_of(affine: Affine) -> float:
    """How many times larger a map makes things."""
    return math.sqrt(abs(float(np.linalg.det(affine[:, :2]))))


def averaged(part: AnyPixels, affine: Affine) -> tuple[AnyPixels, Affine]:
    """A picture made smaller, as much as a map would make it, and the map from there, which shrinks no more.

    Means of four pixels, and before the last ones linear weights, take a third of the time that means of areas do. What
    an odd side leaves over at the far edge is lost: less than a pixel of where the map leads.
    """
    part, affine = halved(part, affine)
    size_wh, scale = (part.shape[1], part.shape[0]), min(1.0, scale_of(affine))
    small_wh = max(1, round(size_wh[0] * scale)), max(1, round(size_wh[1] * scale))
    if small_wh != size_wh:
        from_small = scaling((size_wh[0] / small_wh[0], size_wh[1] / small_wh[1]))
        twice = cv2.resize(part, (2 * small_wh[0], 2 * small_wh[1]), interpolation=cv2.INTER_LINEAR)
        small = cv2.resize(twice, small_wh, interpolation=cv2.INTER_AREA)
        part, affine = np.asarray(small, part.dtype), after(affine, from_small)
    return part, affine


def halved(part: AnyPixels, affine: Affine) -> tuple[AnyPixels, Affine]:
    """The same, but only halved, as often as the map shrinks it at least so much."""
    while scale_of(affine) <= 1 / 2 and min(part.shape[:2]) > 1:
        small_wh = part.shape[1] // 2, part.shape[0] // 2
        small = cv2.resize(part[: 2 * small_wh[1], : 2 * small_wh[0]], small_wh, interpolation=cv2.INTER_AREA)
        part, affine = np.asarray(small, part.dtype), after(affine, scaling((2.0, 2.0)))
    return part, affine


def looked_at(affine: Affine, size_wh: tuple[int, int], picture_wh: tuple[int, int]) -> Region:
    """All of a picture that :func:`warp` looks at; at least a pixel.

    Args:
        affine: (2, 3) from the picture to the result.
        size_wh: width and height of the result.
        picture_wh: and of the picture.
    """
    target = np.array([(-1, -1), (size_wh[0], -1), (-1, size_wh[1]), size_wh], np.float64)
    shown, scale = transform(invert(affine), target), scale_of(affine)
    margin = 2 / scale + 2  # two pixels of what comes out, so that nothing seen lies beside the cut
    width, height = picture_wh
    first = np.clip(np.floor(shown.min(0) - margin), 0, (width - 1, height - 1))
    last = np.clip(np.ceil(shown.max(0) + margin), first, (width - 1, height - 1))
    (left, top), (right, bottom) = first.astype(int).tolist(), (last + 1).astype(int).tolist()
    return Region(top, left, bottom - top, right - left)


def _part(image: AnyPixels, affine: Affine, size_wh: tuple[int, int], *, reduce: bool) -> tuple[AnyPixels, Affine]:
    """What is seen of the picture, made smaller if asked to, and the map from there.

    OpenCV neither takes more than 32,767 pixels a side nor calculates exactly with coordinates of that size.
    """
    region = looked_at(affine, size_wh, (image.shape[1], image.shape[0]))
    to_result = after(affine, np.array([(1.0, 0.0, region.x), (0.0, 1.0, region.y)]))
    part = image[region.slices]
    return averaged(part, to_result) if reduce else (part, to_result)


def _template(face_size: int) -> NDArray[np.float64]:
    return TEMPLATE * (face_size / TEMPLATE_SIDE)


def _complex(points: NDArray[np.float64]) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]
