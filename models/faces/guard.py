"""Restored faces only as far as they are still the same people.

A restorer invents what it cannot see, and the less it sees the more. Two questions keep it honest. Before: is there
enough of a face to judge anything by? What is smaller or more blurred than a recognisable face is left as it is. After:
does an embedding (``models.faces.identity``) still take it for the same face? If not, the restored face is shown less
and less, at the end not at all. What is measured is the finished picture, so that everybody who has both pictures and
the landmarks can measure it again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.engine.tiling import Region
from models.engine.upsampler import out_of_memory_named
from models.errors import RestorationStopped
from models.faces.alignment import TEMPLATE_EYE_DISTANCE, Affine, averaged, estimate_affine, scale_of
from models.faces.identity import Embedder, Embedding, cosine, embedding, identity_region
from models.faces.matching import edge_blur, luma
from models.faces.pasting import FaceLayer, paste
from models.faces.regions import around, crop_region, grouped
from models.faces.report import Reason, Status
from models.faces.threads import both
from models.pixels import Pixels

logger = logging.getLogger(__name__)

# Cosine at and above which two photographs show the same person, as OpenCV gives it for SFace on LFW. A restoration of
# a photograph should be far above it.
SAME_PERSON = 0.363
LEAST_SHOWN = 25  # strength; who is somebody else even so is left as they were

# px between the eyes in the photograph, judged by eye on faces that were made smaller: at 12 px people are still to be
# recognised, at 9 px an eye is a spot of one or two pixels, which a restorer would see 14 times enlarged.
LEAST_EYE_DISTANCE = 10.0
# Eye distance over the sigma of the blur, judged in the same way: at 12 people are still to be recognised, at 8 no
# more. 40 faces blurred to 12 measured 8.9 to 15.6, to 8 7.0 to 11.8 (all but one below 9.5), as they were 21 or more.
LEAST_SIGMAS = 9.0
OWN_BLUR = 0.5  # px of the photograph: the blur of what is as sharp as pixels allow


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A face of the enlarged picture, and what there is to put into it.

    Attributes:
        landmarks: (5, 2) in pixels of the enlarged picture.
        affine: (2, 3) from the enlarged picture to the 512 px crop.
        layer: None where there is nothing to show.
        reason: why there is none; None where there is one.
    """

    landmarks: NDArray[np.float32]
    affine: Affine
    layer: FaceLayer | None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How strongly a face was put into the picture; the fields are those of :class:`models.faces.report.FaceReport`."""

    status: Status
    reason: Reason | None
    strength: float
    similarity: float | None = None
    similarity_asked: float | None = None


def reason_to_leave(picture: Pixels, landmarks: NDArray[np.float32]) -> Reason | None:
    """Whether a face of the photograph shows too little to be judged, before anything is restored.

    Args:
        picture: (H, W) or (H, W, 3), uint8 or uint16: the photograph, not enlarged.
        landmarks: (5, 2) in its pixels.
    """
    if float(np.linalg.norm(landmarks[1] - landmarks[0])) < LEAST_EYE_DISTANCE:
        return "too_small"
    return "too_blurred" if sigmas_between_eyes(picture, landmarks) < LEAST_SIGMAS else None


def sigmas_between_eyes(picture: Pixels, landmarks: NDArray[np.float32]) -> float:
    """How sharply a face is seen: its eye distance over the blur of its sharpest edges (at least 0.5 px of its own).

    Args:
        picture: (H, W) or (H, W, 3), uint8 or uint16.
        landmarks: (5, 2) in its pixels.

    Returns:
        0 where a face shows no edge at all.
    """
    affine = estimate_affine(landmarks)
    region = crop_region(affine, (picture.shape[1], picture.shape[0]))
    if region is None:
        return 0.0
    part = picture[region.slices]
    levels = luma(part.astype(np.float32))
    levels, affine = averaged(levels, affine)  # no more pixels than a restorer looks at
    blur = edge_blur(levels * np.float32(255 / np.iinfo(part.dtype).max))
    return 0.0 if blur is None else TEMPLATE_EYE_DISTANCE / scale_of(affine) / max(blur, OWN_BLUR)


def paste_guarded(
    picture: Pixels,
    candidates: Sequence[Candidate],
    strength: float,
    *,
    embedder: Embedder | None,
    threshold: float = SAME_PERSON,
    check: Callable[[], None] = lambda: None,
) -> tuple[Outcome, ...]:
    """Put faces into the picture that their layers were made for, in place, each as far as it stays itself.

    Where it raises, the picture is what it was.

    Args:
        picture: (H, W) or (H, W, 3), uint8 or uint16; changed where faces are.
        candidates: all faces of the picture, also those that are not to be touched.
        strength: 0 to 100, asked for.
        embedder: None: nobody can judge the likeness, the strength holds for all.
        threshold: of the similarity; below it a face is shown less.
        check: called before each attempt; may raise.

    Returns:
        One for each candidate, in order.
    """
    untouched = [candidate.affine for candidate in candidates if candidate.layer is None]
    shown = [index for index, candidate in enumerate(candidates) if candidate.layer is not None]
    layers = [layer for candidate in candidates if (layer := candidate.layer) is not None]
    outcomes = {
        index: Outcome(status="left", reason=candidate.reason or "failed", strength=0.0)
        for index, candidate in enumerate(candidates)
        if candidate.layer is None
    }
    if not strength:
        outcomes |= {index: Outcome(status="left", reason=None, strength=0.0) for index in shown}
        return tuple(outcomes[index] for index in range(len(candidates)))
    size_wh = (picture.shape[1], picture.shape[0])
    judged = [layer.region for layer in layers]
    if embedder is not None:  # who sees another face in their own crop is judged together with it
        seen = (identity_region(candidates[index].landmarks, size_wh) for index in shown)
        judged = [around(region, there) for region, there in zip(judged, seen, strict=True)]
    kept: list[Kept] = []
    try:
        for group in grouped(judged):
            members = [layers[member] for member in group]
            keep = partial(Kept.of, picture, around(*(layer.region for layer in members)))
            if embedder is None:
                kept.append(keep())
                paste(picture, members, [strength] * len(members), untouched=untouched)
                settled = [Outcome(status="restored", reason=None, strength=float(strength))] * len(members)
            else:
                landmarks = [candidates[shown[member]].landmarks for member in group]
                # The judge looks at the faces as they were while their pixels are copied.
                tried = partial(Trial, picture, members, landmarks, untouched=untouched, embedder=embedder)
                trial, plain = both(tried, keep)
                kept.append(plain)
                settled = trial.settle(strength, threshold, check, plain)
            outcomes |= {shown[member]: outcome for member, outcome in zip(group, settled, strict=True)}
    except BaseException:
        for part in reversed(kept):  # a later one may have been copied with an earlier one's faces in it
            part.put_back(picture)
        raise
    return tuple(outcomes[index] for index in range(len(candidates)))


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A part of the picture as it was."""

    region: Region
    pixels: Pixels

    @classmethod
    def of(cls, picture: Pixels, region: Region) -> Kept:
        """Copy it."""
        return cls(region, picture[region.slices].copy())

    def put_back(self, picture: Pixels) -> None:
        """Undo whatever happened to it."""
        picture[self.region.slices] = self.pixels


