"""Work in parts: all of it is done once, and what goes wrong in another thread is not lost."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier

import cv2
import pytest

from models.faces.threads import both, side_by_side, strips_of


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(request.param)
    yield request.param
    cv2.setNumThreads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_every_part_is_done_once(threads: int, count: int) -> None:
    done: list[int] = []
    side_by_side(done.append, range(count))
    assert sorted(done) == list(range(count))


def test_parts_are_done_at_the_same_time(threads: int) -> None:
    together = Barrier(threads, timeout=10)
    side_by_side(lambda _part: together.wait(), range(threads))


def test_what_a_part_raises_is_raised_whichever_thread_did_it(threads: int) -> None:
    def work(part: int) -> None:
        if part == 7:
            raise ValueError("the seventh")

    with pytest.raises(ValueError, match="the seventh"):
        side_by_side(work, range(9))


def test_both_come_back_in_their_order_and_raise_what_either_raises(threads: int) -> None:
    def broken() -> int:
        raise ValueError("no")

    assert both(lambda: 1, lambda: "two") == (1, "two")
    for one, other in ((broken, int), (int, broken)):
        with pytest.raises(ValueError, match="no"):
            both(one, other)


def test_strips_hold_every_row_once() -> None:
    assert [row for strip in strips_of(200, 64) for row in range(200)[strip]] == list(range(200))
