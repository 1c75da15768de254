"""Who somebody is, as a direction in space: to ask whether a restored face is still the same person.

Faces are brought to the five points of ArcFace at 112x112 (Deng et al., "ArcFace: Additive angular margin loss for deep
face recognition", 2019; the points are those of https://github.com/deepinsight/insightface), which SFace (Zhong et al.,
"SFace: sigmoid-constrained hypersphere loss for robust face recognition", 2021) was trained on, too. A face that is
larger is averaged down first; OpenCV's own alignment samples it without.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine.tiling import Region
from models.errors import WeightsMissing, WeightsRefused
from models.faces.alignment import (
    Affine,
    after,
    halved,
    invert,
    least_squares_affine,
    scale_of,
    scaling,
    transform,
    warp,
)
from models.pixels import Pixels

SIDE = 112  # px
TEMPLATE_112 = np.array(
    [
        (38.2946, 51.6963),  # eyes
        (73.5318, 51.5014),
        (56.0252, 71.7366),  # nose
        (41.5493, 92.3655),  # mouth corners
        (70.7299, 92.2041),
    ]
)
TEMPLATE_112.flags.writeable = False
FEWER = 4  # px a side; from there on four pixels stand for so many
MARGIN = 3  # px of the crop around it that interpolation may look at

Crop = NDArray[np.uint8]
Embedding = NDArray[np.float32]


class Embedder(Protocol):
    """Anything that tells faces apart, such as :class:`SFaceEmbedder`."""

    def __call__(self, crop: Crop, /) -> Embedding:
        """(112, 112, 3) uint8 RGB to a vector of length one; the nearer two of them, the more alike the faces."""


class SFaceEmbedder:
    """SFace through OpenCV, ``face_recognition_sface_2021dec.onnx`` of its model zoo. Used by one thread at a time.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: OpenCV cannot read it.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise WeightsMissing(f"no face recognition model at {path}")
        try:
            self._recognizer = cv2.FaceRecognizerSF.create(str(path), "")
        except cv2.error as exc:
            raise WeightsRefused(f"{path} is no model that OpenCV can read") from exc

    def __call__(self, crop: Crop, /) -> Embedding:
        """(128,) float32."""
        feature = self._recognizer.feature(np.ascontiguousarray(crop[..., ::-1]))
        return unit(np.asarray(feature, np.float32).ravel())


def identity_crop(picture: Pixels, landmarks: NDArray[np.float32]) -> Crop:
    """A face as embedders want it.

    Only what the crop shows is looked at, so that it is the same bytes whatever the rest of the picture is.

    Args:
        picture: (H, W) or (H, W, 3), uint8 or uint16.
        landmarks: (5, 2) in its pixels.

    Returns:
        (112, 112, 3) uint8 RGB; black beside the picture.
    """
    affine = identity_affine(landmarks)
    region = _looked_at(affine, (picture.shape[1], picture.shape[0]))
    affine[:, 2] += affine[:, :2] @ (region.x, region.y)
    part, affine = halved(*_thinned(picture[region.slices], affine))
    if part.dtype == np.uint16:
        part = np.rint(part * np.float32(1 / 257)).astype(np.uint8)
    if part.ndim == 2:
        part = np.repeat(part[..., None], 3, axis=2)
    return np.asarray(warp(np.asarray(part, np.uint8), affine, (SIDE, SIDE)), np.uint8)


def _thinned(part: Pixels, affine: Affine) -> tuple[Pixels, Affine]:
    """Of a face that is far too large the means of every so many pixels' middle four, and the map from there.

    Sixteen of them or more are left for each pixel of the crop; all the others say the same, and take as long to read
    as everything else that is done to a face.
    """
    step = 2 ** int(math.log2(max(1.0, 1 / (2 * scale_of(affine)))))
    width, height = part.shape[1] // step, part.shape[0] // step
    if step < FEWER or not width or not height:
        return part, affine
    few = cv2.resize(part[: height * step, : width * step], (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(few, part.dtype), after(affine, scaling((step, step)))


def identity_region(landmarks: NDArray[np.float32], size_wh: tuple[int, int]) -> Region:
    """All that an embedder's crop is made of, in a picture of that size; at least a pixel of it."""
    return _looked_at(identity_affine(landmarks), size_wh)


def _looked_at(affine: Affine, size_wh: tuple[int, int]) -> Region:
    back = invert(affine)
    there = transform(back, np.array([(0, 0), (SIDE - 1, 0), (0, SIDE - 1), (SIDE - 1, SIDE - 1)], np.float64))
    reach = MARGIN * max(1.0, float(np.linalg.norm(back[:, 0])))
    last = np.array(size_wh) - 1
    left, top = np.clip(np.floor(there.min(axis=0) - reach), 0, last).astype(int).tolist()
    right, bottom = np.clip(np.ceil(there.max(axis=0) + reach), (left, top), last).astype(int).tolist()
    return Region(top, left, bottom - top + 1, right - left + 1)


def identity_affine(landmarks: NDArray[np.float32]) -> Affine:
    """(2, 3) from a picture to the 112 px crop, by least squares over all five points, as embedders are trained.

    Raises:
        ValueError: the landmarks lie in one point, or are no numbers.
    """
    if not np.isfinite(landmarks).all() or not np.ptp(landmarks, axis=0).any():
        raise ValueError(f"five landmarks in one point, or no numbers: {landmarks.tolist()}")
    return least_squares_affine(landmarks, TEMPLATE_112)


def similarity(embedder: Embedder, before: Pixels, after: Pixels, landmarks: NDArray[np.float32]) -> float:
    """Cosine of the angle between a face in one picture and at the same place in another: 1 is the same face.

    Args:
        embedder: whose opinion it is.
        before: (H, W) or (H, W, 3), uint8 or uint16.
        after: the same size.
        landmarks: (5, 2) in pixels of both.
    """
    return cosine(*(embedding(embedder, picture, landmarks) for picture in (before, after)))


def embedding(embedder: Embedder, picture: Pixels, landmarks: NDArray[np.float32]) -> Embedding:
    """A face of a picture as an embedder's vector, of length one whatever the embedder gave."""
    return unit(embedder(identity_crop(picture, landmarks)))


def cosine(one: Embedding, other: Embedding) -> float:
    """Of the angle between two vectors of length one; nan where one of them is no direction."""
    value = float(np.asarray(one, np.float64) @ np.asarray(other, np.float64))
    return min(1.0, max(-1.0, value)) if math.isfinite(value) and one.any() and other.any() else math.nan


def unit(vector: Embedding) -> Embedding:
    """The same direction with length one; what is no direction becomes zero."""
    values = np.asarray(vector, np.float64)
    length = float(np.linalg.norm(values))
    usable = math.isfinite(length) and length > 0
    return np.asarray(values / length if usable else np.zeros_like(values), np.float32)
