"""From folders of pictures to patches that training reads without decoding anything.

A prepared folder holds ``index.json`` (which picture, which box, which degradation, which side of the split) and, as
plain arrays that are mapped into memory, ``gt.npy`` and ``lq.npy``; the teacher's answers join them as
``teacher-NAME.npy``. The same pictures and settings give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image

from models.decoding import DecodeLimits, Decoder
from models.errors import RestorationError
from models.weights.file import sha256_of
from training.degradations import SCALE, Mixture, Picture, as_floats, as_levels, named
from training.errors import DataError
from training.progress import Progress
from training.settings import DataSettings

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif"})
TRIES = 6  # boxes looked at before a flat one is taken after all
FLAT = 0.012  # mean gradient, of 1; skies and walls teach little
MOST_ENLARGED = 5000  # px, longer side; a picture that would become larger has patches enough as it is
INDEX = "index.json"
LIMITS = DecodeLimits(max_seconds=60)  # nobody waits for an answer here
NAMED = 5  # pictures in an error, of what may be hundreds


@dataclass(frozen=True, kw_only=True)
class PatchEntry:
    """Where a patch came from; ``box`` is left, top, right, bottom in the picture of that size."""

    picture: int
    split: str
    size: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Patches:
    """Prepared patches, mapped into memory.

    Args:
        gt: (N, S, S, 3) uint8 RGB, ground truth.
        lq: (N, S/4, S/4, 3) uint8 RGB, degraded.
        splits: "train" or "validation" for each.
        true: whether ``gt`` is a truth; where the picture was enlarged it is none.
        folder: where they lie.
        digest: of the index; answers and checkpoints are bound to it.
    """

    gt: NDArray[np.uint8]
    lq: NDArray[np.uint8]
    splits: tuple[str, ...]
    true: tuple[bool, ...]
    folder: Path
    digest: str

    def numbers(self, split: str) -> NDArray[np.intp]:
        """Which patches are on one side of the split."""
        return np.flatnonzero(np.array(self.splits) == split)


def prepare(settings: DataSettings) -> Patches:
    """Cut and spoil the patches, or take those that are there for the same settings and pictures.

    Args:
        settings: the run's.

    Raises:
        DataError: there are no pictures, some cannot be used, or the folder holds other patches.
    """
    pictures = Path(settings.pictures)
    files = [file for file in sorted(pictures.rglob("*")) if file.suffix.lower() in SUFFIXES and not file.is_dir()]
    if not files:
        raise DataError(f"no pictures in {settings.pictures}: set data.pictures to a folder of photographs")
    folder = Path(settings.folder)
    digests = [_digest(file) for file in files]
    if (folder / INDEX).exists():
        index = _index(folder)
        if index["settings"] != _relevant(settings) or [each["sha256"] for each in index["pictures"]] != digests:
            raise DataError(f"{folder} was prepared from other pictures or settings: delete it or set data.folder")
        return open_patches(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return _prepare(settings, files, digests, folder)


def open_patches(folder: Path) -> Patches:
    """Map prepared patches.

    Raises:
        DataError: there are none, or not all of them.
    """
    index = _index(folder)
    try:
        gt, lq = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("gt", "lq"))
    except (OSError, ValueError) as exc:
        raise DataError(f"{folder} is incomplete ({exc}): delete it and prepare again") from exc
    splits = tuple(entry["split"] for entry in index["patches"])
    true = tuple(entry["size"] <= 1 for entry in index["patches"])
    digest = hashlib.sha256((folder / INDEX).read_bytes()).hexdigest()
    if not len(gt) == len(lq) == len(splits):
        raise DataError(f"{folder} is incomplete: delete it and prepare again")
    return Patches(gt=gt, lq=lq, splits=splits, true=true, folder=folder, digest=digest)


def _relevant(settings: DataSettings) -> dict[str, Any]:
    values = asdict(settings)
    for name in ("pictures", "folder"):
        del values[name]
    restored: dict[str, Any] = json.loads(json.dumps(values))
    return restored


def _digest(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError as exc:
        raise DataError(f"{file} cannot be read: {exc.strerror or exc}") from exc


def _index(folder: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text("utf-8"))
        [index[part] for part in ("settings", "pictures", "patches")]
    except FileNotFoundError as exc:
        raise DataError(f"{folder} holds no prepared patches: run `python -m training prepare` first") from exc
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise DataError(f"{folder / INDEX} cannot be read ({exc!r}): delete {folder} and prepare again") from exc
    return index


def split_of(sha256: str, validation: float) -> str:
    """A picture's side of the split, by its digest alone: adding pictures moves none."""
    return "validation" if int(sha256[:8], 16) / 2**32 < validation else "train"


