"""The expected wait: what a table of sizes says of the sizes between, and who waits for whom."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.planning import Budget, Candidate, estimates
from tasks.messages import WorkerCard
from tasks.waiting import Picture, Running, done_in_s, expected_s, lanes_of

TABLE = ((1_000, 1.0), (10_000, 4.0), (100_000, 40.0), (1_000_000, 10.0))  # from the last size on, a quicker model

tables = st.lists(
    st.tuples(st.integers(1, 10**8), st.floats(0, 1e4)), min_size=1, max_size=11, unique_by=lambda row: row[0]
).map(sorted)


def card(name: str, *, device: str = "cpu", table=TABLE) -> WorkerCard:
    return WorkerCard(name=name, queues=("restore",), device=device, dtype="float32", estimates=table)


@pytest.mark.parametrize("row", TABLE)
def test_a_size_of_the_table_takes_what_the_table_says(row):
    assert expected_s(row[0], TABLE) == pytest.approx(row[1])


@pytest.mark.parametrize(("pixels", "seconds"), [(31_623, math.sqrt(4 * 40)), (316_228, math.sqrt(40 * 10))])
def test_half_way_between_two_sizes_is_the_geometric_mean(pixels, seconds):
    assert expected_s(pixels, TABLE) == pytest.approx(seconds, rel=1e-4)


def test_below_the_table_what_every_picture_takes_remains():
    table = ((50_000, 0.2 + 5e-6 * 50_000), (100_000, 0.2 + 5e-6 * 100_000))
    assert [expected_s(pixels, table) for pixels in (0, 100, 20_000)] == pytest.approx([0.2, 0.2005, 0.3])


def test_above_the_table_nothing_takes_longer():
    assert expected_s(50_000_000, TABLE) == 10.0


@given(tables, st.integers(0, 10**9))
def test_no_picture_takes_longer_than_the_slowest_of_the_table_or_less_than_nothing(table, pixels):
    assert 0 <= expected_s(pixels, table) <= max(seconds for _, seconds in table) * (1 + 1e-9)


@given(tables, st.integers(0, 10**8), st.integers(0, 10**8))
def test_where_the_table_rises_a_larger_picture_takes_no_less_time(table, one, other):
    rising = [(pixels, seconds) for (pixels, _), seconds in zip(table, sorted(s for _, s in table), strict=True)]
    small, large = sorted((one, other))
    assert expected_s(small, rising) <= expected_s(large, rising) * (1 + 1e-9)


@pytest.mark.parametrize("pixels", [1_000, 20_000, 70_000, 333_333, 1_228_800, 3_000_000, 12_000_000])
def test_the_planners_own_estimate_is_met_between_the_sizes_it_names(pixels):
    photos = [Candidate(name="m", scale=4, purposes=("photo",), rank=0, seconds_per_pixel=5e-5)]
    table = estimates(photos, Budget())
    (truth,) = estimates(photos, Budget(), megapixels=[pixels / 1e6])
    assert expected_s(truth[0], table) == pytest.approx(truth[1], rel=0.05)


def test_a_picture_waits_for_those_before_it():
    lanes = lanes_of([card("a:1")], [])
    assert done_in_s(Picture(1_000), before=[Picture(10_000), Picture(100_000)], lanes=lanes) == pytest.approx(
        1 + 4 + 40
    )


def test_with_two_workers_a_picture_goes_to_the_one_that_is_free_first():
    lanes = lanes_of([card("a:1"), card("b:1")], [])
    assert done_in_s(Picture(1_000), before=[], lanes=lanes) == pytest.approx(1)
    assert done_in_s(Picture(1_000), before=[Picture(100_000)], lanes=lanes) == pytest.approx(1)
    assert done_in_s(
        Picture(1_000), before=[Picture(100_000), Picture(10_000), Picture(10_000)], lanes=lanes
    ) == pytest.approx(4 + 4 + 1)


def test_a_quicker_worker_counts_for_what_it_is():
    quick = tuple((pixels, seconds / 10) for pixels, seconds in TABLE)
    lanes = lanes_of([card("slow:1"), card("quick:1", table=quick)], [])
    assert done_in_s(Picture(10_000), before=[Picture(100_000)], lanes=lanes) == pytest.approx(0.4)


def test_what_is_left_of_a_running_job_is_waited_for():
    running = [
        Running(worker="a:1", picture=Picture(100_000), progress=0.75),
        Running(worker="gone:1", picture=Picture(10**6), progress=0),
    ]
    assert done_in_s(Picture(1_000), before=[], lanes=lanes_of([card("a:1")], running)) == pytest.approx(40 / 4 + 1)


def test_workers_of_one_host_and_device_take_turns_and_others_do_not():
    running = [
        Running(worker="a:1", picture=Picture(100_000), progress=0.5),
        Running(worker="a:2", picture=Picture(10_000), progress=0),
    ]
    shared = lanes_of([card("a:1"), card("a:2")], running)
    assert done_in_s(Picture(1_000), before=[], lanes=shared) == pytest.approx(20 + 4 + 1)
    apart = lanes_of([card("a:1"), card("a:2", device="cuda:0")], running)
    assert done_in_s(Picture(1_000), before=[], lanes=apart) == pytest.approx(4 + 1)


def test_without_anything_to_measure_by_there_is_no_number():
    assert done_in_s(Picture(1_000), before=[Picture(1)], lanes=lanes_of([], [])) is None
    assert done_in_s(Picture(1_000), before=[Picture(1)], lanes=lanes_of([card("old:1", table=())], [])) is None
