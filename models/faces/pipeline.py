"""The way of the faces of one picture: found in the original, restored, put into the enlarged picture, judged.

faces = FacePipeline.open(weights_dir, engine)
found = faces.find(original)
ready = faces.restore(original, found, plain)   # the one pass of the network
picture, reports = ready.shown(plain, strength=80)       # as often as you like, at any strength
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.checkpoints.architecture import Role
from models.engine.device import Engine
from models.engine.upsampler import out_of_memory_named
from models.engine.watch import Progress, ShouldStop, never_stop, no_progress
from models.errors import OptionsError, RestorationStopped, WeightsMissing, WeightsRefused
from models.faces.alignment import TEMPLATE_SIDE, Affine, affine_after_scaling, align_face, estimate_affine
from models.faces.detection import find_faces
from models.faces.detectors import FaceDetector, RetinaFaceDetector, YuNetDetector
from models.faces.face import Face
from models.faces.guard import SAME_PERSON, Candidate, paste_guarded, reason_to_leave
from models.faces.identity import Embedder, SFaceEmbedder
from models.faces.parsing import FaceParser
from models.faces.pasting import FaceLayer, face_layer
from models.faces.regions import face_region
from models.faces.report import FaceReport, Reason, in_reading_order
from models.faces.restoring import FaceRestorer, NetworkFaceRestorer, RestoredCrop, restore_crops
from models.loading import digest_of, load_face_network, onnx_file
from models.picture import Picture
from models.pixels import Pixels
from models.registry import GROUPS, MODELS, names_of
from models.weights import WeightsStore

logger = logging.getLogger(__name__)

DEFAULT_STRENGTH = 80.0
ROLES: tuple[Role, ...] = ("restorer", "detector", "parser", "identity")
BEHIND = 128.0  # level that transparent pixels are seen before: neither a bright nor a dark outline


@dataclass(frozen=True, slots=True, eq=False)
class RestoredFaces:
    """Faces of a picture, restored and waiting to be shown. Showing costs no network but the judge of likeness.

    Attributes:
        faces: in reading order, in pixels of the original.
        candidates: one for each, in pixels of the enlarged picture.
        embedder: judges the likeness; None: nobody does.
        likeness: cosine below which a face is shown less.
    """

    faces: tuple[Face, ...]
    candidates: tuple[Candidate, ...]
    embedder: Embedder | None
    likeness: float

    def shown(
        self, plain: Pixels, *, strength: float, should_stop: ShouldStop = never_stop
    ) -> tuple[Pixels, tuple[FaceReport, ...]]:
        """The picture with its faces restored, and what became of each.

        Args:
            plain: the enlarged picture that the faces were compared with; left untouched.
            strength: 0 to 100; 0 gives ``plain`` itself.
            should_stop: asked between the attempts of the guard.

        Raises:
            OptionsError: ``strength`` is outside 0 to 100.
            RestorationStopped: ``should_stop`` said so.
        """
        if not 0 <= strength <= 100:
            raise OptionsError(f"the strength of faces is from 0 to 100, not {strength!r}")
        is_shown = strength > 0 and any(candidate.layer is not None for candidate in self.candidates)
        picture = plain.copy() if is_shown else plain
        outcomes = paste_guarded(
            picture,
            self.candidates,
            strength,
            embedder=self.embedder,
            threshold=self.likeness,
            check=lambda: check(should_stop),
        )
        reports = tuple(
            FaceReport(
                number=number,
                face=face,
                status=outcome.status,
                reason=outcome.reason,
                strength=outcome.strength,
                similarity=outcome.similarity,
                similarity_asked=outcome.similarity_asked,
            )
            for number, (face, outcome) in enumerate(zip(self.faces, outcomes, strict=True), start=1)
        )
        return picture, reports


@dataclass(kw_only=True)
class FacePipeline:
    """Everything that faces need, loaded. Used by one thread at a time.

    Args:
        detector: finds faces.
        restorer: restores them.
        second: another detector, which has to agree; None: nobody is asked.
        parser: tells skin and hair from the rest; None: an oval has to do.
        embedder: tells people apart; None: the likeness is not judged.
        likeness: cosine between a face before and after, below which it is shown less.
        sha256: digests of the weights, by role, for recipes.
        seconds_per_face: of the restorer, measured.
    """

    detector: FaceDetector
    restorer: FaceRestorer
    second: FaceDetector | None = None
    parser: FaceParser | None = None
    embedder: Embedder | None = None
    likeness: float = SAME_PERSON
    sha256: Mapping[str, str] = field(default_factory=dict)
    seconds_per_face: float = 0.0

    @classmethod
    def open(cls, weights_dir: Path, engine: Engine) -> FacePipeline:
        """Load what of the weights for faces is in the folder: registered models first, then the user's own.

        Args:
            weights_dir: the weights folder.
            engine: of the upsampler; on a CPU faces are restored in float32 all the same.

        Raises:
            WeightsMissing: no restorer or no detector is there; says which command brings them.
            WeightsRefused: what is there is damaged.
        """
        here = {role: _installed(weights_dir, role) for role in ROLES}
        lacking = [name for name in GROUPS["faces"] if not here[MODELS[name].role]]
        if not here["restorer"] or not here["detector"]:
            raise WeightsMissing(
                f"for faces {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not in {weights_dir}; "
                "bring what is missing with: python -m models weights fetch faces"
            )
        _expect_side(here["restorer"][0], weights_dir)
        restorer, parser, identity = (next(iter(here[role]), None) for role in ("restorer", "parser", "identity"))
        assert restorer is not None  # noqa: S101 - for the type checker
        detectors = here["detector"]
        first = next((name for name in detectors if not _is_onnx(name)), detectors[0])
        second = next((name for name in detectors if _is_onnx(name) != _is_onnx(first)), None)
        used = {"restorer": restorer, "detector": first, "second": second, "parser": parser, "identity": identity}
        faces = cls(
            detector=_detector(first, weights_dir, engine),
            restorer=NetworkFaceRestorer(load_face_network(restorer, weights_dir), face_engine(engine)),
            second=None if second is None else _detector(second, weights_dir, engine),
            parser=None if parser is None else FaceParser(load_face_network(parser, weights_dir), engine),
            embedder=None if identity is None else SFaceEmbedder(onnx_file(identity, weights_dir)),
            sha256={role: digest_of(name, weights_dir, role=None) for role, name in used.items() if name is not None},
        )
        faces.calibrate()
        guard = "guarded" if identity else "without a guard of likeness: its weights are not there"
        logger.info("faces: %s, found by %s, %.1f s each, %s", restorer, first, faces.seconds_per_face, guard)
        return faces

    def calibrate(self) -> None:
        """Measure the restorer on a gray square; its first call also settles in."""
        gray = np.full((1, TEMPLATE_SIDE, TEMPLATE_SIDE, 3), 128, np.uint8)
        self.restorer(gray)
        began = time.perf_counter()
        self.restorer(gray)
        self.seconds_per_face = time.perf_counter() - began

    def find(self, original: Picture, *, should_stop: ShouldStop = never_stop) -> tuple[Face, ...]:
        """All faces worth a restoration, in reading order, in pixels of ``original``.

        Raises:
            OutOfMemory: there is none for looking.
            RestorationStopped: ``should_stop`` said so.
        """
        with out_of_memory_named():
            found = find_faces(seen(original), self.detector, second=self.second, check=lambda: check(should_stop))
        return in_reading_order(found)

    def restore(
        self,
        original: Picture,
        faces: Sequence[Face],
        plain: Pixels,
        *,
        wanted: Sequence[int] | None = None,
        seconds: float | None = None,
        on_progress: Progress = no_progress,
        should_stop: ShouldStop = never_stop,
    ) -> RestoredFaces:
        """Restore faces, and compare them with the enlarged picture.

        Args:
            original: the picture as it was decoded.
            faces: of :meth:`find`.
            plain: (H, W) or (H, W, 3), uint8 or uint16: ``original`` enlarged, in any size; left untouched.
            wanted: numbers of the faces to restore, from 1; None: all.
            seconds: there are for it; the largest faces are restored first. None: as many as it takes.
            on_progress: called with rising fractions in [0, 1].
            should_stop: asked before every convolution.

        Raises:
            OptionsError: there is no face of a wanted number.
            OutOfMemory: there is not even room for one face.
            RestorationStopped: ``should_stop`` said so.
        """
        reasons = self._reasons(original, faces, wanted, seconds)
        image = seen(original)
        height, width = plain.shape[:2]
        scale_xy = width / original.size_wh[0], height / original.size_wh[1]
        aligned = {
            index: align_face(image, face.landmarks) for index, face in enumerate(faces) if reasons[index] is None
        }
        crops = [face.crop for face in aligned.values()]
        made = self._restored(crops, on_progress, should_stop)
        restored = dict(zip(aligned, made, strict=True))
        candidates = []
        for index, face in enumerate(faces):
            check(should_stop)
            large = face.scaled(scale_xy)
            if index not in aligned:
                affine = affine_after_scaling(estimate_affine(face.landmarks), scale_xy)
                candidates.append(
                    Candidate(landmarks=large.landmarks, affine=affine, layer=None, reason=reasons[index])
                )
                continue
            affine = affine_after_scaling(aligned[index].affine, scale_xy)
            layer, reason = self._layer(plain, restored[index], affine, aligned[index].crop)
            candidates.append(Candidate(landmarks=large.landmarks, affine=affine, layer=layer, reason=reason))
        return RestoredFaces(tuple(faces), tuple(candidates), self.embedder, self.likeness)

    def _reasons(
        self, original: Picture, faces: Sequence[Face], wanted: Sequence[int] | None, seconds: float | None
    ) -> list[Reason | None]:
        """Why each face is not restored; None where it is."""
        beyond = [number for number in wanted or () if number > len(faces)]
        if beyond:
            raise OptionsError(f"there is no face number {beyond[0]}: {len(faces)} were found")
        picked = range(1, len(faces) + 1) if wanted is None else wanted
        reasons: list[Reason | None] = [
            reason_to_leave(original.pixels, face.landmarks) if number in picked else "unpicked"
            for number, face in enumerate(faces, start=1)
        ]
        if seconds is not None and self.seconds_per_face:
            largest_first = sorted(range(len(faces)), key=lambda index: -faces[index].eye_distance)
            in_turn = [index for index in largest_first if reasons[index] is None]
            for index in in_turn[max(0, int(seconds / self.seconds_per_face)) :]:
                reasons[index] = "no_time"
        return reasons

    def _restored(
        self, crops: Sequence[NDArray[np.uint8]], on_progress: Progress, should_stop: ShouldStop
    ) -> tuple[RestoredCrop, ...]:
        if isinstance(self.restorer, NetworkFaceRestorer):
            network, at_once = self.restorer, self.restorer.at_once
            return restore_crops(
                lambda stack: network(stack, should_stop),
                crops, at_once=at_once, on_progress=on_progress, should_stop=should_stop,
            )  # fmt: skip
        return restore_crops(self.restorer, crops, on_progress=on_progress, should_stop=should_stop)

    def _layer(
        self, plain: Pixels, made: RestoredCrop, affine: Affine, crop: NDArray[np.uint8]
    ) -> tuple[FaceLayer | None, Reason | None]:
        if made.levels is None:
            return None, "failed"
        if face_region(affine, (plain.shape[1], plain.shape[0])) is None:  # between the pixels of a reduced picture
            return None, "too_small"
        with out_of_memory_named():
            labels = None if self.parser is None else self.parser(crop)
        return face_layer(plain, made.levels, affine, labels=labels), None


def face_engine(engine: Engine) -> Engine:
    """Where and how faces are restored: as the picture on a GPU, in float32 on a CPU."""
    if engine.device.type != "cpu":
        return engine
    return Engine(engine.device, torch.float32, "faces are restored in float32 on a CPU")


def seen(original: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: what detectors and restorers look at; what is transparent before a middle gray."""
    pixels = original.pixels
    levels = pixels if pixels.dtype == np.uint8 else np.rint(pixels * np.float32(1 / 257)).astype(np.uint8)
    if levels.ndim == 2:
        levels = np.repeat(levels[..., None], 3, axis=2)
    if original.alpha is None:
        return np.ascontiguousarray(levels, np.uint8)
    share = original.alpha.astype(np.float32)[..., None] / np.float32(np.iinfo(original.alpha.dtype).max)
    return np.asarray(np.rint(levels * share + np.float32(BEHIND) * (1 - share)), np.uint8)


