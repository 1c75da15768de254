"""The table that a worker publishes."""

from __future__ import annotations

import pytest

from models.planning import Budget, Candidate, Traits, estimates, longest_estimates, plan

BEST = Candidate(name="best", scale=4, purposes=("photo",), rank=0, seconds_per_pixel=50e-6, startup_s=0.3)


def test_the_table_says_what_the_plan_of_such_a_picture_says():
    table = dict(estimates([BEST], Budget(seconds=600)))
    assert table[2_000_000] == pytest.approx(plan((1633, 1225), Traits(), [BEST], Budget()).estimate_s, rel=0.01)


def test_the_table_goes_from_a_thumbnail_to_the_largest_picture_that_is_accepted():
    table = estimates([BEST], Budget())
    assert [pixels / 1e6 for pixels, _ in table] == [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 40]
    seconds = [seconds for _, seconds in table]
    assert seconds == sorted(seconds)


def test_sizes_that_would_be_refused_are_not_in_the_table():
    assert [pixels for pixels, _ in estimates([BEST], Budget(seconds=10, reserve=0))] == [50_000, 100_000]
    assert estimates([BEST], Budget(seconds=0.1)) == ()


def test_the_longest_estimate_is_that_of_the_kind_that_takes_longest():
    quick = Candidate(name="quick", scale=4, purposes=("photo",), rank=0, seconds_per_pixel=1e-6)
    slow = Candidate(name="slow", scale=4, purposes=("drawing",), rank=0, seconds_per_pixel=1e-5)
    budget = Budget(seconds=50, reserve=0)
    photos, longest = dict(estimates([quick, slow], budget)), dict(longest_estimates([quick, slow], budget))
    drawings = dict(estimates([quick, slow], budget, traits=Traits(kind="drawing")))
    assert longest[1_000_000] == drawings[1_000_000] > photos[1_000_000]
    assert longest[16_000_000] == photos[16_000_000]  # a drawing would be refused
