"""What is known of one face in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """A face, in pixels of one picture; the centre of that picture's first pixel is (0, 0).

    Attributes:
        box_xyxy: left, top, right, bottom; may reach beyond the picture.
        score: how sure the detector is, 0 to 1.
        landmarks: (5, 2) float32, x before y: left eye, right eye, nose tip, left and right mouth corner, where left is
            the side of the picture on which they lie when the face is upright.
    """

    box_xyxy: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float32]

    @property
    def eye_distance(self) -> float:
        """Pixels between the eyes."""
        return float(np.linalg.norm(self.landmarks[1] - self.landmarks[0]))

    def scaled(self, factor_xy: tuple[float, float]) -> Face:
        """The same face in the picture enlarged by so much: x becomes ``factor * (x + 0.5) - 0.5``."""
        factor = np.array(factor_xy)
        corners = factor * (np.array(self.box_xyxy).reshape(2, 2) + 0.5) - 0.5
        landmarks = factor * (self.landmarks.astype(np.float64) + 0.5) - 0.5
        left, top, right, bottom = corners.ravel().tolist()
        return Face(box_xyxy=(left, top, right, bottom), score=self.score, landmarks=landmarks.astype(np.float32))
