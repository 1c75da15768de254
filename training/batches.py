"""Batches of patches; what is in a batch depends on the seed and the step alone, so a resumed run sees the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.degradations import SCALE
from training.errors import DataError
from training.patches import Patches

Levels = NDArray[np.uint8]
KEPT_SIGMA = (1.0, 25.0)  # levels, of noise that the answer keeps
KEPT_GRAIN = (0.0, 0.8)  # px, how coarse it is
NEARLY_CLEAN = 1.5  # levels between a degraded patch and the reduced truth


class Batch(NamedTuple):
    """(N, H, W, 3), RGB, levels of 0 to 255; ``lq`` uint8 and a quarter as large as the others, which are float32."""

    lq: Levels
    gt: NDArray[np.float32]
    teacher: NDArray[np.float32] | None


@dataclass(frozen=True)
class Batches:
    """Random crops, flipped and turned.

    Args:
        patches: to cut from; where one is no truth, the teacher's answer stands in.
        teacher: answers, as large as the ground truth.
        batch: crops at a time.
        crop: side of the degraded crop, px.
        margin: px at a patch's edge that are left out.
        seed: of all chance in here.
        keep_noise: add noise to the crop and to both answers.
    """

    patches: Patches
    teacher: Levels | None
    batch: int
    crop: int
    margin: int
    seed: int
    keep_noise: bool = False

    def usable(self) -> NDArray[np.intp]:
        """The training patches; only those next to clean where noise has to stay, for theirs would not."""
        numbers = self.patches.numbers("train")
        if self.keep_noise:
            gt, lq = self.patches.gt, self.patches.lq
            numbers = np.array([number for number in numbers if _is_nearly_clean(gt[number], lq[number])], np.intp)
        if not len(numbers):
            raise DataError("no patch can be used: prepare more, or with cleaner degradations")
        return numbers

    def at(self, step: int, numbers: NDArray[np.intp]) -> Batch:
        """The batch of a step.

        Args:
            step: counts from 0.
            numbers: of :meth:`usable`.
        """
        rng = np.random.default_rng([self.seed, step])
        room = self.patches.lq.shape[1] - 2 * self.margin - self.crop + 1
        drawn = [self._crop(int(rng.choice(numbers)), rng, room) for _ in range(self.batch)]
        lq = np.stack([each.lq for each in drawn])
        answers = [each.teacher for each in drawn if each.teacher is not None]
        gt = np.stack([each.gt for each in drawn])
        return Batch(lq=lq, gt=gt, teacher=np.stack(answers) if answers else None)

    def _crop(self, number: int, rng: np.random.Generator, room: int) -> Batch:
        top, left = (int(value) for value in rng.integers(0, room, 2) + self.margin)
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        large = np.s_[top * SCALE : (top + self.crop) * SCALE, left * SCALE : (left + self.crop) * SCALE]
        lq = _turned(self.patches.lq[number][top : top + self.crop, left : left + self.crop], turn, flip=flip)
        gt = _turned(self.patches.gt[number][large], turn, flip=flip).astype(np.float32)
        teacher = None
        if self.teacher is not None:
            teacher = _turned(self.teacher[number][large], turn, flip=flip).astype(np.float32)
            if not self.patches.true[number]:
                gt = teacher
        if self.keep_noise:
            noisy = _grainy(lq, rng)
            grain = _enlarged(noisy.astype(np.float32) - lq.astype(np.float32))
            lq, gt = noisy, gt + grain
            teacher = None if teacher is None else teacher + grain
        return Batch(lq=lq, gt=gt, teacher=teacher)


def _turned(pixels: Levels, turn: int, *, flip: bool) -> Levels:
    return np.rot90(pixels[:, ::-1] if flip else pixels, turn)


def _is_nearly_clean(gt: Levels, lq: Levels) -> bool:
    height, width = lq.shape[:2]
    reduced = Image.fromarray(gt).resize((width, height), Image.Resampling.BICUBIC)
    return bool(np.abs(np.asarray(reduced, np.float32) - lq).mean() < NEARLY_CLEAN)


def _grainy(lq: Levels, rng: np.random.Generator) -> Levels:
    """Noise as cameras and film leave it: in gray or in colour, fine or a little coarse."""
    sigma, coarse = rng.uniform(*KEPT_SIGMA), rng.uniform(*KEPT_GRAIN)
    noise = rng.standard_normal((*lq.shape[:2], 1 if rng.random() < 0.5 else 3), np.float32)
    if coarse > 0.3:
        blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), coarse), np.float32).reshape(noise.shape)
        noise = blurred / blurred.std()
    return np.asarray(np.rint(np.clip(lq + np.float32(sigma) * noise, 0, 255)), np.uint8)


def _enlarged(noise: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = noise.shape[:2]
    large = cv2.resize(noise, (width * SCALE, height * SCALE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)
