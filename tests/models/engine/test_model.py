"""What a model does about cutting, about time, and about trouble."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from models.archs import RRDBNet, SRVGGNetCompact
from models.engine.device import Engine
from models.engine.memory import LEAST_ROWS
from models.engine.model import LARGEST_OVERLAP, CutWishes, after_failure, halved, hidden_overlap
from models.engine.upsampler import Tiling
from models.engine.watch import Watch
from models.errors import OutOfMemory, SpoiledTile
from tests.models.toys import BFLOAT16, FLOAT32, Dense, Nearest, compact, model_of, noise

GPU = Engine(torch.device("cuda:0"), torch.bfloat16, "for the test")


@pytest.mark.parametrize(
    ("network", "overlap"),
    [
        (lambda: SRVGGNetCompact(num_conv=16), 18),  # 18 convolutions of one pixel each
        (lambda: Dense(4), 1 + 15 + 1 + 2),  # first, one block, last, and two for the tail
        (lambda: Dense(2), 2 * 19),  # of the folded picture, so twice as far
        (lambda: RRDBNet(num_feat=4, num_grow_ch=2), LARGEST_OVERLAP),
    ],
)
def test_the_overlap_covers_what_a_network_sees_up_to_where_it_can_be_seen(network: Any, overlap: int) -> None:
    assert hidden_overlap(network()) == overlap


def test_less_memory_means_fewer_rows_then_narrower_slabs_then_the_end() -> None:
    cut: Tiling | None = Tiling(tile=0, overlap=10, rows=0, border=10)
    steps = []
    while (cut := halved(cut, 400)) is not None:
        steps.append((cut.tile, cut.rows))
        assert (cut.overlap, cut.border) == (10, 10)
    assert steps[:6] == [(0, 200), (0, 100), (0, 50), (0, 25), (0, 12), (0, 8)]
    assert steps[6:] == [(200, 8), (100, 8), (64, 8)]
    assert steps[-1][1] == LEAST_ROWS


def test_out_of_memory_on_a_gpu_ends_on_the_cpu_in_float32() -> None:
    engine, cut, places = GPU, Tiling(tile=0, overlap=0), []
    while (another := after_failure(OutOfMemory("no"), engine, cut, longest_side=100)) is not None:
        engine, cut = another
        places.append(str(engine.device))
    assert places[:3] == ["cuda:0"] * 3
    assert places[-1] == "cpu"
    assert engine.dtype == torch.float32
    assert cut.rows == LEAST_ROWS


def test_what_is_spoiled_is_tried_in_float32_then_on_the_cpu_and_then_given_up() -> None:
    cut = Tiling(tile=0, overlap=0)
    first = after_failure(SpoiledTile("no"), GPU, cut, longest_side=100)
    assert first == (replace(GPU, dtype=torch.float32), cut)
    second = after_failure(SpoiledTile("no"), first[0], cut, longest_side=100)
    assert second == (FLOAT32, cut)
    assert after_failure(SpoiledTile("no"), second[0], cut, longest_side=100) is None


def test_16_bits_are_not_shown_to_a_number_format_that_has_8() -> None:
    model = model_of(compact(), engine=BFLOAT16)
    assert model.engine_for(precise=False) == BFLOAT16
    assert model.engine_for(precise=True) == FLOAT32
    assert model_of(compact()).engine_for(precise=True) == FLOAT32


def test_wishes_about_the_cut_are_obeyed_and_the_rest_is_filled_in() -> None:
    model = model_of(compact())
    wished = model.tiling((500, 400), CutWishes(tile=96, overlap=3, border=5), FLOAT32)
    assert (wished.tile, wished.rows, wished.overlap, wished.border) == (96, 96, 3, 5)
    free = model.tiling((500, 400), CutWishes(border=10), FLOAT32)
    assert (free.tile, free.overlap, free.border, free.placement) == (0, 6, 10, "streamed")
    plain = model_of(Nearest()).tiling((500, 400), CutWishes(), FLOAT32)
    assert (plain.tile, plain.overlap) == (256, 16)


def test_work_is_what_the_network_sees() -> None:
    model = model_of(compact())
    assert model.work((50, 40), Tiling(tile=0, overlap=0)) == 50 * 40
    assert model.work((50, 40), Tiling(tile=0, overlap=0, border=10)) == 70 * 60
    assert model.seconds(2000) == pytest.approx(2 * model.seconds(1000))
    assert model.seconds(1000) == pytest.approx(1000 * model.seconds_per_pixel)


def run(model: Any, side: int) -> None:
    tiling = Tiling(tile=0, overlap=0)
    model.upscale(noise(side, side, 3), tiling, Watch(total=1), size_wh=(4 * side, 4 * side))


def test_real_pictures_correct_the_estimate() -> None:
    model = model_of(compact())
    model._seconds_per_pixel[FLOAT32] = 1.0  # as if the machine had been busy
    for _ in range(3):
        run(model, 96)
    assert model.seconds_per_pixel < 1 / 7


def test_pictures_too_small_to_say_anything_do_not() -> None:
    model = model_of(compact())
    model._seconds_per_pixel[FLOAT32] = 1.0
    run(model, 16)
    assert model.seconds_per_pixel == 1.0


def test_measuring_again_forgets_that_the_machine_was_busy() -> None:
    model = model_of(compact())
    model._seconds_per_pixel[FLOAT32] = 1.0
    model.calibrate()
    assert 0 < model.seconds_per_pixel < 1e-3