def _prepare(settings: DataSettings, files: list[Path], digests: list[str], folder: Path) -> Patches:
    splits = _splits(digests, settings.validation)
    mixture = Mixture("training", tuple((weight, named(name)) for name, weight in settings.degradations.items()))
    side, count = settings.side, settings.patches
    gt = open_memmap(folder / "gt.npy", "w+", np.uint8, (count, side, side, 3))
    lq = open_memmap(folder / "lq.npy", "w+", np.uint8, (count, side // SCALE, side // SCALE, 3))
    entries: dict[int, PatchEntry] = {}
    refused: list[str] = []
    with Progress("patches", count) as progress, Decoder() as decoder:
        for number, file in enumerate(files[:count]):
            try:
                sizes = _sizes(file, settings, decoder)
            except DataError as exc:
                refused.append(str(exc))
            if refused:  # it fails in any case; the other pictures are only looked at, to name all at once
                continue
            for patch in range(number, count, len(files)):
                entry, hq, rng = _cut(sizes, patch, settings, picture=number, split=splits[number])
                pair = mixture.pair(hq, rng)
                gt[patch], lq[patch] = as_levels(pair.gt), as_levels(pair.lq)
                entries[patch] = entry
                progress.advance()
    if refused:
        more = f" and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
        raise DataError(f"take out of {settings.pictures}: {'; '.join(refused[:NAMED])}{more}")
    for array in (gt, lq):
        array.flush()
    index = {
        "settings": _relevant(settings),
        "pictures": [
            {"file": file.name, "sha256": digest, "split": split}
            for file, digest, split in zip(files, digests, splits, strict=True)
        ],
        "patches": [asdict(entries[patch]) for patch in range(count)],
    }
    half = folder / f"{INDEX}.half"  # the index comes last and whole: without it nothing is prepared
    half.write_text(json.dumps(index, indent=1), "utf-8")
    half.replace(folder / INDEX)
    return open_patches(folder)


def _splits(digests: list[str], validation: float) -> list[str]:
    """The side of every picture; one at least is on each, if there are two."""
    splits = [split_of(digest, validation) for digest in digests]
    if "train" not in splits:
        raise DataError("no picture is left to train on: lower data.validation or add pictures")
    if "validation" not in splits and len(set(digests)) > 1:
        lowest = min(digests)  # a picture that is there twice goes as a whole
        splits = ["validation" if digest == lowest else "train" for digest in digests]
    return splits


def _sizes(file: Path, settings: DataSettings, decoder: Decoder) -> Mapping[float, Image.Image]:
    """A picture in every size that is large enough, by factor.

    Raises:
        DataError: none is, or the file is no sound picture.
    """
    try:
        whole = Image.fromarray(decoded(file.read_bytes(), decoder))
    except (RestorationError, OSError) as exc:
        raise DataError(f"{file.name} ({exc})") from exc
    sizes = {
        factor: whole.resize((round(whole.width * factor), round(whole.height * factor)), Image.Resampling.LANCZOS)
        if factor != 1
        else whole
        for factor in settings.sizes
        if min(whole.size) * factor >= settings.side and (factor <= 1 or max(whole.size) * factor <= MOST_ENLARGED)
    }
    if not sizes:
        least = math.ceil(settings.side / max(settings.sizes))
        raise DataError(f"{file.name} ({whole.width}x{whole.height}, sides must be {least} px at least)")
    return sizes


def _cut(
    sizes: Mapping[float, Image.Image], patch: int, settings: DataSettings, *, picture: int, split: str
) -> tuple[PatchEntry, Picture, np.random.Generator]:
    rng = np.random.default_rng([settings.seed, patch])
    # What is measured on validation patches needs a truth.
    fit = [size for size in sizes if size <= 1 or split == "train"] or list(sizes)
    factor = fit[rng.integers(len(fit))]
    pixels = np.asarray(sizes[factor])
    for _ in range(TRIES):
        left, top = (int(rng.integers(0, room - settings.side + 1)) for room in sizes[factor].size)
        hq = as_floats(pixels[top : top + settings.side, left : left + settings.side])
        if np.abs(np.diff(hq[..., 1], axis=0)).mean() > FLAT:
            break
    box = (left, top, left + settings.side, top + settings.side)
    return PatchEntry(picture=picture, split=split, size=factor, box=box), hq, rng


def decoded(data: bytes, decoder: Decoder) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 sRGB, upright; alpha is left out."""
    pixels = decoder.decode(data, LIMITS).pixels
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257).astype(np.uint8)
    return np.asarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2), np.uint8)
