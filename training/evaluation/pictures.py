"""Pictures with a true original, what is made of them, and the promise that no training has seen them.

All chance of an input comes from the seed, the picture's name and the kind of input, so that it is the same in any
order, in any company and on any day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from benchmarks.pictures import SHARED
from benchmarks.quality import QUICK_PICTURES, SUFFIXES, cropped, read
from benchmarks.scores import WINDOW, coloured
from models.weights.file import sha256_of
from training.degradations import SCALE, as_floats, as_levels, named
from training.evaluation.errors import EvaluationError

Levels = NDArray[np.uint8]
"""RGB, 0 to 255."""

SETS = ("set5", "set14", "kodak")
KINDS = ("clean", "real-esrgan", "as-sent", "blur-noise-jpeg")
CLEAN = "clean"  # the one kind that is not degraded but by its reduction
LEAST_SIDE = WINDOW + 2 * SCALE  # px; SSIM's window within what is left when the border is cut off


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One picture, degraded in one way.

    Args:
        set: name of the set it belongs to.
        picture: its name.
        kind: how it was degraded.
        gt: (4h, 4w, 3) uint8, what the answer is compared with.
        lq: (h, w, 3) uint8, what every way is given.

    Raises:
        EvaluationError: the sizes do not belong together, or are too small to measure.
    """

    set: str
    picture: str
    kind: str
    gt: Levels
    lq: Levels

    def __post_init__(self) -> None:
        height, width = self.lq.shape[:2]
        refuse_other_size(f"the ground truth of {self.set}/{self.picture}", self.gt, (height * SCALE, width * SCALE, 3))
        if min(self.gt.shape[:2]) < LEAST_SIDE:
            raise EvaluationError(
                f"{self.set}/{self.picture} is too small to measure: sides of {LEAST_SIDE} px at least, "
                f"not {width * SCALE}x{height * SCALE}"
            )


def refuse_other_size(what: str, picture: Levels, shape: tuple[int, ...]) -> None:
    """Let nothing be resized or cut in silence before it is compared.

    Raises:
        EvaluationError: ``picture`` is not of that shape.
    """
    if picture.shape != shape:
        raise EvaluationError(f"{what} is {_sides(picture.shape)}, and should be {_sides(shape)}")


def albums(folder: Path | None, sets: Sequence[str] = SETS, *, quick: bool = False) -> dict[str, list[Path]]:
    """Name of each set to its pictures.

    Args:
        folder: one set of the user's own, instead of the usual ones.
        sets: which of the usual ones.
        quick: only the first two pictures of each.

    Raises:
        EvaluationError: a set is not here, or empty.
    """
    found = {}
    for place in [folder] if folder else [SHARED / "images/eval" / name for name in sets]:
        files = sorted(file for file in place.glob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise EvaluationError(f"no pictures in {place}; name a folder of your own with --pictures")
        found[place.resolve().name] = files[: QUICK_PICTURES if quick else None]
    return found


def samples(sets: Mapping[str, Iterable[Path]], kinds: Sequence[str], *, seed: int, crop: int) -> Iterator[Sample]:
    """Every picture in every kind.

    Args:
        sets: as of :func:`albums`.
        kinds: names of degradations.
        seed: other seeds, other noise.
        crop: side of the middle that is taken, px of the ground truth; 0 takes all.
    """
    for name, files in sets.items():
        for file in files:
            original = middle(opened(file), crop)
            for kind in kinds:
                yield sample_of(original, set_name=name, picture=file.stem, kind=kind, seed=seed)


def sample_of(original: Levels, *, set_name: str, picture: str, kind: str, seed: int) -> Sample:
    """Degrade one picture: (4h, 4w, 3) uint8, left as it is."""
    gt, lq = named(kind).pair(as_floats(original), generator(seed, picture, kind))
    return Sample(set=set_name, picture=picture, kind=kind, gt=as_levels(gt), lq=as_levels(lq))


def generator(seed: int, picture: str, kind: str) -> np.random.Generator:
    """The source of chance of one input, and of no other."""
    digest = hashlib.sha256(f"{seed}\n{kind}\n{picture}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest))


def opened(file: Path) -> Levels:
    """A picture file as (H, W, 3) uint8, gray ones too.

    Raises:
        EvaluationError: it is not here, or no picture.
    """
    try:
        return coloured(read(file.read_bytes()))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as exc:
        raise EvaluationError(f"{file} cannot be read as a picture: {exc}") from exc


def middle(picture: Levels, side: int) -> Levels:
    """The middle of a picture, its sides cut to what the scale divides; 0 takes all."""
    return cropped(picture, side or None)


def refuse_trained(files: Iterable[Path], index: Path) -> None:
    """Make sure that none of the files was trained on.

    Args:
        files: pictures of the evaluation.
        index: JSON with the digest of each picture file of the training: ``{"pictures": [{"sha256": ...}]}``.

    Raises:
        EvaluationError: some were, or the index cannot be read.
    """
    try:
        document = json.loads(index.read_text(encoding="utf-8"))
        trained = {str(entry["sha256"]).lower() for entry in document["pictures"]}
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise EvaluationError(
            f'{index} is no index of training ({{"pictures": [{{"sha256": ...}}]}}): {exc!r}'
        ) from exc
    if overlap := sorted(file.name for file in files if sha256_of(file) in trained):
        raise EvaluationError(
            f"{len(overlap)} of the pictures to measure on were trained on, by {index}: {', '.join(overlap[:5])}"
            + (" ..." if len(overlap) > 5 else "")
        )


def _sides(shape: tuple[int, ...]) -> str:
    height, width, *channels = shape
    return f"{width}x{height}" + "".join(f" of {number} channels" for number in channels)
