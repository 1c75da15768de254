"""From folders of pictures to patches that training reads without decoding anything.

A prepared folder holds ``index.json`` (which picture, which box, which degradation, which side of the split) and, as
plain arrays that are mapped into memory, ``gt.npy`` and ``lq.npy``; the teacher's answers join them as
``teacher-NAME.npy``. The same pictures and settings give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from models.decoding import DecodeLimits, decode_here
from models.errors import RestorationError
from training.degradations import SCALE, Mixture, Picture, as_floats, as_levels, named
from training.errors import DataError
from training.settings import DataSettings

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif"})
TRIES = 6  # boxes looked at before a flat one is taken after all
FLAT = 0.012  # mean gradient, of 1; skies and walls teach little
INDEX = "index.json"


@dataclass(frozen=True, kw_only=True)
class PatchEntry:
    """Where a patch came from; ``box`` is left, top, right, bottom in the shrunken picture."""

    picture: int
    split: str
    shrink: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Patches:
    """Prepared patches, mapped into memory.

    Args:
        gt: (N, S, S, 3) uint8 RGB, ground truth.
        lq: (N, S/4, S/4, 3) uint8 RGB, degraded.
        splits: "train" or "validation" for each.
        folder: where they lie.
        digest: of the index; answers and checkpoints are bound to it.
    """

    gt: NDArray[np.uint8]
    lq: NDArray[np.uint8]
    splits: tuple[str, ...]
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
        DataError: no picture is large enough, or the folder holds other patches.
    """
    files = [file for file in sorted(Path(settings.pictures).rglob("*")) if file.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"no pictures in {settings.pictures}: set data.pictures to a folder of photographs")
    folder = Path(settings.folder)
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    fingerprint = {"settings": _relevant(settings), "pictures": digests}
    if (folder / INDEX).exists():
        if {name: _index(folder)[name] for name in fingerprint} != {**fingerprint, "pictures": _known(folder, digests)}:
            raise DataError(f"{folder} was prepared from other pictures or settings: delete it or set data.folder")
        return open_patches(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return _prepare(settings, files, digests, folder)


def open_patches(folder: Path) -> Patches:
    """Map prepared patches.

    Raises:
        DataError: there are none, or not all of them.
    """
    try:
        index = _index(folder)
        gt, lq = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("gt", "lq"))
    except (OSError, ValueError) as exc:
        raise DataError(f"{folder} holds no prepared patches ({exc}): run `python -m training prepare` first") from exc
    splits = tuple(entry["split"] for entry in index["patches"])
    digest = hashlib.sha256((folder / INDEX).read_bytes()).hexdigest()
    if not len(gt) == len(lq) == len(splits):
        raise DataError(f"{folder} is incomplete: delete it and prepare again")
    return Patches(gt=gt, lq=lq, splits=splits, folder=folder, digest=digest)


def _relevant(settings: DataSettings) -> dict[str, Any]:
    values = asdict(settings)
    for name in ("pictures", "folder"):
        del values[name]
    restored: dict[str, Any] = json.loads(json.dumps(values))
    return restored


def _index(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / INDEX).read_text("utf-8"))
    return index


def _known(folder: Path, digests: list[str]) -> Any:
    """The index's pictures if they are these, so that both sides of a comparison look alike."""
    pictures = _index(folder)["pictures"]
    return pictures if [each["sha256"] for each in pictures] == digests else None


def split_of(sha256: str, validation: float) -> str:
    """A picture's side of the split, by its digest alone: adding pictures moves none."""
    return "validation" if int(sha256[:8], 16) / 2**32 < validation else "train"


def _prepare(settings: DataSettings, files: list[Path], digests: list[str], folder: Path) -> Patches:
    splits = [split_of(digest, settings.validation) for digest in digests]
    if "train" not in splits:
        raise DataError("no picture is left to train on: lower data.validation or add pictures")
    if "validation" not in splits:
        lowest = digests.index(min(digests))
        splits[lowest] = "validation" if len(files) > 1 else "train"
    mixture = Mixture("training", tuple((weight, named(name)) for name, weight in settings.degradations.items()))
    side, count = settings.side, settings.patches
    gt = open_memmap(folder / "gt.npy", "w+", np.uint8, (count, side, side, 3))
    lq = open_memmap(folder / "lq.npy", "w+", np.uint8, (count, side // SCALE, side // SCALE, 3))
    entries: dict[int, PatchEntry] = {}
    with tqdm(total=count, desc="patches", unit="", disable=None) as bar:
        for number, file in enumerate(files):
            mine = range(number, count, len(files))
            for patch, (entry, hq, rng) in zip(mine, _cuts(file, number, splits[number], settings, mine), strict=False):
                pair = mixture.pair(hq, rng)
                gt[patch], lq[patch] = as_levels(pair.gt), as_levels(pair.lq)
                entries[patch] = entry
                bar.update()
    if len(entries) < count:
        missing = {files[patch % len(files)].name for patch in set(range(count)) - set(entries)}
        raise DataError(f"too small for patches of {side} px, or unreadable: {', '.join(sorted(missing))}; remove them")
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
    (folder / INDEX).write_text(json.dumps(index, indent=1), "utf-8")
    return open_patches(folder)


def _cuts(
    file: Path, number: int, split: str, settings: DataSettings, patches: range
) -> Iterator[tuple[PatchEntry, Picture, np.random.Generator]]:
    try:
        whole = Image.fromarray(_decoded(file))
    except (RestorationError, OSError):
        return
    sizes: Mapping[float, Image.Image] = {
        factor: whole.resize((round(whole.width * factor), round(whole.height * factor)), Image.Resampling.LANCZOS)
        if factor != 1
        else whole
        for factor in settings.shrink
        if min(whole.size) * factor >= settings.side
    }
    if not sizes:
        return
    for patch in patches:
        rng = np.random.default_rng([settings.seed, patch])
        factor = list(sizes)[rng.integers(len(sizes))]
        picture = np.asarray(sizes[factor])
        for _ in range(TRIES):
            left, top = (int(rng.integers(0, room - settings.side + 1)) for room in sizes[factor].size)
            hq = as_floats(picture[top : top + settings.side, left : left + settings.side])
            if np.abs(np.diff(hq[..., 1], axis=0)).mean() > FLAT:
                break
        box = (left, top, left + settings.side, top + settings.side)
        yield PatchEntry(picture=number, split=split, shrink=factor, box=box), hq, rng


def _decoded(file: Path) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 sRGB, upright; alpha is left out."""
    pixels = decode_here(file.read_bytes(), DecodeLimits()).pixels
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257).astype(np.uint8)
    return np.asarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2), np.uint8)
