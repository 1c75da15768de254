"""Two detectors of faces with five landmarks: RetinaFace, a network of ours, and YuNet, which OpenCV runs.

RetinaFace: https://arxiv.org/abs/1905.00641, anchors, variances and suppression as in
https://github.com/biubug6/Pytorch_Retinaface, whose checkpoints these are. YuNet: https://doi.org/10.1007/s11633-023-1423-y,
a file of https://github.com/opencv/opencv_zoo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.engine.watch import before_each_convolution
from models.errors import WeightsMissing, WeightsRefused
from models.faces.face import Face

RGB = NDArray[np.uint8]

BGR_MEAN = np.array((104.0, 117.0, 123.0, 0.0))  # of the pictures the backbones were trained on; OpenCV wants four
ANCHORS = {8: (16, 32), 16: (64, 128), 32: (256, 512)}  # stride to sides, px
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
SMALL_NETWORK = 5_000_000  # parameters; with MobileNet it has 0.4 million, with ResNet-50 27 million
RETINAFACE_OVERLAP = 0.4  # intersection over union from which two boxes are one face
SAME_FACE = 0.5  # the same, from which two anchors speak of one face when it is looked at closely
LEAST_CLOSE_SCORE = 0.1  # of an anchor that is heard then
YUNET_OVERLAP = 0.3
MOST_ANCHORS = 5000  # that are compared with one another; the surest


class FaceDetector(Protocol):
    """Finds faces, and looks at single ones closely. Used by one thread at a time.

    Attributes:
        best_eye_distance: px between the eyes at which its landmarks are steadiest.
        sides: px, rising; the longer side of the reduced pictures in which together it finds faces of any size.
    """

    best_eye_distance: float
    sides: tuple[int, ...]

    def __call__(self, image: RGB) -> tuple[Face, ...]:
        """Faces in an (H, W, 3) uint8 RGB picture, which is left untouched; the surest first."""
        ...

    def closely(self, crops: RGB) -> list[Face | None]:
        """The face in the middle of each of (N, side, side, 3) uint8 RGB pictures; None where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """What anchors took for faces, many of them for the same one; in pixels.

    Attributes:
        boxes: (n, 4) float32 left, top, right, bottom.
        scores: (n,) float32.
        landmarks: (n, 5, 2) float32.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]


class RetinaFaceDetector:
    """RetinaFace at the size the picture has.

    Args:
        network: a :class:`models.archs.RetinaFace` with its weights; taken over, in eval mode, float32.
        device: where it runs.
        least_score: of a face.
        sides: px; where it finds faces of any size, which are about 12 to 600 px wide in each. None takes 640, 1280
            and, for the small backbone only, 2560: there ResNet-50 would take gigabytes.
    """

    # On faces whose authors had aligned them: 20 px of 512 off at 45 to 65 px between the eyes, 34 px at 126 px.
    best_eye_distance = 50.0

    def __init__(
        self,
        network: nn.Module,
        *,
        device: torch.device | str = "cpu",
        least_score: float = 0.5,
        sides: tuple[int, ...] | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own types lack it
        self.least_score = least_score
        small = sum(parameter.numel() for parameter in network.parameters()) < SMALL_NETWORK
        self.sides = sides or ((640, 1280, 2560) if small else (640, 1280))

    def __call__(self, image: RGB) -> tuple[Face, ...]:
        """Faces in an (H, W, 3) uint8 RGB picture, which is left untouched; the surest first."""
        (found,) = self.candidates(image[None])
        return tuple(
            Face(
                box_xyxy=tuple(found.boxes[index].tolist()),
                score=float(found.scores[index]),
                landmarks=found.landmarks[index],
            )
            for index in suppressed(found.boxes, found.scores, RETINAFACE_OVERLAP)
        )

    def closely(self, crops: RGB) -> list[Face | None]:
        """The face in the middle of each of (N, side, side, 3) uint8 RGB pictures; None where there is none.

        Every anchor that saw the face has a say in where it is, by how sure it is. That is steadier than the surest
        one alone, and costs nothing.
        """
        middle = np.array([(crops.shape[2] - 1) / 2, (crops.shape[1] - 1) / 2], np.float32)
        return [_agreed(found, middle) for found in self.candidates(crops, least_score=LEAST_CLOSE_SCORE)]

    def asking(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Inside the ``with`` block ``check`` is called before every convolution; what it raises ends the look."""
        return before_each_convolution(self._network, lambda _conv, _lq: check())

    @torch.inference_mode()
    def candidates(self, images: RGB, *, least_score: float | None = None) -> list[Candidates]:
        """Every anchor that is sure enough, per picture of a batch.

        Args:
            images: (N, H, W, 3) uint8 RGB; left untouched.
            least_score: another one than for faces.
        """
        least_score = self.least_score if least_score is None else least_score
        bgr = np.empty(images.shape, np.float32)
        for image, made in zip(images, bgr, strict=True):  # in one go, a tenth of what PyTorch takes on a CPU
            cv2.subtract(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), BGR_MEAN, dst=made, dtype=cv2.CV_32F)
        batch = torch.from_numpy(bgr).to(self._device).permute(0, 3, 1, 2)  # stays channels last
        offsets, classes, landmarks = self._network(batch)
        return [
            _decoded(*parts, least_score=least_score, size_hw=(images.shape[1], images.shape[2]))
            for parts in zip(offsets, classes, landmarks, strict=True)
        ]


