"""What is to be done about the faces of one picture, by wishes, by what is in the picture, and by the time there is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.engine.device import Engine
from models.engine.upsampler import out_of_memory_named
from models.engine.watch import Progress, ShouldStop
from models.errors import OptionsError, OutOfMemory, RestorationStopped, WeightsError, WeightsMissing
from models.faces.alignment import align_face
from models.faces.face import Face
from models.faces.finding import FaceFinder, eight_bit_rgb
from models.faces.pipeline import DEFAULT_STRENGTH, FacePipeline
from models.faces.preview import FaceMask, numbered_preview, picture_mask
from models.faces.report import NOT_LOOKED_FOR, FaceReport, Reason, expect_there
from models.faces.restoring import give_back
from models.options import RestoreOptions
from models.picture import Picture
from models.planning import Plan, Traits
from models.stopping import never

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FaceTask:
    """What is to be done about the faces of one picture.

    Args:
        pipeline: None: nothing.
        found: in reading order.
        reasons: for each, why it is left; None: it is restored.
        strength: 0 to 100.
        looked_s: seconds that looking for them took.
        notices: stable codes of what the owner should be told, beside those of the faces.
    """

    pipeline: FacePipeline | None = None
    found: tuple[Face, ...] = ()
    reasons: tuple[Reason | None, ...] = ()
    strength: float = 0.0
    looked_s: float = 0.0
    notices: tuple[str, ...] = ()

    @property
    def restored(self) -> tuple[Face, ...]:
        """The faces that are to be restored."""
        return tuple(face for face, reason in zip(self.found, self.reasons, strict=True) if reason is None)

    @property
    def seconds(self) -> float:
        """About how long it will take."""
        return 0.0 if self.pipeline is None else self.pipeline.seconds_per_face * len(self.restored)

    def needed_bytes(self, picture: Picture, size_wh: tuple[int, int]) -> int:
        """Main memory that it takes beside the result, whose size this is."""
        return 0 if self.pipeline is None else self.pipeline.needed_bytes(picture, self.restored, size_wh)

    def done(
        self, picture: Picture, result: Picture, *, on_progress: Progress, should_stop: ShouldStop
    ) -> tuple[Picture, tuple[FaceReport, ...]]:
        """The result, in place, with its faces, and what became of each.

        Whatever goes wrong ends here, for the picture is worth more than its faces: it comes without them, and says so.

        Raises:
            RestorationStopped: ``should_stop`` said so.
        """
        if self.pipeline is None or not self.found:
            return result, ()
        give_back()  # what the network that enlarged the picture had
        try:
            with out_of_memory_named():
                restored = self.pipeline.restore(
                    picture,
                    self.found,
                    result.pixels,
                    alpha=result.alpha,
                    reasons=self.reasons,
                    on_progress=on_progress,
                    should_stop=should_stop,
                )
                reports = restored.show(result.pixels, strength=self.strength, should_stop=should_stop)
        except RestorationStopped:
            raise
        except Exception as exc:  # noqa: BLE001  # see above
            logger.warning("faces are left as they are: %s: %s", type(exc).__name__, exc)
        else:
            return result, reports
        give_back()
        return result, tuple(
            FaceReport(number=number, face=face, status="left", reason=reason or "failed")
            for number, (face, reason) in enumerate(zip(self.found, self.reasons, strict=True), start=1)
        )

    def recipe(self, reports: Sequence[FaceReport]) -> Mapping[str, object] | None:
        """For :func:`models.recipe.recipe_of`: what was tried and did not fail; None where that is nothing.

        The guard and what is too small come out the same again. What failed, or had no time, might not.
        """
        tried = [face.number for face in reports if face.reason not in {"unpicked", "no_time", "failed"}]
        if self.pipeline is None or not tried:
            return None
        return {
            "faces": self.strength,
            "faces_picked": tried,
            "faces_left_out": [],
            "faces_sha256": dict(self.pipeline.sha256),
        }


def wanted_faces(options: RestoreOptions, found: int) -> tuple[int, ...] | None:
    """Numbers of the faces that were picked and not left out; None: all of them.

    Raises:
        OptionsError: a picked number is larger than there are faces. Leaving out who is not there is no mistake.
    """
    expect_there(options.faces_picked or (), found)
    if options.faces_picked is None and not options.faces_left_out:
        return None
    picked = range(1, found + 1) if options.faces_picked is None else options.faces_picked
    return tuple(sorted(set(picked) - set(options.faces_left_out)))


def open_faces(weights_dir: Path, engine: Engine) -> FacePipeline | str:
    """What restores faces; where nothing can, the sentence that says why, which is also logged."""
    try:
        return FacePipeline.open(weights_dir, engine)
    except WeightsMissing as exc:
        logger.info("faces are left as they are: %s", exc)
        return str(exc)
    except (WeightsError, OutOfMemory) as exc:
        logger.warning("faces are left as they are: %s", exc)
        return str(exc)


def open_finder(weights_dir: Path, engine: Engine) -> FaceFinder | str:
    """What finds faces, where nothing is needed that restores them; else the sentence that says what is missing."""
    try:
        finder = FaceFinder.among(weights_dir, engine)
        finder.try_out()
    except (WeightsError, OutOfMemory) as exc:
        return str(exc)
    return finder


def loaded(faces: FacePipeline | str) -> FacePipeline:
    """What restores faces.

    Raises:
        OptionsError: nothing does; says why.
    """
    if isinstance(faces, str):
        raise OptionsError(f"faces cannot be restored: {faces}")
    return faces


def face_task(
    faces: FacePipeline | str,
    picture: Picture,
    traits: Traits,
    chosen: Plan,
    options: RestoreOptions,
    *,
    should_stop: ShouldStop = never,
) -> FaceTask:
    """Find the faces, and settle which are restored and how strongly; none in a drawing, unless it was asked for.

    Where nothing was asked for and no time is left, nobody is looked for.

    Raises:
        OptionsError: asked for, and nothing restores faces; or a face that is not there was named.
    """
    there_are_s = None if options.max_seconds is None else max(0.0, options.max_seconds - chosen.estimate_s)
    if options.faces or (options.faces is None and (options.faces_picked or options.faces_left_out)):
        pipeline = loaded(faces)
    elif options.faces is None and traits.kind != "drawing" and there_are_s != 0 and not isinstance(faces, str):
        pipeline = faces
    else:
        return FaceTask()
    began = time.perf_counter()
    found = _found(pipeline, picture, should_stop)
    looked_s = time.perf_counter() - began
    if found is None:
        return FaceTask(looked_s=looked_s, notices=(NOT_LOOKED_FOR,))
    wanted = wanted_faces(options, len(found))
    left_s = None if there_are_s is None else max(0.0, there_are_s - looked_s)
    reasons = _reasons(pipeline, picture, found, wanted, left_s)
    strength = DEFAULT_STRENGTH if options.faces is None else options.faces
    return FaceTask(pipeline, found, tuple(reasons), float(strength), looked_s)


def _found(finder: FaceFinder, picture: Picture, should_stop: ShouldStop) -> tuple[Face, ...] | None:
    """The faces; None where looking fails, for want of memory also when all that can be is given back."""
    for _ in range(2):
        try:
            return finder.find(picture, should_stop=should_stop)
        except RestorationStopped:
            raise
        except OutOfMemory as exc:
            logger.warning("looking for faces: %s", exc)
        except Exception as exc:  # noqa: BLE001  # whatever a detector dies of: the picture is delivered as it is
            logger.warning("looking for faces failed: %s: %s", type(exc).__name__, exc)
            return None
        give_back()
    return None


def _reasons(
    pipeline: FacePipeline,
    picture: Picture,
    found: Sequence[Face],
    wanted: Sequence[int] | None,
    seconds: float | None,
) -> list[Reason | None]:
    """Why each face is left; where it cannot be judged, because that failed."""
    try:
        return pipeline.reasons_to_leave(picture, found, wanted=wanted, seconds=seconds)
    except Exception as exc:  # noqa: BLE001  # nothing of a face may fail its picture; wishes were looked at before
        logger.warning("judging faces failed: %s: %s", type(exc).__name__, exc)
    return ["failed" if wanted is None or number in wanted else "unpicked" for number in range(1, len(found) + 1)]


def preview_of(finder: FaceFinder, picture: Picture, options: RestoreOptions) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 RGB: the picture with its faces numbered, those that would be left out crossed out."""
    found = finder.find(picture)
    wanted = wanted_faces(options, len(found))
    left_out = [number for number in range(1, len(found) + 1) if wanted is not None and number not in wanted]
    return numbered_preview(eight_bit_rgb(picture), found, left_out=left_out)


def masks_of(finder: FaceFinder, picture: Picture) -> Iterator[FaceMask]:
    """One for each face of the picture, made when it is asked for; by skin and hair where ``finder`` can parse."""
    found, image = finder.find(picture), eight_bit_rgb(picture)
    parser = finder.parser if isinstance(finder, FacePipeline) else None

    def masks() -> Iterator[FaceMask]:
        for number, face in enumerate(found, start=1):
            with out_of_memory_named():
                aligned = align_face(image, face.landmarks)
                labels = None if parser is None else parser(aligned.crop)
                pixels = picture_mask(aligned.affine, picture.size_wh, labels)
            yield FaceMask(number=number, face=face, pixels=pixels, is_parsed=labels is not None)

    return masks()