def check(should_stop: ShouldStop) -> None:
    """Raise RestorationStopped if the caller wants to stop."""
    if should_stop():
        raise RestorationStopped("stopped at the caller's wish")


def _installed(weights_dir: Path, role: Role) -> list[str]:
    """Names of the models there are for something: registered ones first.

    Raises:
        WeightsRefused: a registered one is damaged. Without the judge of likeness, say, nobody would notice.
    """
    rows = [row for row in WeightsStore(weights_dir).list() if row.role == role and row.state != "missing"]
    damaged = [row.name for row in rows if row.state != "present"]
    if damaged:
        again = f"python -m models weights fetch {damaged[0]}"
        raise WeightsRefused(f"{damaged[0]} in {weights_dir} is damaged; bring it again with: {again}")
    order = {name: place for place, name in enumerate(names_of(role))}
    return sorted((row.name for row in rows), key=lambda name: (order.get(name, len(order)), name))


def _expect_side(restorer: str, weights_dir: Path) -> None:
    side = WeightsStore(weights_dir).verify(restorer).architecture.arguments.get("out_size")
    if side != TEMPLATE_SIDE:
        raise WeightsRefused(f"{restorer} restores faces of {side} px; here they have {TEMPLATE_SIDE}")


def _is_onnx(name: str) -> bool:
    return name in MODELS and MODELS[name].is_onnx


def _detector(name: str, weights_dir: Path, engine: Engine) -> FaceDetector:
    if _is_onnx(name):
        return YuNetDetector(onnx_file(name, weights_dir))
    return RetinaFaceDetector(load_face_network(name, weights_dir), device=engine.device)