class YuNetDetector:
    """YuNet, in a picture reduced so that neither side exceeds ``largest_side``.

    Args:
        path: the ONNX file; checked by the caller.
        largest_side: px; None takes pictures as they are. Large faces need it: they are seldom found beyond 600 px.
        least_score: of a face.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: OpenCV cannot read it.
    """

    # Measured like RetinaFace's: 20 px of 512 off at 25 to 32 px between the eyes, 34 px at 126 px.
    best_eye_distance = 28.0

    def __init__(self, path: Path, *, largest_side: int | None = 640, least_score: float = 0.6) -> None:
        if not Path(path).is_file():
            raise WeightsMissing(f"{path} is not there")
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # OpenCV 5 warns of targets nobody asked for
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), least_score, YUNET_OVERLAP, MOST_ANCHORS
            )
        except cv2.error as exc:
            raise WeightsRefused(f"{Path(path).name} is no detector that OpenCV can read") from exc
        finally:
            cv2.utils.logging.setLogLevel(level)
        self._largest_side = largest_side
        self.sides: tuple[int, ...] = (largest_side or 640,)

    def __call__(self, image: RGB) -> tuple[Face, ...]:
        """Faces in an (H, W, 3) uint8 RGB picture, which is left untouched; the surest first."""
        small = at_most(image, self._largest_side)
        height, width = small.shape[:2]
        self._detector.setInputSize((width, height))
        _, rows = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        factor_xy = image.shape[1] / width, image.shape[0] / height
        faces = [_yunet_face(row).scaled(factor_xy) for row in (rows if rows is not None else ())]
        return tuple(sorted(faces, key=lambda face: -face.score))

    def closely(self, crops: RGB) -> list[Face | None]:
        """The face in the middle of each of (N, side, side, 3) uint8 RGB pictures; None where there is none."""
        middle = np.array([(crops.shape[2] - 1) / 2, (crops.shape[1] - 1) / 2], np.float32)
        return [next((face for face in self(crop) if _holds(face.box_xyxy, middle)), None) for crop in crops]


def at_most(image: RGB, largest_side: int | None) -> RGB:
    """The picture, reduced to the mean of areas where a side is longer; shares memory where not."""
    height, width = image.shape[:2]
    if largest_side is None or max(height, width) <= largest_side:
        return image
    factor = largest_side / max(height, width)
    size_wh = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=8)
def anchors(height: int, width: int) -> NDArray[np.float32]:
    """(P, 3) float32: middle x, middle y and side of RetinaFace's anchors in a picture of this size, in pixels."""
    levels = []
    for stride, sides in ANCHORS.items():
        rows, columns = -(-height // stride), -(-width // stride)
        y, x, side = np.meshgrid(
            (np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, sides, indexing="ij"
        )
        levels.append(np.stack([x, y, side], axis=-1).reshape(-1, 3))
    made = np.concatenate(levels).astype(np.float32)
    made.flags.writeable = False
    return made


def suppressed(boxes: NDArray[np.float32], scores: NDArray[np.float32], overlap: float) -> list[int]:
    """Which boxes stay when each takes away those that overlap it by more and are less sure; the surest first."""
    waiting = np.argsort(-scores, kind="stable")[:MOST_ANCHORS]
    kept: list[int] = []
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        waiting = waiting[overlaps(boxes[best], boxes[waiting]) <= overlap]
    return kept


def overlaps(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of (4,) with each of (n, 4); the pixels on both edges count, as in the reference."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.maximum(high - low + 1, 0).prod(axis=1)
    area = (box[2:] - box[:2] + 1).prod() + (others[:, 2:] - others[:, :2] + 1).prod(axis=1) - both
    shares: NDArray[np.float32] = both / area
    return shares


def _decoded(
    offsets: Tensor, classes: Tensor, landmarks: Tensor, *, least_score: float, size_hw: tuple[int, int]
) -> Candidates:
    scores = classes[:, 1].float().cpu().numpy()
    chosen = np.flatnonzero(scores >= least_score)
    picked = torch.from_numpy(chosen).to(offsets.device)
    centre, side = np.split(anchors(*size_hw)[chosen], [2], axis=1)
    box = offsets[picked].float().cpu().numpy()
    middle = centre + box[:, :2] * CENTRE_VARIANCE * side
    half = side * np.exp(box[:, 2:] * SIZE_VARIANCE) / 2
    points = landmarks[picked].float().cpu().numpy().reshape(-1, 5, 2)
    return Candidates(
        boxes=np.concatenate([middle - half, middle + half], axis=1),
        scores=scores[chosen],
        landmarks=(centre[:, None] + points * CENTRE_VARIANCE * side[:, None]).astype(np.float32),
    )


def _agreed(found: Candidates, middle: NDArray[np.float32]) -> Face | None:
    """The surest face that holds the point, as all its anchors together see it."""
    holding = [index for index, box in enumerate(found.boxes) if _holds(box.tolist(), middle)]
    if not holding:
        return None
    best = max(holding, key=lambda index: float(found.scores[index]))
    same = overlaps(found.boxes[best], found.boxes) >= SAME_FACE
    weights = found.scores[same] / found.scores[same].sum()
    return Face(
        box_xyxy=tuple((weights @ found.boxes[same]).tolist()),
        score=float(found.scores[best]),
        landmarks=np.einsum("n,nij->ij", weights, found.landmarks[same]),
    )


def _holds(box_xyxy: Sequence[float], point: NDArray[np.float32]) -> bool:
    left, top, right, bottom = box_xyxy
    return bool(left < point[0] < right and top < point[1] < bottom)


def _yunet_face(row: Sequence[float]) -> Face:
    left, top, width, height = (float(value) for value in row[:4])
    return Face(
        box_xyxy=(left, top, left + width, top + height),
        score=float(row[14]),
        landmarks=np.array(row[4:14], np.float32).reshape(5, 2),
    )
