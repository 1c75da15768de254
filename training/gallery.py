"""One picture that shows what every degradation and every pipeline does."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.decoding import Decoder
from models.errors import RestorationError
from training.degradations import (
    PIPELINES,
    SCALE,
    Degradation,
    Dust,
    Fading,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    PoissonNoise,
    RandomBlur,
    RandomResize,
    RandomSinc,
    Range,
    Sharpening,
    WebP,
    as_floats,
    as_levels,
)
from training.drawings import drawing
from training.errors import DataError
from training.patches import decoded

Levels = NDArray[np.uint8]

# Each stronger than it usually is, so that it can be seen.
SINGLE: Mapping[str, Degradation] = {
    "GaussianBlur": GaussianBlur(2.0),
    "RandomBlur": RandomBlur(Range(2.5, 3.0), sinc=0),
    "RandomSinc": RandomSinc(Range(np.pi / 3, np.pi / 3)),
    "Sharpening": Sharpening(Range(1.2, 1.2)),
    "RandomResize": RandomResize(larger=(0, Range(1, 1)), smaller=(1, Range(0.3, 0.3))),
    "GaussianNoise": GaussianNoise(Range(25, 25), gray=0),
    "PoissonNoise": PoissonNoise(Range(2.5, 2.5), gray=0),
    "Jpeg": Jpeg(Range(15, 15)),
    "WebP": WebP(Range(5, 5)),
    "Dust": Dust(Range(1500, 1500)),
    "Fading": Fading(Range(0.6, 0.6), Range(0.15, 0.15), Range(0.25, 0.25), gray=0),
}
TILE = 128  # px, of a picture as it is shown
SHOWN = 2  # px on the sheet for one of a degraded quarter
REACH = TILE // SHOWN * SCALE  # px, of what a pipeline is given
COLUMNS = 2  # degradations beside each other
GAP, LINE, LETTERS = 4, 18, 13  # px
DRAWINGS = 3
MOST_BYTES, QUALITIES = 400_000, range(92, 30, -4)


def gallery(pictures: Sequence[Levels], *, seed: int = 0) -> Image.Image:
    """Lay out every degradation under its name, with all pictures beside each other.

    Single degradations show the middle 128 px of each picture, pipelines the middle 256 px, made a quarter and shown
    with doubled pixels.

    Args:
        pictures: (H, W, 3) uint8 RGB, sides of 256 px at least; left as they are.
        seed: of all chance.
    """
    rows = []
    for names, side, before in ((SINGLE, TILE, "as it was"), (PIPELINES, REACH, "as it was, for the pipelines")):
        asked = [_middle(whole, side) for whole in pictures]
        rows.append((before, [_fitted(each) for each in asked]))
        for name, degradation in names.items():
            done = [degradation(as_floats(each), _chance(seed, n, name)) for n, each in enumerate(asked)]
            rows.append((name if names is SINGLE else f"pipeline: {name}", [_fitted(as_levels(each)) for each in done]))
    return _sheet(rows, len(pictures))


def read_pictures(files: Sequence[Path]) -> list[Levels]:
    """Pictures to show; without files, drawings.

    Raises:
        DataError: a file is no picture, or too small.
    """
    if not files:
        return [drawing(number) for number in range(DRAWINGS)]
    found = []
    with Decoder() as decoder:
        for file in files:
            try:
                whole = decoded(file.read_bytes(), decoder)
            except (RestorationError, OSError) as exc:
                raise DataError(f"{file} cannot be shown: {exc}") from exc
            if min(whole.shape[:2]) < REACH:
                raise DataError(
                    f"{file} cannot be shown: sides must be {REACH} px at least, not {whole.shape[1]}x{whole.shape[0]}"
                )
            found.append(whole)
    return found


def write_gallery(sheet: Image.Image, target: Path) -> None:
    """Write a sheet as JPEG in the best quality that stays below 400 kB.

    Raises:
        DataError: it cannot be written.
    """
    for quality in QUALITIES:
        file = io.BytesIO()
        sheet.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.getvalue())
    except OSError as exc:
        raise DataError(f"cannot write {target}: {exc}") from exc


def _chance(seed: int, number: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, number, zlib.crc32(name.encode())])


def _middle(picture: Levels, side: int) -> Levels:
    top, left = ((whole - side) // 2 for whole in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def _fitted(picture: Levels) -> Image.Image:
    """What is smaller is shown with its pixels enlarged, what is larger is reduced."""
    whole = Image.fromarray(np.ascontiguousarray(picture))
    how = Image.Resampling.NEAREST if whole.width <= TILE else Image.Resampling.LANCZOS
    return whole if whole.size == (TILE, TILE) else whole.resize((TILE, TILE), how)


def _sheet(rows: Sequence[tuple[str, Sequence[Image.Image]]], pictures: int) -> Image.Image:
    width, height = pictures * TILE + GAP * 2, LINE + TILE + GAP
    lines = -(-len(rows) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, lines * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    for place, (name, tiles) in enumerate(rows):
        left, top = place // lines * width + GAP, place % lines * height
        draw.text((left, top + 1), name, "black", font)
        for number, tile in enumerate(tiles):
            sheet.paste(tile, (left + number * TILE, top + LINE))
    return sheet
