"""One way on one picture, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import scores
from training.degradations import SCALE
from training.evaluation.pictures import Levels, Sample, refuse_other_size


@dataclass(frozen=True, kw_only=True)
class Score:
    """One way on one picture.

    Args:
        set: which set.
        picture: which picture of it.
        kind: how it was degraded.
        way: what made it larger.
        psnr: dB against the ground truth, luma, border cut off.
        ssim: against the ground truth, luma, border cut off.
        sharpness: mean gradient of luma, border cut off, relative to the ground truth's; None where that is flat.
        agreement: dB against the teacher's answer, luma, border cut off; None without a teacher, and for itself.
        agreement_rgb: dB against the teacher's answer, all three colours, the whole picture.
        colour_difference: mean absolute difference from the ground truth, both averaged down to the input's size,
            in levels.
        colour_drift: how far the mean of the channel that drifted most lies from the ground truth's, in levels.
    """

    set: str
    picture: str
    kind: str
    way: str
    psnr: float
    ssim: float
    sharpness: float | None
    agreement: float | None
    agreement_rgb: float | None
    colour_difference: float
    colour_drift: float


def score(sample: Sample, way: str, sr: Levels, *, teacher: Levels | None) -> Score:
    """Measure one answer.

    Args:
        sample: the question, and the ground truth.
        way: whose answer it is.
        sr: the answer, (4h, 4w, 3) uint8.
        teacher: the teacher's answer, of the same size.

    Raises:
        EvaluationError: an answer has not the size of the ground truth.
    """
    for whose, answer in ((way, sr), ("the teacher", teacher)):
        if answer is not None:
            where = f"{sample.set}/{sample.picture}"
            refuse_other_size(f"the answer of {whose} to {where}", answer, sample.gt.shape)
    ours, truth = (_measured_luma(picture) for picture in (sr, sample.gt))
    averaged = _averaged_down(sample.gt)
    return Score(
        set=sample.set,
        picture=sample.picture,
        kind=sample.kind,
        way=way,
        psnr=scores.psnr(ours, truth),
        ssim=scores.ssim(ours, truth),
        sharpness=sharpness(sr, sample.gt),
        agreement=None if teacher is None else agreement(sr, teacher),
        agreement_rgb=None if teacher is None else agreement_rgb(sr, teacher),
        colour_difference=scores.colour_difference(sr, averaged),
        colour_drift=scores.colour_drift(sr, averaged),
    )


def sharpness(sr: Levels, gt: Levels) -> float | None:
    """Mean gradient of luma relative to the ground truth's, border cut off; None where that has none."""
    ours, theirs = (mean_gradient(_measured_luma(picture)) for picture in (sr, gt))
    return ours / theirs if theirs else None


def mean_gradient(plane: NDArray[np.float64]) -> float:
    """Mean length of the gradient by differences to the next row and column, in levels per pixel."""
    down, right = np.diff(plane, axis=0)[:, :-1], np.diff(plane, axis=1)[:-1]
    return float(np.hypot(down, right).mean())


def agreement(ours: Levels, theirs: Levels) -> float:
    """PSNR between two answers in dB, on luma with the border cut off; infinite for equal ones."""
    return scores.psnr(_measured_luma(ours), _measured_luma(theirs))


def agreement_rgb(ours: Levels, theirs: Levels) -> float:
    """PSNR between two answers in dB, over all colours and pixels; infinite for equal ones."""
    return scores.psnr(ours.astype(np.float64), theirs.astype(np.float64))


def _measured_luma(picture: Levels) -> NDArray[np.float64]:
    return scores.within(scores.luma(picture), SCALE)


def _averaged_down(gt: Levels) -> Levels:
    size_wh = gt.shape[1] // SCALE, gt.shape[0] // SCALE
    return np.asarray(cv2.resize(gt, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
