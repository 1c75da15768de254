"""Aligned faces through a network that restores them, some at a time, and a look at what came out.

The official GFPGANer shows the unrestored face as if it were restored when something fails. Here a face is restored,
or it is reported as failed and never shown.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.engine.device import Engine
from models.engine.memory import MOST_HOST_BYTES, SHARE, free_bytes, give_back_memory
from models.engine.upsampler import out_of_memory_named
from models.engine.watch import Progress, ShouldStop, before_each_convolution, no_progress
from models.errors import OutOfMemory, RestorationStopped
from models.stopping import check, never

logger = logging.getLogger(__name__)

Crops = NDArray[np.uint8]
"""(N, 512, 512, 3) RGB."""
Levels = NDArray[np.float32]

# Numbers that GFPGANv1Clean has alive at most while it restores a face: measured 177 million in float32 and 174 in
# bfloat16 for one face, 146 and 151 for each of two.
VALUES_PER_FACE = 180_000_000
MOST_AT_ONCE = {"cpu": 1, "cuda": 16}  # on a CPU two took twice as long as one
PATCHES = 16  # a side; what a face looks like from afar is compared in so many
LEAST_SPREAD = 6.0  # levels of an input's patches: one with less has nothing that could be missed
RELATED = 0.3  # correlation of patches; a restoration of any face has more
CONSTANT = 1.0  # level; a result whose values are all within it shows nothing


class FaceRestorer(Protocol):
    """Anything that restores upright faces, such as :class:`NetworkFaceRestorer`."""

    def __call__(self, crops: Crops, /) -> Levels:
        """(N, 512, 512, 3) uint8 RGB to the same shape in float32: levels of 8 bits, which may be outside 0 to 255."""


class NetworkFaceRestorer:
    """A network such as GFPGANv1Clean on a device. Used by one thread at a time.

    Args:
        network: maps (N, 3, 512, 512) in [-1, 1] to the same, or to a tuple that begins with it. Is moved to the
            engine's device and number format, and set to evaluation.
        engine: where and in which number format it runs.

    Raises:
        OutOfMemory: there is no memory for the network.
    """

    def __init__(self, network: nn.Module, engine: Engine) -> None:
        self.engine = engine
        with out_of_memory_named():
            self.network = network.eval().requires_grad_(requires_grad=False).to(engine.device, engine.dtype)

    @property
    def bytes_per_face(self) -> int:
        """Memory of the engine's device that is taken while one face is restored."""
        return VALUES_PER_FACE * self.engine.dtype.itemsize

    @property
    def at_once(self) -> int:
        """How many faces fit into the memory that is free now; at least one."""
        device, per_face = self.engine.device.type, self.bytes_per_face
        free, most = free_bytes(self.engine), MOST_AT_ONCE.get(device, 1)
        room = most * per_face if free is None else int(free * SHARE)
        if device == "cpu":
            room = min(room, MOST_HOST_BYTES)
        return max(1, min(most, room // per_face))

    def __call__(self, crops: Crops, /, should_stop: ShouldStop = never) -> Levels:
        """Restore faces, as many at once as there is memory for.

        Args:
            crops: (N, 512, 512, 3) uint8 RGB.
            should_stop: asked before every convolution.

        Returns:
            The same shape in float32, levels of 8 bits, not clipped.

        Raises:
            OutOfMemory: not even one fits.
            RestorationStopped: ``should_stop`` said so.
        """
        self._expect_room()

        def look_up(_conv: nn.Conv2d, _lq: Tensor) -> None:
            check(should_stop)

        made, at_once = np.empty(crops.shape, np.float32), self.at_once
        with before_each_convolution(self.network, look_up), out_of_memory_named(), torch.inference_mode():
            for start in range(0, len(crops), at_once):
                part = slice(start, start + at_once)
                made[part] = self._levels(self._forward(crops[part]))
        return made

    def _expect_room(self) -> None:
        """Refuse where the system would not: it promises memory that it has not got, and kills who uses it."""
        free = free_bytes(self.engine) if self.engine.device.type == "cpu" else None
        if free is not None and free < self.bytes_per_face:
            raise OutOfMemory(f"a face needs {self.bytes_per_face / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free")

    def _forward(self, crops: Crops) -> Tensor:
        there = torch.from_numpy(np.ascontiguousarray(crops)).to(self.engine.device).permute(0, 3, 1, 2)
        answer = self.network(there.to(torch.float32).div_(127.5).sub_(1.0).to(self.engine.dtype))
        return answer if isinstance(answer, Tensor) else answer[0]

    def _levels(self, answer: Tensor) -> Levels:
        levels = answer.to(torch.float32).add_(1.0).mul_(127.5).permute(0, 2, 3, 1)
        return np.asarray(levels.cpu().numpy(), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class RestoredCrop:
    """What a restorer made of one face.

    Attributes:
        levels: (512, 512, 3) float32, finite, levels of 8 bits, not clipped; None where it failed.
        failure: what is wrong with it, as the end of a sentence; None where nothing is.
    """

    levels: Levels | None
    failure: str | None = None


def restore_crops(
    restorer: FaceRestorer,
    crops: Sequence[Crops],
    *,
    at_once: int = 1,
    on_progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> tuple[RestoredCrop, ...]:
    """Restore every face of a picture. One that fails does not take the others with it.

    Where memory runs out, what can be given back is, and from there on the faces go one at a time. There is no smaller
    plan above to fall back on: the picture is enlarged by now, and is worth more than its faces. So a face that does
    not fit alone either is one that failed.

    Args:
        restorer: gets stacks of crops, never more than ``at_once``.
        crops: (512, 512, 3) uint8 RGB each.
        at_once: of a stack; where one fails its faces are tried one by one.
        on_progress: called with rising fractions in [0, 1] after each stack.
        should_stop: asked before each stack.

    Returns:
        One for each crop, in order.

    Raises:
        RestorationStopped: ``should_stop`` said so, or the restorer was stopped.
    """
    done: list[RestoredCrop] = []
    step = max(1, at_once)
    while len(done) < len(crops):
        check(should_stop)
        stack = list(crops[len(done) : len(done) + step])
        made = _tried(restorer, stack)
        if made is None:
            give_back()
            step, stack = 1, stack[:1]
            made = _tried(restorer, stack) or [RestoredCrop(None, "out of memory")]
        elif len(stack) > 1:
            made = [_alone(restorer, lq) if crop.levels is None else crop for lq, crop in zip(stack, made, strict=True)]
        done.extend(made)
        on_progress(len(done) / len(crops))
    return tuple(done)


def give_back() -> None:
    """Free what nobody uses, on the host and on a GPU. Call it outside of the ``except``: an error holds tensors."""
    give_back_memory()
    torch.cuda.empty_cache()  # does nothing where no GPU is in use


def failure_of(crop: Crops, levels: Levels) -> str | None:
    """What is wrong with a restored face, as the end of a sentence; None if nothing is.

    Whether it is still the same person is not asked here, but whether it can be the same picture from afar: a driver
    bug, a damaged weight or a number format that overflows shows as no numbers, as one colour, or as something else.

    Args:
        crop: (512, 512, 3) uint8.
        levels: what a restorer made of it.
    """
    if levels.shape != crop.shape:
        return f"the shape {levels.shape}"
    lowest, highest = float(levels.min()), float(levels.max())  # of which one is no number where any is none
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        return "no numbers"
    if highest - lowest <= CONSTANT:
        return "one colour"
    theirs, ours = (_patches(image) for image in (crop, levels))
    theirs, ours = theirs - theirs.mean(), ours - ours.mean()
    spread, our_spread = float(np.sqrt(np.square(theirs).mean())), float(np.sqrt(np.square(ours).mean()))
    if spread < LEAST_SPREAD:
        return None
    correlation = float((theirs * ours).mean()) / max(spread * our_spread, 1e-6)
    return None if correlation >= RELATED else "another picture"


def _patches(image: Crops | Levels) -> Levels:
    """(16, 16): brightness from afar."""
    levels = np.asarray(image, np.float32)
    levels = levels if image.dtype == np.uint8 else np.clip(levels, 0, 255)
    small = cv2.resize(levels, (PATCHES, PATCHES), interpolation=cv2.INTER_AREA)
    return np.asarray(np.mean(small, axis=2), np.float32)


def _alone(restorer: FaceRestorer, lq: Crops) -> RestoredCrop:
    made = _tried(restorer, [lq])
    return RestoredCrop(None, "out of memory") if made is None else made[0]


def _tried(restorer: FaceRestorer, stack: list[Crops]) -> list[RestoredCrop] | None:
    """One for each; None where memory ran out."""
    try:
        with out_of_memory_named():
            made = np.asarray(restorer(np.stack(stack)))
    except RestorationStopped:
        raise
    except OutOfMemory as exc:
        logger.warning("restoring %d faces at once: %s", len(stack), exc)
        return None
    except Exception as exc:  # noqa: BLE001  # whatever a restorer dies of: the picture is delivered without its faces
        logger.warning("restoring %d faces failed: %s: %s", len(stack), type(exc).__name__, exc)
        return [RestoredCrop(None, type(exc).__name__)] * len(stack)
    if made.shape[:1] != (len(stack),):
        return [RestoredCrop(None, f"an answer of the shape {made.shape}")] * len(stack)
    return [_looked_at(crop, np.asarray(levels, np.float32)) for crop, levels in zip(stack, made, strict=True)]


def _looked_at(crop: Crops, levels: Levels) -> RestoredCrop:
    failure = failure_of(crop, levels)
    if failure is None:
        return RestoredCrop(levels)
    logger.warning("a restored face came out as %s", failure)
    return RestoredCrop(None, failure)
