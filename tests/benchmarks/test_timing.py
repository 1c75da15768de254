from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.pictures import mosaic, of_pixels
from benchmarks.text import table
from benchmarks.timing import Sample, Spread, alternate, growth_exponent, timed


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_the_exponent_of_a_power_is_found_whatever_its_factor(power):
    sizes = [0.1, 1.0, 8.0]
    assert growth_exponent(sizes, [3.7 * size**power for size in sizes]) == pytest.approx(power)


def test_an_exponent_needs_two_sizes_and_numbers_above_zero():
    for sizes, seconds in (([2.0, 2.0], [1.0, 1.0]), ([1.0, 2.0], [0.0, 1.0])):
        with pytest.raises(ValueError, match="no exponent follows"):
            growth_exponent(sizes, seconds)


def test_contestants_take_turns_and_keep_their_last_result():
    order = []

    def contestant(name):
        def run():
            order.append(name)
            return Sample(len(order), 0.0), f"{name}{len(order)}"

        return run

    runs = alternate({"a": contestant("a"), "b": contestant("b")}, 3)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert runs["a"].wall == Spread(median=3, least=1, most=5)
    assert (runs["a"].result, runs["b"].result) == ("a5", "b6")


def test_sleeping_takes_time_on_the_wall_but_not_of_the_processor():
    sample, result = timed(lambda: time.sleep(0.05) or 7)
    assert sample.wall_s >= 0.05
    assert sample.cpu_s < 0.04
    assert result == 7


@pytest.mark.parametrize(("width", "height"), [(3, 2), (5, 4), (24, 17)])
def test_a_mosaic_has_its_size_and_meets_without_an_edge(width, height):
    ramp = np.zeros((4, 5, 3), np.uint8)
    ramp[...] = 10 * np.arange(5, dtype=np.uint8)[:, None] + 40 * np.arange(4, dtype=np.uint8)[:, None, None]
    made = mosaic(ramp, width, height)
    assert made.shape == (height, width, 3)
    assert np.abs(np.diff(made.astype(int), axis=1)).max() <= 10
    assert np.abs(np.diff(made.astype(int), axis=0)).max() <= 40


def test_a_mosaic_of_so_many_pixels_has_about_so_many():
    made = of_pixels(np.zeros((7, 9, 3), np.uint8), 30_000)
    assert made.shape[0] * made.shape[1] == pytest.approx(30_000, rel=0.01)


def test_a_table_is_as_wide_as_its_widest_cells():
    assert table(("way", "s"), [["a", "10.5"], ["longer", "1"]]) == [
        "| way    |    s |",
        "| :----- | ---: |",
        "| a      | 10.5 |",
        "| longer |    1 |",
    ]
