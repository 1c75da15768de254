from __future__ import annotations

import pytest
import torch

from models.engine.capacity import CUDA_TILE, MAX_BATCH, MIN_TILE, OVERLAP, default_tile, fit_tile
from models.engine.device import Engine

GIGABYTE = 10**9


@pytest.mark.parametrize("free", [GIGABYTE // 10, GIGABYTE, 4 * GIGABYTE, 24 * GIGABYTE, 140 * GIGABYTE])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_more_memory_never_means_less_at_a_time(free: int, scale: int) -> None:
    tile, batch = fit_tile(free, scale, bytes_per_value=2)
    more_tile, more_batch = fit_tile(2 * free, scale, bytes_per_value=2)
    assert MIN_TILE <= tile <= CUDA_TILE
    assert 1 <= batch <= MAX_BATCH
    assert more_tile**2 * more_batch >= tile**2 * batch or more_batch == MAX_BATCH


def test_half_of_the_free_memory_is_enough_for_what_is_chosen() -> None:
    tile, batch = fit_tile(8 * GIGABYTE, 4, bytes_per_value=2)
    assert batch * ((tile + 2 * OVERLAP) * 4) ** 2 * 256 * 2 <= 4 * GIGABYTE


def test_hardly_any_memory_still_gives_a_tile() -> None:
    assert fit_tile(0, 4, bytes_per_value=4) == (MIN_TILE, 1)


def test_a_processor_takes_one_tile_at_a_time() -> None:
    assert default_tile(Engine(torch.device("cpu"), torch.float32, ""), 4)[1] == 1
