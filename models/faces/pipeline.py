"""The way of the faces of one picture: found in the original, restored, put into the enlarged picture, judged.

faces = FacePipeline.open(weights_dir, engine)
found = faces.find(original)
ready = faces.restore(original, found, plain)   # the one pass of the network
picture, reports = ready.shown(plain, strength=80)       # as often as you like, at any strength
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.checkpoints.architecture import Role
from models.engine.device import Engine
from models.engine.upsampler import out_of_memory_named
from models.engine.watch import Progress, ShouldStop, no_progress
from models.errors import RestorationStopped, WeightsMissing, WeightsRefused
from models.faces.alignment import TEMPLATE_SIDE, Affine, affine_after_scaling, estimate_affine, looked_at
from models.faces.face import Face
from models.faces.finding import FaceFinder, align_in, fault_of, installed, without
from models.faces.guard import SAME_PERSON, Candidate, paste_guarded, reason_to_leave
from models.faces.identity import SIDE, Embedder, SFaceEmbedder
from models.faces.parsing import FaceParser
from models.faces.pasting import FaceLayer, expect_strength, face_layer, layer_bytes, pasting_bytes
from models.faces.regions import crop_region, face_region
from models.faces.report import FaceReport, Reason, expect_there
from models.faces.restoring import FaceRestorer, NetworkFaceRestorer, RestoredCrop, give_back, restore_crops
from models.loading import digest_of, load_face_network, onnx_file
from models.picture import Picture
from models.pixels import Pixels
from models.registry import DEFAULT_IDENTITY, GROUPS, MODELS
from models.stopping import check, never
from models.weights import WeightsStore

logger = logging.getLogger(__name__)

DEFAULT_STRENGTH = 80.0
CROP_BYTES = TEMPLATE_SIDE**2 * 3 * (1 + 4)  # of a face as it was, uint8, and as it was restored, float32
MATCHING_BYTES = 64_000_000  # maps of one crop, and strips of the picture, that are alive while a face is compared
ROLES: tuple[Role, ...] = ("restorer", "detector", "parser", "identity")


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
        self, plain: Pixels, *, strength: float, should_stop: ShouldStop = never
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
        is_shown = strength > 0 and any(candidate.layer is not None for candidate in self.candidates)
        picture = plain.copy() if is_shown else plain
        return picture, self.show(picture, strength=strength, should_stop=should_stop)

    def show(self, picture: Pixels, *, strength: float, should_stop: ShouldStop = never) -> tuple[FaceReport, ...]:
        """The same in place: ``picture`` is the plain one and gets its faces. Where it raises, it is what it was."""
        expect_strength(strength)
        outcomes = paste_guarded(
            picture,
            self.candidates,
            strength,
            embedder=self.embedder,
            threshold=self.likeness,
            check=lambda: check(should_stop),
        )
        return tuple(
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


@dataclass(kw_only=True)
class FacePipeline(FaceFinder):
    """Everything that faces need, loaded. Used by one thread at a time.

    Args:
        restorer: restores the faces that were found.
        parser: tells skin and hair from the rest; None: an oval has to do.
        embedder: tells people apart; None: the likeness is not judged.
        likeness: cosine between a face before and after, below which it is shown less.
        seconds_per_face: of the restorer, measured, and corrected by every picture; 0: not known yet.
        judge_fault: what an embedder that is there died of when it was tried.
    """

    restorer: FaceRestorer
    parser: FaceParser | None = None
    embedder: Embedder | None = None
    likeness: float = SAME_PERSON
    seconds_per_face: float = 0.0
    judge_fault: str | None = None

    @classmethod
    def open(cls, weights_dir: Path, engine: Engine) -> FacePipeline:
        """Load what of the weights for faces is in the folder: registered models first, then the user's own.

        Args:
            weights_dir: the weights folder.
            engine: of the upsampler; on a CPU faces are restored in float32 all the same.

        Raises:
            WeightsMissing: no restorer or no detector is there; says which command brings them.
            WeightsRefused: what is there is damaged, or what nothing can be done without does not work here.
        """
        here = {role: installed(weights_dir, role) for role in ROLES}
        lacking = [name for name in GROUPS["faces"] if not here[MODELS[name].role]]
        if not here["restorer"] or not here["detector"]:
            raise WeightsMissing(
                f"for faces {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not in {weights_dir}; "
                "bring what is missing with: python -m models weights fetch faces"
            )
        _expect_side(here["restorer"][0], weights_dir)
        restorer, parser, identity = (next(iter(here[role]), None) for role in ("restorer", "parser", "identity"))
        assert restorer is not None  # noqa: S101 - for the type checker
        finder = FaceFinder.among(weights_dir, engine)
        used = {"restorer": restorer, "parser": parser, "identity": identity}
        faces = cls(
            detector=finder.detector,
            second=finder.second,
            found_by=finder.found_by,
            confirmed_by=finder.confirmed_by,
            restorer=NetworkFaceRestorer(load_face_network(restorer, weights_dir), face_engine(engine)),
            parser=None if parser is None else FaceParser(load_face_network(parser, weights_dir), engine),
            embedder=None if identity is None else SFaceEmbedder(onnx_file(identity, weights_dir)),
            sha256={
                **finder.sha256,
                **{role: digest_of(name, weights_dir, role=None) for role, name in used.items() if name is not None},
            },
        )
        faces.calibrate()
        logger.info(
            "faces: %s, found by %s, confirmed by %s, likeness judged by %s, %.1f s each",
            restorer, faces.found_by, faces.confirmed_by or "nobody",
            "nobody" if faces.embedder is None else identity, faces.seconds_per_face,
        )  # fmt: skip
        return faces

    @property
    def guard_off(self) -> str | None:
        """Why nobody judges whether restored faces are still the same people, as a sentence; None: it is judged."""
        if self.embedder is not None:
            return None
        if self.judge_fault is not None:
            return f"the judge fails here: {self.judge_fault}"
        return f"{DEFAULT_IDENTITY} is not there; bring it with: python -m models weights fetch {DEFAULT_IDENTITY}"

    def calibrate(self) -> None:
        """Measure the restorer on a gray square, whose first call also settles in, and try everything else once.

        What fails here would fail in every picture. So it is switched off, and that is said as if its weights were not
        there; without restorer or detector there is nothing to be done.

        Raises:
            OutOfMemory: there is none for trying.
            WeightsRefused: the restorer or the detector does not work.
        """
        self.try_out()
        gray = np.full((1, TEMPLATE_SIDE, TEMPLATE_SIDE, 3), 128, np.uint8)
        fault = fault_of(lambda: self.restorer(gray))
        if fault is not None:
            raise WeightsRefused(f"what restores faces does not work here: {fault}")
        began = time.perf_counter()
        self.restorer(gray)
        self.seconds_per_face = time.perf_counter() - began
        parser, embedder = self.parser, self.embedder
        if parser is not None and (fault := fault_of(lambda: parser(gray[0]))) is not None:
            logger.warning("faces are pasted in an oval, for what tells skin from the rest fails here: %s", fault)
            self.parser, self.sha256 = None, without(self.sha256, "parser")
        if embedder is not None and (fault := fault_of(lambda: embedder(gray[0, :SIDE, :SIDE]))) is not None:
            self.embedder, self.sha256, self.judge_fault = None, without(self.sha256, "identity"), fault

    def restore(
        self,
        original: Picture,
        faces: Sequence[Face],
        plain: Pixels,
        *,
        alpha: Pixels | None = None,
        reasons: Sequence[Reason | None] | None = None,
        on_progress: Progress = no_progress,
        should_stop: ShouldStop = never,
    ) -> RestoredFaces:
        """Restore faces, and compare them with the enlarged picture.

        Args:
            original: the picture as it was decoded.
            faces: of :meth:`find`.
            plain: (H, W) or (H, W, 3), uint8 or uint16: ``original`` enlarged, in any size; left untouched.
            alpha: (H, W) of the same type: how opaque ``plain`` is; None: all of it.
            reasons: of :meth:`reasons_to_leave`; None: all faces are wanted, however long it takes.
            on_progress: called with rising fractions in [0, 1].
            should_stop: asked before every convolution.

        Raises:
            OutOfMemory: there is none even for looking at the faces.
            RestorationStopped: ``should_stop`` said so.
        """
        reasons = self.reasons_to_leave(original, faces) if reasons is None else reasons
        height, width = plain.shape[:2]
        scale_xy = width / original.size_wh[0], height / original.size_wh[1]
        aligned = {
            index: align_in(original, face.landmarks) for index, face in enumerate(faces) if reasons[index] is None
        }
        crops = [face.crop for face in aligned.values()]
        began = time.perf_counter()
        made = self._restored(crops, on_progress, should_stop)
        self._learn(time.perf_counter() - began, made)
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
            layer, reason = self._layer(
                plain, alpha, restored[index], affine, crop=aligned[index].crop, should_stop=should_stop
            )
            candidates.append(Candidate(landmarks=large.landmarks, affine=affine, layer=layer, reason=reason))
        return RestoredFaces(tuple(faces), tuple(candidates), self.embedder, self.likeness)

    def needed_bytes(self, original: Picture, faces: Sequence[Face], size_wh: tuple[int, int]) -> int:
        """Main memory, or more, that restoring faces takes beside the enlarged picture.

        Args:
            original: the picture as it was decoded.
            faces: those that are to be restored; the memory of none is 0.
            size_wh: of the enlarged picture.
        """
        if not faces:
            return 0
        samples, itemsize = (1 if original.is_gray else 3), original.pixels.itemsize
        scale_xy = size_wh[0] / original.size_wh[0], size_wh[1] / original.size_wh[1]
        affines = [affine_after_scaling(estimate_affine(face.landmarks), scale_xy) for face in faces]
        regions = [region for affine in affines if (region := face_region(affine, size_wh)) is not None]
        kept = sum(region.pixels for region in regions) * layer_bytes(samples, itemsize) + len(faces) * CROP_BYTES
        pasting = max((region.pixels for region in regions), default=0) * pasting_bytes(samples)
        seen = max(seen_bytes(original, face, affine, size_wh) for face, affine in zip(faces, affines, strict=True))
        return kept + seen + max(pasting, self._restorer_bytes()) + MATCHING_BYTES

    def _restorer_bytes(self) -> int:
        return self.restorer.bytes_per_face if isinstance(self.restorer, NetworkFaceRestorer) else 0

    def reasons_to_leave(
        self,
        original: Picture,
        faces: Sequence[Face],
        *,
        wanted: Sequence[int] | None = None,
        seconds: float | None = None,
    ) -> list[Reason | None]:
        """Why each face will not be restored; None where it will.

        Args:
            original: the picture as it was decoded.
            faces: of :meth:`find`.
            wanted: numbers of the faces to restore, from 1; None: all.
            seconds: there are for it; the largest faces are restored first. None: as many as it takes.

        Raises:
            OptionsError: there is no face of a wanted number.
        """
        expect_there(wanted or (), len(faces))
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

    def _learn(self, seconds: float, made: Sequence[RestoredCrop]) -> None:
        """Let real faces correct what a gray square said; what fails takes more time, or less."""
        if made and all(crop.levels is not None for crop in made):
            pace = seconds / len(made)
            self.seconds_per_face = (self.seconds_per_face + pace) / 2 if self.seconds_per_face else pace

    def _layer(
        self,
        plain: Pixels,
        alpha: Pixels | None,
        made: RestoredCrop,
        affine: Affine,
        *,
        crop: NDArray[np.uint8],
        should_stop: ShouldStop,
    ) -> tuple[FaceLayer | None, Reason | None]:
        if made.levels is None:
            return None, "failed"
        if face_region(affine, (plain.shape[1], plain.shape[0])) is None:  # between the pixels of a reduced picture
            return None, "too_small"
        try:
            with out_of_memory_named():
                labels = None if self.parser is None else self.parser(crop, should_stop)
                return face_layer(plain, made.levels, affine, labels=labels, alpha=alpha), None
        except RestorationStopped:
            raise
        except Exception as exc:  # noqa: BLE001  # whatever it dies of: a face is not worth its picture
            logger.warning("comparing a face failed: %s: %s", type(exc).__name__, exc)
        give_back()
        return None, "failed"


def seen_bytes(original: Picture, face: Face, affine: Affine, size_wh: tuple[int, int]) -> int:
    """What is taken for a moment where a face is not looked at as it is, but in 8 bits, in colour and before a gray.

    Args:
        original: the picture as it was decoded.
        face: in its pixels.
        affine: (2, 3) from the enlarged picture to the crop.
        size_wh: of the enlarged picture.
    """
    if original.alpha is None and original.pixels.dtype == np.uint8 and not original.is_gray:
        return 0
    crop_wh = (TEMPLATE_SIDE, TEMPLATE_SIDE)
    part = 3 * looked_at(estimate_affine(face.landmarks), crop_wh, original.size_wh).pixels
    window = crop_region(affine, size_wh)
    if original.alpha is None or window is None:
        return part
    samples = 1 if original.is_gray else 3
    return max(part, window.pixels * (samples + 1) * original.pixels.itemsize)


def face_engine(engine: Engine) -> Engine:
    """Where and how faces are restored: as the picture on a GPU, in float32 on a CPU."""
    if engine.device.type != "cpu":
        return engine
    return Engine(engine.device, torch.float32, "faces are restored in float32 on a CPU")


def _expect_side(restorer: str, weights_dir: Path) -> None:
    side = WeightsStore(weights_dir).verify(restorer).architecture.arguments.get("out_size")
    if side != TEMPLATE_SIDE:
        raise WeightsRefused(f"{restorer} restores faces of {side} px; here they have {TEMPLATE_SIDE}")
