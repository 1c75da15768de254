"""The load benchmark, with little load: it measures what it says, and can say no."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks import load
from benchmarks.load import DELIVERED, Crowd, Steps, long_queue, many_chats, percentile


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share, value):
    assert percentile(range(100, 0, -1), share) == value


def test_a_short_queue_is_measured_at_every_step(tmp_path, capsys):
    out = tmp_path / "load.json"
    assert load.main(["--queue", "80", "--out", str(out)]) in {0, 1}  # a busy machine may be slow
    seconds = json.loads(out.read_text())["queue"]["seconds"]
    assert {step: len(took) for step, took in seconds.items() if len(took) in {8, 20}} == {
        "accept": 8, "place": 20, "cancel": 20, "claim": 20, "renew the lease": 20, "begin and end the delivery": 20
    }  # fmt: skip
    assert set(load.PROMISED) <= set(seconds)
    assert all(step in capsys.readouterr().out for step in ["accept"])


def test_restart_stops_what_is_left_of_one_user(store):
    steps = long_queue(store, 100)
    (restart,) = [step for step in steps.seconds if step.startswith("/restart that stops")]
    assert 1 <= int(restart.split()[3]) <= 10
    assert store.redis.scard("restora:user:1") == 0
    assert store.waiting("restore") == 0


def test_a_step_above_its_limit_is_named():
    steps = Steps({step: [0.001] * 200 for step in load.PROMISED})
    assert steps.too_slow() == []
    steps.seconds["cancel"][:3] = [0.06] * 3
    assert steps.too_slow() == ["cancel"]


def crowd(**changes):
    held = {
        "answers_s": [0.1] * 100, "bot_bytes": [100_000_000], "fates": Counter({DELIVERED: 100}),
        "refused_calls": Counter(), "sending_s": 60.0, "whole_s": 61.0,
    }  # fmt: skip
    return Crowd(**{**held, **changes})


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"answers_s": [0.1] * 98 + [0.6] * 2}, "first answer"),
        ({"answers_s": []}, "first answer"),
        ({"bot_bytes": [1, 201_000_000]}, "200 MB"),
        ({"fates": Counter({DELIVERED: 99, "still queued": 1})}, "1 still queued"),
        ({"fates": Counter({DELIVERED: 99, "done and delivered 2 times": 1})}, "delivered 2 times"),
        ({"fates": Counter({DELIVERED: 99, "never accepted": 1})}, "never accepted"),
    ],
)
def test_what_was_promised_and_did_not_hold_is_named(changes, word):
    assert crowd().shortcomings() == []
    (said,) = crowd(**changes).shortcomings()
    assert word in said


async def test_a_crowd_is_answered_without_one_429_and_accounted_for_also_without_workers():
    found = await many_chats(40, within_s=0.5, workers=0, patience_s=5)
    assert found.refused_calls == {}  # the emulator counts strictly, and all of them came at once
    assert found.fates == {"still queued": 40}
    assert len(found.answers_s) == 40
    assert 40 / 30 - 1 < max(found.answers_s) < 10
    assert found.bot_bytes
    assert found.shortcomings()[-1] == "40 still queued"
