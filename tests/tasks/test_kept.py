"""Results that wait to be delivered once more."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tasks import kept as module
from tasks.kept import KeptResults


def result(size: int = 1) -> SimpleNamespace:
    return SimpleNamespace(data=bytes(size))


def test_a_result_is_taken_once():
    kept, one = KeptResults(), result()
    kept.put("9:1:1", one)
    assert kept.take("9:1:1") is one
    assert kept.take("9:1:1") is None


def test_results_that_do_not_fit_give_way_the_oldest_first(monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 10)
    kept = KeptResults()
    for number in range(3):
        kept.put(f"9:1:{number}", result(5))
    assert [kept.take(f"9:1:{number}") is None for number in range(3)] == [True, False, False]


@pytest.mark.parametrize(("kept_for_s", "over"), [(-1.0, set()), (600.0, {"9:1:1"})])
def test_what_is_old_or_over_is_dropped_without_being_asked_for(monkeypatch, kept_for_s, over):
    kept = KeptResults()
    kept.put("9:1:1", result())
    monkeypatch.setattr(module, "KEPT_FOR_S", kept_for_s)
    kept.drop(over.__contains__)
    monkeypatch.setattr(module, "KEPT_FOR_S", 600.0)
    assert kept.take("9:1:1") is None
