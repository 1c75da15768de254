from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.tiling import Region, Tile, batches, tile_grid

PLACEMENTS: tuple[Literal["shifted", "clipped"], ...] = ("shifted", "clipped")


@st.composite
def grids(draw: st.DrawFn) -> dict[str, int]:
    align = draw(st.sampled_from([1, 2, 4]))
    return {
        "height": draw(st.integers(1, 90)) * align,
        "width": draw(st.integers(1, 90)) * align,
        "tile": draw(st.integers(1, 70)),
        "overlap": draw(st.integers(0, 20)),
        "align": align,
    }


@pytest.mark.parametrize("placement", PLACEMENTS)
@settings(deadline=None)  # shared machines
@given(grid=grids())
def test_cores_cover_every_pixel_exactly_once(placement: Literal["shifted", "clipped"], grid: dict[str, int]) -> None:
    times_covered = np.zeros((grid["height"], grid["width"]), int)
    for tile in tile_grid(**grid, placement=placement):
        times_covered[tile.core.slices] += 1
    assert (times_covered == 1).all()


@pytest.mark.parametrize("placement", PLACEMENTS)
@settings(deadline=None)  # shared machines
@given(grid=grids())
def test_a_core_has_its_overlap_wherever_the_picture_goes_on(
    placement: Literal["shifted", "clipped"], grid: dict[str, int]
) -> None:
    for tile in tile_grid(**grid, placement=placement):
        core, window = tile.core, tile.padded
        assert window.intersection(Region(0, 0, grid["height"], grid["width"])) == window
        assert core.intersection(window) == core
        assert window.y == 0 or core.y - window.y >= grid["overlap"]
        assert window.x == 0 or core.x - window.x >= grid["overlap"]
        bottom, right = window.y + window.height, window.x + window.width
        assert bottom == grid["height"] or bottom - core.y - core.height >= grid["overlap"]
        assert right == grid["width"] or right - core.x - core.width >= grid["overlap"]


@pytest.mark.parametrize("placement", PLACEMENTS)
@settings(deadline=None)  # shared machines
@given(grid=grids())
def test_windows_start_and_end_where_the_network_can_fold_pixels(
    placement: Literal["shifted", "clipped"], grid: dict[str, int]
) -> None:
    for tile in tile_grid(**grid, placement=placement):
        window = tile.padded
        assert [n % grid["align"] for n in (window.y, window.x, window.height, window.width)] == [0, 0, 0, 0]


@settings(deadline=None)  # shared machines
@given(grid=grids())
def test_shifted_windows_have_one_shape_no_larger_than_asked_for(grid: dict[str, int]) -> None:
    tiles = tile_grid(**grid)
    (shape,) = {tile.padded.shape_hw for tile in tiles}
    align = grid["align"]
    most = -(-grid["tile"] // align) * align + 2 * -(-grid["overlap"] // align) * align
    assert max(shape) <= max(most, 0) or shape == (grid["height"], grid["width"])
    assert len(list(batches(tiles, len(tiles)))) == 1


def test_a_row_of_tiles_checked_by_hand() -> None:
    # 100 px, cores of at most 40, 5 px around them: three windows of 40, 30 px apart, seams where two overlap.
    tiles = tile_grid(10, 100, tile=40, overlap=5)
    assert [(tile.padded.x, tile.padded.width) for tile in tiles] == [(0, 40), (30, 40), (60, 40)]
    assert [(tile.core.x, tile.core.width) for tile in tiles] == [(0, 35), (35, 30), (65, 35)]
    assert tiles[1].core_in_padded == Region(0, 5, 10, 30)


def test_a_row_of_clipped_tiles_checked_by_hand() -> None:
    tiles = tile_grid(10, 100, tile=40, overlap=5, placement="clipped")
    assert [(tile.padded.x, tile.padded.width) for tile in tiles] == [(0, 45), (35, 50), (75, 25)]
    assert [(tile.core.x, tile.core.width) for tile in tiles] == [(0, 40), (40, 40), (80, 20)]


def test_tile_0_is_the_whole_picture() -> None:
    everything = Region(0, 0, 33, 77)
    assert tile_grid(33, 77, tile=0, overlap=10) == (Tile(everything, everything),)


@pytest.mark.parametrize(
    ("height", "width", "tile", "overlap", "align"),
    [(0, 5, 4, 1, 1), (5, 5, -1, 1, 1), (5, 5, 4, -1, 1), (5, 6, 4, 0, 2), (4, 4, 4, 0, 0)],
)
def test_nonsense_is_refused(height: int, width: int, tile: int, overlap: int, align: int) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        tile_grid(height, width, tile=tile, overlap=overlap, align=align)


def test_batches_hold_only_windows_of_one_shape() -> None:
    tiles = tile_grid(70, 70, tile=32, overlap=4, placement="clipped")
    grouped = list(batches(tiles, 4))
    assert [tile for batch in grouped for tile in batch] == list(tiles)
    assert all(len({tile.padded.shape_hw for tile in batch}) == 1 and len(batch) <= 4 for batch in grouped)


def test_regions_scale_and_move() -> None:
    region = Region(2, 3, 4, 5)
    assert region.scaled(2) == Region(4, 6, 8, 10)
    assert region.seen_from(Region(1, 1, 9, 9)) == Region(1, 2, 4, 5)
    assert region.intersection(Region(6, 0, 3, 3)) is None
    assert (region.pixels, region.shape_hw) == (20, (4, 5))
