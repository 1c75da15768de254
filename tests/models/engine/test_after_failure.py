"""Whatever is tried after memory ran out is less than what was tried before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.engine.memory import LEAST_ROWS
from models.engine.model import LEAST_TILE, halved
from models.engine.tiling import Placement
from models.engine.upsampler import Tiling
from models.engine.watch import Watch
from models.errors import OutOfMemory
from tests.models.toys import Does, compact, model_of, noise


def attempts(network: nn.Module, seen: list[tuple[int, int]], cut: Tiling) -> list[tuple[int, int]]:
    """Height and width of the first convolution's input in every attempt at a picture of 300x300."""
    model = model_of(network)
    seen.clear()
    with pytest.raises(OutOfMemory):
        model.upscale(noise(300, 300, 3), cut, Watch(total=1), size_wh=(600, 600))
    return seen


def exhausted(seen: list[tuple[int, int]], lq: Tensor) -> Tensor:
    """Only what it is measured on fits."""
    seen.append((lq.shape[-2], lq.shape[-1]))
    if lq.shape[-1] not in {8, 96, 98}:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return lq


@pytest.mark.parametrize("placement", ["streamed", "shifted", "clipped"])
@pytest.mark.parametrize("tile", [0, 256])
def test_a_tiled_picture_is_never_tried_again_in_tiles_as_large(placement: Placement, tile: int) -> None:
    seen: list[tuple[int, int]] = []
    cut = Tiling(tile=tile, overlap=16, rows=tile, placement=placement)
    widths = [width for _, width in attempts(Does(lambda lq: exhausted(seen, lq)), seen, cut)]
    assert widths == sorted(set(widths), reverse=True)
    assert len(widths) >= 3


@pytest.mark.parametrize("placement", ["shifted", "clipped"])
def test_a_network_that_could_be_streamed_is_not_tried_again_in_tiles_as_large(placement: Placement) -> None:
    seen: list[tuple[int, int]] = []
    network = compact(2)
    network.body[0].register_forward_pre_hook(lambda _, inputs: exhausted(seen, inputs[0]))
    model = model_of(network)
    seen.clear()
    with pytest.raises(OutOfMemory):
        model.upscale(
            noise(300, 300, 3), Tiling(tile=256, overlap=16, placement=placement), Watch(total=1), size_wh=(600, 600)
        )
    assert [width for _, width in seen] == sorted({width for _, width in seen}, reverse=True)


def test_a_streamed_picture_is_tried_in_fewer_rows_first_and_then_in_narrower_slabs() -> None:
    cut: Tiling | None = Tiling(tile=256, overlap=16, rows=32)
    tried = []
    while cut is not None:
        tried.append((cut.rows, cut.tile))
        cut = halved(cut, 300, by_rows=True)
    assert tried == [(32, 256), (16, 256), (LEAST_ROWS, 256), (LEAST_ROWS, 128), (LEAST_ROWS, LEAST_TILE)]


def test_what_fits_in_the_end_is_the_picture() -> None:
    lq = noise(300, 300, 3)

    def small_only(pixels: Tensor) -> Tensor:
        if pixels.shape[-1] > 130:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return pixels

    cut = Tiling(tile=256, overlap=16, placement="clipped")
    made, _ = model_of(Does(small_only)).upscale(lq, cut, Watch(total=1), size_wh=(600, 600))
    np.testing.assert_array_equal(made, lq.repeat(2, 0).repeat(2, 1))
