"""Sheets for the eye: a picture in each row, a way in each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from training.evaluation.pictures import Levels
from training.evaluation.ways import DO_NOTHING

GAP, LETTERS, LINE = 6, 15, 22  # px
PAPER, INK = (255, 255, 255), (0, 0, 0)
INPUT, ORIGINAL = "input", "original"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture: what it is called, the answer of every way, (H, W, 3) uint8 each, and the original if known."""

    title: str
    answers: Mapping[str, Levels]
    original: Levels | None = None


def sheet(rows: Sequence[Row]) -> Image.Image:
    """Lay rows out under the names of the ways; nothing is resized.

    Args:
        rows: one at least; the columns are the ways of the first, in their order, then the original where any row has
            one. Doing nothing is shown as the input.
    """
    columns = [*rows[0].answers]
    if any(row.original is not None for row in rows):
        columns.append(ORIGINAL)
    cells = [{**row.answers, **({} if row.original is None else {ORIGINAL: row.original})} for row in rows]
    width = max(picture.shape[1] for row in cells for picture in row.values())
    heights = [max(picture.shape[0] for picture in row.values()) for row in cells]
    font = ImageFont.load_default(LETTERS)
    size = (GAP + len(columns) * (width + GAP), LINE + GAP + sum(heights) + len(rows) * (LINE + GAP))
    paper = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(paper)
    lefts = [GAP + number * (width + GAP) for number in range(len(columns))]
    for left, column in zip(lefts, columns, strict=True):
        draw.text((left, GAP // 2), INPUT if column == DO_NOTHING else column, INK, font)
    top = LINE + GAP
    for row, pictures, height in zip(rows, cells, heights, strict=True):
        for left, column in zip(lefts, columns, strict=True):
            if column in pictures:
                paper.paste(Image.fromarray(pictures[column]), (left, top))
        draw.text((GAP, top + height + 1), row.title, INK, font)
        top += height + LINE + GAP
    return paper


def write(rows: Sequence[Row], file: Path) -> None:
    """Write the sheet as PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows).save(file, "PNG")


def spread(pictures: int, kinds: int, most: int) -> set[tuple[int, int]]:
    """Which (picture, kind) to show: pictures evenly spread over all there are, kinds in turn."""
    shown = min(pictures, most)
    return {(number * pictures // shown, number % kinds) for number in range(shown)}
