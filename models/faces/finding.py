"""What finds the faces of a picture: detectors whose weights are there. Nothing here restores anything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.alpha import BEHIND, before_gray, strips_of
from models.checkpoints.architecture import Role
from models.engine.device import Engine
from models.engine.tiling import Region
from models.engine.upsampler import out_of_memory_named
from models.engine.watch import ShouldStop
from models.errors import OutOfMemory, WeightsMissing, WeightsRefused
from models.faces.alignment import (
    OUTSIDE_RGB,
    TEMPLATE_SIDE,
    AlignedFace,
    after,
    estimate_affine,
    looked_at,
    warp,
)
from models.faces.detection import find_faces
from models.faces.detectors import FaceDetector, RetinaFaceDetector, YuNetDetector
from models.faces.face import Face
from models.faces.report import in_reading_order
from models.loading import digest_of, load_face_network, onnx_file
from models.picture import Picture
from models.planes import is_opaque
from models.registry import DEFAULT_DETECTOR, MODELS, names_of
from models.stopping import check, never
from models.weights import WeightsStore

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class FaceFinder:
    """Finds faces. Used by one thread at a time.

    Args:
        detector: finds them.
        second: another detector, which has to agree; None: nobody is asked.
        found_by: name of the first detector's weights, for logs.
        confirmed_by: name of the second detector's, for logs.
        sha256: digests of the weights, by role, for recipes.
    """

    detector: FaceDetector
    second: FaceDetector | None = None
    found_by: str = "a detector of the caller's"
    confirmed_by: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def among(cls, weights_dir: Path, engine: Engine) -> FaceFinder:
        """Load what detectors are in the folder: registered ones first, then the user's own.

        Args:
            weights_dir: the weights folder.
            engine: where they run.

        Raises:
            WeightsMissing: there is none; says which command brings one.
            WeightsRefused: what is there is damaged.
        """
        names = installed(weights_dir, "detector")
        if not names:
            raise WeightsMissing(
                f"nothing that finds faces is in {weights_dir}; "
                f"bring it with: python -m models weights fetch {DEFAULT_DETECTOR}"
            )
        first = next((name for name in names if not _is_onnx(name)), names[0])
        second = next((name for name in names if _is_onnx(name) != _is_onnx(first)), None)
        used = {"detector": first, "second": second}
        return FaceFinder(
            detector=_detector(first, weights_dir, engine),
            second=None if second is None else _detector(second, weights_dir, engine),
            found_by=first,
            confirmed_by=second,
            sha256={role: digest_of(name, weights_dir, role=None) for role, name in used.items() if name is not None},
        )

    def try_out(self) -> None:
        """Have the detectors look at a gray square. The second one, where it cannot, is switched off, and that is said.

        Raises:
            OutOfMemory: there is none for looking.
            WeightsRefused: the first one cannot; says what it died of.
        """
        gray = np.full((1, TEMPLATE_SIDE, TEMPLATE_SIDE, 3), BEHIND, np.uint8)
        fault = fault_of(lambda: (self.detector(gray[0]), self.detector.closely(gray)))
        if fault is not None:
            raise WeightsRefused(f"{self.found_by} finds no faces here: {fault}")
        second = self.second
        if second is not None and (fault := fault_of(lambda: second.closely(gray))) is not None:
            logger.warning("faces are found without a second opinion, whose detector fails here: %s", fault)
            self.second, self.sha256 = None, without(self.sha256, "second")

    def find(self, original: Picture, *, should_stop: ShouldStop = never) -> tuple[Face, ...]:
        """All faces worth a restoration, in reading order, in pixels of ``original``.

        ``should_stop`` is asked before each look, and before every convolution of a network of ours. A look of YuNet is
        one call of OpenCV.

        Raises:
            OutOfMemory: there is none for looking.
            RestorationStopped: ``should_stop`` said so.
        """
        with out_of_memory_named(), ExitStack() as asked:
            for detector in (self.detector, self.second):
                if isinstance(detector, RetinaFaceDetector):
                    asked.enter_context(detector.asking(lambda: check(should_stop)))
            image = eight_bit_rgb(original)
            found = find_faces(image, self.detector, second=self.second, check=lambda: check(should_stop))
        return in_reading_order(found)


def eight_bit_rgb(original: Picture, region: Region | None = None) -> NDArray[np.uint8]:
    """What detectors and restorers look at: what is transparent is seen before a middle gray.

    Args:
        original: the picture; left untouched.
        region: of it; None: all of it.

    Returns:
        (h, w, 3) uint8 RGB; the pixels of ``original`` themselves where they are that.
    """
    part = np.s_[:, :] if region is None else region.slices
    pixels, alpha = original.pixels[part], None if original.alpha is None else original.alpha[part]
    if alpha is not None and is_opaque(alpha):
        alpha = None
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and alpha is None:
        return np.asarray(pixels, np.uint8)
    seen = np.empty((*pixels.shape[:2], 3), np.uint8)
    for rows in strips_of(*pixels.shape[:2]):
        strip = pixels[rows] if alpha is None else before_gray(pixels[rows], alpha[rows])
        if strip.dtype == np.uint16:
            strip = np.rint(strip * np.float32(1 / 257)).astype(np.uint8)
        seen[rows] = strip if strip.ndim == 3 else cv2.merge([strip] * 3)
    return seen


def align_in(original: Picture, landmarks: NDArray[np.float32]) -> AlignedFace:
    """:func:`align_face` in the picture as :func:`eight_bit_rgb` shows it, which is made only where the face is."""
    affine, size_wh = estimate_affine(landmarks), (TEMPLATE_SIDE, TEMPLATE_SIDE)
    region = looked_at(affine, size_wh, original.size_wh)
    from_part = np.array([(1.0, 0.0, region.x), (0.0, 1.0, region.y)])
    part = eight_bit_rgb(original, region)
    return AlignedFace(crop=warp(part, after(affine, from_part), size_wh, border=OUTSIDE_RGB), affine=affine)


def without(sha256: Mapping[str, str], role: str) -> Mapping[str, str]:
    """The digests of the other parts: recipes name only what works."""
    return {other: digest for other, digest in sha256.items() if other != role}


def fault_of(trial: Callable[[], object]) -> str | None:
    """What a part dies of when it is tried, as type and message; None where it works.

    Raises:
        OutOfMemory: there is none for trying it, which is not the part's fault.
    """
    try:
        with out_of_memory_named():
            trial()
    except OutOfMemory:
        raise
    except Exception as exc:  # noqa: BLE001  # whatever it would die of at work, where pictures are, it may die of here
        return f"{type(exc).__name__}: {exc}"
    return None


def installed(weights_dir: Path, role: Role) -> list[str]:
    """Names of the models there are for something: registered ones first.

    Raises:
        WeightsRefused: a registered one is damaged. Without the judge of likeness, say, nobody would notice.
    """
    rows = [row for row in WeightsStore(weights_dir).list() if row.role == role and row.state in {"present", "damaged"}]
    damaged = [row.name for row in rows if row.state != "present"]
    if damaged:
        again = f"python -m models weights fetch {damaged[0]}"
        raise WeightsRefused(f"{damaged[0]} in {weights_dir} is damaged; bring it again with: {again}")
    order = {name: place for place, name in enumerate(names_of(role))}
    return sorted((row.name for row in rows), key=lambda name: (order.get(name, len(order)), name))


def _is_onnx(name: str) -> bool:
    return name in MODELS and MODELS[name].is_onnx


def _detector(name: str, weights_dir: Path, engine: Engine) -> FaceDetector:
    if _is_onnx(name):
        return YuNetDetector(onnx_file(name, weights_dir))
    return RetinaFaceDetector(load_face_network(name, weights_dir), device=engine.device)
