"""Counts and times of how jobs end, from the scripts that end them."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from tasks.messages import JobState, WorkerCard
from tasks.stats import SLICE_MS, SLICES_A_DAY, STEP, Spread, Statistics
from tests.tasks.conftest import wish


@pytest.fixture
def stats(store):
    return Statistics(store)


@pytest.fixture
def claim(store):
    return lambda: store.claim(("restore",), worker="w", lease_s=30)


def set_back(store, job_id, *, queued_s=0.0, started_s=0.0):
    """Let a job have been queued, and started, that much earlier."""
    for field, seconds in (("queued_ms", queued_s), ("started_ms", started_s)):
        store.redis.hincrby(f"restora:job:{job_id}", field, -round(seconds * 1000))


def slices(store):
    return sorted(store.redis.keys("restora:stats:*"))


def test_every_way_to_end_is_counted_once_however_often_it_is_asked_for(store, submit, stats, claim):
    for number in range(5):
        submit(1, number)
    done, failed = claim(), claim()
    for _ in range(2):
        assert store.finish(done, JobState.DONE)
        assert store.finish(failed, JobState.FAILED, error="timeout")
    running = claim()
    assert len(store.cancel_all(1)) == 3
    assert store.cancel_all(1) == []
    assert not store.finish(running, JobState.DONE)
    for ends in (stats.last_hour(), stats.last_day()):
        assert (ends.done, ends.failed, ends.cancelled) == (1, 1, 3)
        assert ends.failures == (("timeout", 1),)
    assert stats.ever() == {("done", ""): 1, ("failed", "timeout"): 1, ("cancelled", ""): 3}


def test_a_job_whose_workers_fell_silent_counts_as_failed(store, submit, stats):
    submit(1, 1)
    for _ in range(3):
        assert store.claim(("restore",), worker="w", lease_s=0)
        store.sweep(longest_run_s=60)
    assert stats.last_hour().failures == (("worker_lost", 1),)
    submit(1, 2)
    assert store.claim(("restore",), worker="w", lease_s=0)
    store.sweep(longest_run_s=0)
    assert dict(stats.last_hour().failures) == {"worker_lost": 1, "timeout": 1}


def test_the_most_frequent_failure_comes_first(store, submit, stats, claim):
    for number, code in enumerate(["timeout", "damaged_image", "timeout"]):
        submit(1, number)
        store.finish(claim(), JobState.FAILED, error=code)
    assert stats.last_hour().failures == (("timeout", 2), ("damaged_image", 1))


def test_times_are_right_to_half_a_step_of_their_scale(store, submit, stats, claim):
    dice = random.Random(3)
    waited = [dice.lognormvariate(1, 2) for _ in range(101)]
    worked = [dice.lognormvariate(0, 1) for _ in range(101)]
    for number, (wait_s, work_s) in enumerate(zip(waited, worked, strict=True)):
        submit(1, number)
        job = claim()
        set_back(store, job.id, queued_s=wait_s + work_s, started_s=work_s)
        store.finish(job, JobState.DONE)
    for spread, seconds in ((stats.last_hour().waiting, waited), (stats.last_hour().working, worked)):
        assert spread.median_s == pytest.approx(statistics.median(seconds), rel=STEP**0.5 - 0.99, abs=0.05)
        assert spread.p95_s == pytest.approx(sorted(seconds)[95], rel=STEP**0.5 - 0.99, abs=0.05)


def test_the_scripts_count_in_the_slices_and_steps_that_are_read(store, submit, claim):
    submit(1, 1)
    job = claim()
    set_back(store, job.id, queued_s=1000.0)  # waited that long, if it was not taken at once
    store.finish(job, JobState.DONE)
    (key,) = slices(store)
    seconds, _ = store.redis.time()
    assert int(key.rpartition(":")[2]) in {int(at) * 1000 // SLICE_MS for at in (seconds, seconds - 1)}
    (waited,) = [field for field in store.redis.hkeys(key) if field.startswith("wait:")]
    assert waited in {f"wait:{math.ceil(math.log(ms) / math.log(STEP))}" for ms in (1_000_000, 1_001_000)}


def test_where_nothing_ended_there_are_no_times(stats):
    assert stats.last_day().waiting == Spread(median_s=None, p95_s=None)


def test_a_failed_job_waited_but_was_not_worked_on_and_a_cancelled_one_neither(store, submit, stats, claim):
    for number in range(2):
        submit(1, number)
    store.finish(claim(), JobState.FAILED, error="timeout")
    claim()
    store.cancel_all(1)
    ends = stats.last_hour()
    assert ends.waiting.median_s is not None
    assert ends.working.median_s is None


def test_an_hour_is_part_of_a_day_and_older_counts_are_part_of_neither(store, submit, stats, claim):
    submit(1, 1)
    store.finish(claim(), JobState.DONE)
    (now,) = slices(store)
    number = int(now.rpartition(":")[2])
    for ago in (6, 7, SLICES_A_DAY, SLICES_A_DAY + 1):
        store.redis.hset(f"restora:stats:{number - ago}", mapping={"done": 10 ** min(ago, 8)})
    assert number == int(store.redis.time()[0]) * 1000 // SLICE_MS
    assert stats.last_hour().done == 1 + 10**6
    assert stats.last_day().done == 1 + 10**6 + 10**7 + 10**8


def test_redis_forgets_the_counts_of_a_day_ago_and_keeps_few_fields(store, submit, stats, claim):
    dice = random.Random(5)
    for number in range(100):
        submit(1, number)
        job = claim()
        set_back(store, job.id, queued_s=dice.expovariate(1e-4), started_s=dice.expovariate(1e-3))
        store.finish(job, JobState.DONE)
    for key in slices(store):
        assert 24 * 3600 < store.redis.ttl(key) <= 25 * 3600
        assert store.redis.hlen(key) < 120
        assert store.redis.memory_usage(key) < 12_000
    assert stats.last_hour().done == 100


def test_counts_say_nothing_about_people(store, claim):
    store.submit(wish(987654321, 5), user_limit=9, total_limit=9)
    store.finish(claim(), JobState.DONE)
    for key in (*slices(store), "restora:ends"):
        assert "987654321" not in f"{key} {store.redis.hgetall(key)}"


def test_now_tells_what_waits_what_is_held_and_who_works(store, submit, stats, claim):
    card = WorkerCard(name="h:1", queues=("gpu", "big"), models=("m",), device="cuda:0", dtype="float16", idle_s=2.0)
    store.announce(card)
    for number in range(4):
        submit(1, number)
    submit(1, 9, queue="big")
    claim()
    store.release(claim(), blameless=True, aside_s=60)
    now = stats.now()
    assert now.workers == (card,)
    assert now.waiting == {"restore": 2, "gpu": 0, "big": 1}
    assert (now.held, now.aside) == (1, 1)
    assert now.memory_bytes > 100_000
    assert now.memory_limit_bytes == 0