class Trial:
    """Faces that may see each other, tried in the picture until each is like itself.

    Args:
        picture: changed.
        layers: of the faces.
        landmarks: of the faces, in pixels of the picture.
        untouched: affines of faces that must not change.
        embedder: the judge, who looks at the faces as they are at once.
    """

    def __init__(
        self,
        picture: Pixels,
        layers: Sequence[FaceLayer],
        landmarks: Sequence[NDArray[np.float32]],
        *,
        untouched: Sequence[Affine],
        embedder: Embedder,
    ) -> None:
        self._picture, self._layers, self._landmarks = picture, layers, landmarks
        self._untouched, self._embedder = untouched, embedder
        self._is_plain = True
        self._unjudged: set[int] = set()
        self._strengths: list[float] | None = None
        self._last: list[float] = []
        self._before = [self._embedding(index) for index in range(len(layers))]

    def settle(self, strength: float, threshold: float, check: Callable[[], None], plain: Kept) -> list[Outcome]:
        """Leave the picture with every face as strong as it may be, and say how strong that is.

        A face may be as strong as the largest whole number from 25 on at which it is still itself, whatever was asked
        for, or 0 if there is none, and is shown at the lesser of the two: so who asks for more never gets less. The
        number is not looked for where what was asked for will do, which costs one judgement, and else by halving, which
        costs eight more. This holds where a face becomes less like itself the stronger it is. Where it does not, or
        where faces see one another, a stronger one may have been possible; but what is shown was judged as it is shown.
        """
        faces = range(len(self._layers))
        shown = [strength] * len(faces)

        def judged() -> list[bool]:
            check()
            return [
                value >= threshold for value in self._similarities(shown, plain)
            ]  # what is no number is no likeness

        alike = judged()
        asked = self._last
        whole = max(LEAST_SHOWN, math.ceil(strength))
        if whole != strength:  # else 80.5 might be shown where 81 comes down to 80, and 10 where 100 comes down to 0
            shown = [whole] * len(faces)
            alike = [one and other for one, other in zip(alike, judged(), strict=True)]
            shown = [strength] * len(faces)
        unlike = [face for face in faces if not alike[face]]
        passed, failed = dict.fromkeys(unlike, LEAST_SHOWN - 1), dict.fromkeys(unlike, whole)
        while open_ := [face for face in unlike if failed[face] - passed[face] > 1 and face not in self._unjudged]:
            for face in open_:
                shown[face] = (passed[face] + failed[face]) // 2
            alike = judged()
            for face in open_:
                (passed if alike[face] else failed)[face] = int(shown[face])
        for face in unlike:
            shown[face] = passed[face] if passed[face] >= LEAST_SHOWN else 0
        alike = judged()
        while too_strong := [face for face in faces if shown[face] and not alike[face]]:
            for face in too_strong:  # another one, which is seen together with it, has become stronger since
                weaker = shown[face] // 2
                shown[face] = 0 if face in self._unjudged or weaker < LEAST_SHOWN else weaker
            alike = judged()
        return [
            Outcome(
                status="restored" if now == strength else "weakened" if now else "left",
                reason=None if now == strength else "failed" if face in self._unjudged else "unlike",
                strength=float(now),
                similarity=None if math.isnan(value) else value,
                similarity_asked=None if math.isnan(first) else first,
            )
            for face, now, value, first in zip(faces, shown, self._last, asked, strict=True)
        ]

    def _similarities(self, strengths: Sequence[float], plain: Kept) -> list[float]:
        """Of each face, in the picture with all of them as strong as that; ``plain`` is all of it that they change."""
        if self._strengths == strengths:
            return self._last
        if not self._is_plain:
            plain.put_back(self._picture)
        self._is_plain = False
        paste(self._picture, self._layers, strengths, untouched=self._untouched)
        self._strengths, self._last = list(strengths), [self._similarity(face) for face in range(len(self._layers))]
        return self._last

    def _similarity(self, face: int) -> float:
        """With the face as it was; nan where the judge has no opinion."""
        before = self._before[face]
        after = None if before is None else self._embedding(face)
        return math.nan if before is None or after is None else cosine(before, after)

    def _embedding(self, face: int) -> Embedding | None:
        """Of a face as it is now. None where the judge failed, who is not asked about that face again."""
        if face in self._unjudged:
            return None
        try:
            with out_of_memory_named():
                return embedding(self._embedder, self._picture, self._landmarks[face])
        except RestorationStopped:
            raise
        except Exception as exc:  # noqa: BLE001  # whatever a judge dies of: that face is left as it is
            logger.warning("judging the likeness of a face failed: %s: %s", type(exc).__name__, exc)
        self._unjudged.add(face)
        return None
