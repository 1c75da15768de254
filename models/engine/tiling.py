"""Where a large picture is cut so that a network sees one window at a time.

Every pixel of the picture belongs to exactly one ``core``; the network sees the larger ``padded`` window around
it, and only the core of its answer is kept. The cutting follows Real-ESRGAN's ``tile_process``
(https://github.com/xinntao/Real-ESRGAN) for ``clipped`` windows; ``shifted`` windows are our own.
Pure arithmetic: no pixels, no device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Literal

Placement = Literal["streamed", "shifted", "clipped"]


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels, origin at the top left; ``y``, ``x`` may be zero, the sides are positive."""

    y: int
    x: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Number of pixels inside."""
        return self.height * self.width

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height before width, as arrays have it."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of an (H, W, ...) array that gives a view of this region."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def scaled(self, scale: int) -> Region:
        """The same part of a picture ``scale`` times as large."""
        return Region(self.y * scale, self.x * scale, self.height * scale, self.width * scale)

    def seen_from(self, other: Region) -> Region:
        """The same rectangle, counted from the top left of ``other``."""
        return Region(self.y - other.y, self.x - other.x, self.height, self.width)

    def intersection(self, other: Region) -> Region | None:
        """What both cover, or None where they do not meet."""
        top, left = max(self.y, other.y), max(self.x, other.x)
        bottom = min(self.y + self.height, other.y + other.height)
        right = min(self.x + self.width, other.x + other.width)
        if top >= bottom or left >= right:
            return None
        return Region(top, left, bottom - top, right - left)


@dataclass(frozen=True, slots=True)
class Tile:
    """One step of the work: the network sees ``padded``, the picture gets ``core``."""

    core: Region
    padded: Region

    @property
    def core_in_padded(self) -> Region:
        """The core, counted from the top left of the padded window."""
        return self.core.seen_from(self.padded)


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile: [start, stop) of the core and of the window, in pixels."""

    core_start: int
    core_stop: int
    window_start: int
    window_stop: int


def tile_grid(
    height: int, width: int, *, tile: int, overlap: int, align: int = 1, placement: Placement = "shifted"
) -> tuple[Tile, ...]:
    """Cut a picture into tiles, row by row.

    Args:
        height: of the picture in pixels, a multiple of ``align``.
        width: as ``height``.
        tile: side of an inner core in pixels, at most, rounded up to ``align``; a shifted core at the border
            reaches up to ``overlap`` further. 0 means one tile for everything.
        overlap: pixels of real picture that a core has around it wherever the picture goes on; rounded up
            to ``align``.
        align: windows start and end at multiples of it (the pixel-unshuffle factor of the network).
        placement: ``shifted`` moves the windows at the border inwards, so that all windows have one shape and
            border cores see more of the picture, never less; ``clipped`` cuts the windows off at the border,
            as Real-ESRGAN does.

    Returns:
        Tiles whose cores partition the picture exactly.

    Raises:
        ValueError: a side that is not positive or not aligned, or a negative tile or overlap.
    """
    if tile < 0 or overlap < 0 or align < 1:
        raise ValueError(f"tile {tile} and overlap {overlap} must not be negative, align {align} is at least 1")
    if min(height, width) < 1 or height % align or width % align:
        raise ValueError(f"a picture of {width}x{height} does not divide into steps of {align} px")
    cut = clipped_spans if placement == "clipped" else shifted_spans
    tile, overlap = round_up(tile, align), round_up(overlap, align)
    rows = cut(height, tile or height, overlap, align)
    columns = cut(width, tile or width, overlap, align)
    return tuple(_tile(row, column) for row, column in product(rows, columns))


def shifted_spans(length: int, tile: int, overlap: int, align: int) -> tuple[Span, ...]:
    """Cut one axis into the fewest windows of one common length, evenly spread.

    Neighbouring windows share at least ``2 * overlap`` pixels and the cores meet in the middle of what is shared.
    The windows are no longer than needed, so that no pixel is computed twice without need.
    """
    count = max(1, -(-(length - 2 * overlap) // tile))
    if count == 1:
        return (Span(0, length, 0, length),)
    window = round_up(-(-(length - 2 * overlap) // count), align) + 2 * overlap
    starts = [index * (length - window) // (count - 1) // align * align for index in range(count)]
    seams = [(right + left + window) // 2 for left, right in pairwise(starts)]
    bounds = [0, *seams, length]
    return tuple(
        Span(core_start, core_stop, start, start + window)
        for (core_start, core_stop), start in zip(pairwise(bounds), starts, strict=True)
    )


def clipped_spans(length: int, tile: int, overlap: int, align: int) -> tuple[Span, ...]:  # noqa: ARG001  one signature
    """Cut one axis at multiples of ``tile``; windows reach ``overlap`` further and end with the picture."""
    return tuple(
        Span(start, min(start + tile, length), max(start - overlap, 0), min(start + tile + overlap, length))
        for start in range(0, length, tile)
    )


def batches(tiles: tuple[Tile, ...], size: int) -> Iterator[tuple[Tile, ...]]:
    """Group tiles whose windows have the same shape, at most ``size`` together, in the order they come."""
    batch: list[Tile] = []
    for tile in tiles:
        if batch and (len(batch) == size or batch[0].padded.shape_hw != tile.padded.shape_hw):
            yield tuple(batch)
            batch = []
        batch.append(tile)
    if batch:
        yield tuple(batch)


def round_up(value: int, step: int) -> int:
    """The smallest multiple of ``step`` that is not below ``value``."""
    return -(-value // step) * step


def _tile(row: Span, column: Span) -> Tile:
    return Tile(
        core=Region(
            row.core_start,
            column.core_start,
            row.core_stop - row.core_start,
            column.core_stop - column.core_start,
        ),
        padded=Region(
            row.window_start,
            column.window_start,
            row.window_stop - row.window_start,
            column.window_stop - column.window_start,
        ),
    )
