"""What a worker keeps of work that Telegram did not take."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tasks import kept
from tasks.kept import KeptResults


def result(size=10):
    return SimpleNamespace(data=bytes(size))


def test_a_result_is_handed_out_once_and_to_its_own_job():
    results, mine = KeptResults(), result()
    results.put("a", mine)
    assert [results.take(job) for job in ("b", "a", "a")] == [None, mine, None]


def test_older_results_give_way_and_one_that_is_too_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(kept, "KEPT_BYTES", 25)
    results = KeptResults()
    for job in ("a", "b", "a", "c"):  # a was put again, so b is the oldest
        results.put(job, result())
    results_kept = [job for job in ("a", "b", "c") if results.take(job) is not None]
    results.put("huge", result(26))
    assert (results_kept, results.take("huge")) == (["a", "c"], None)


@pytest.mark.parametrize("asked", ["old", "another"])
def test_what_is_old_is_forgotten(asked, monkeypatch):
    results = KeptResults()
    results.put("old", result())
    monkeypatch.setattr(kept, "KEPT_FOR_S", 0.0)
    assert results.take(asked) is None
    monkeypatch.setattr(kept, "KEPT_FOR_S", 600.0)
    assert results.take("old") is None
