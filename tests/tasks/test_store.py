"""The job store against a real Redis."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import RedisError

from tasks.messages import Accepted, JobState, QueuePlace, Refused, WorkerCard
from tasks.store import MAX_ATTEMPTS, RECORD_LIFETIME_S, JobStore, connect
from tests.tasks.conftest import UNLIMITED, wish

LEASE_S = 30.0


def claim(store, *queues, worker="w", lease_s=LEASE_S):
    return store.claim(queues or ("restore",), worker=worker, lease_s=lease_s)


def order(store, *queues):
    """The ids in which everything waiting is claimed."""
    claimed = []
    while (job := claim(store, *queues)) is not None:
        claimed.append(job.id)
    return claimed


def test_a_message_handed_in_twice_is_one_job(store):
    first = store.submit(wish(1, 7), **UNLIMITED)
    again = store.submit(wish(1, 7), **UNLIMITED)
    assert (first.fresh, again.fresh) == (True, False)
    assert first.job == again.job
    assert first.place == again.place == QueuePlace(place=1, wait_s=None)
    assert order(store) == ["9:1:7"]


def test_a_message_handed_in_again_after_its_end_stays_ended(store, submit):
    submit(1, 7)
    store.finish(claim(store), JobState.DONE)
    answer = store.submit(wish(1, 7), **UNLIMITED)
    assert (answer.fresh, answer.job.state) == (False, JobState.DONE)
    assert order(store) == []


def test_a_record_comes_back_as_it_was_handed_in(store, submit):
    job = submit(-100123, 42, pixels=12345)
    assert (job.id, job.chat_id, job.message_id, job.file_id) == ("9:-100123:42", -100123, 42, "file--100123-42")
    assert (job.state, job.pixels, job.attempt, job.status_message_id) == (JobState.QUEUED, 12345, 0, 0)
    assert abs(job.queued_ms / 1000 - time.time()) < 5


def test_one_users_pictures_are_done_in_the_order_they_came(store, submit):
    ids = [submit(1, message).id for message in range(12)]
    assert order(store) == ids


def test_twenty_pictures_of_one_user_do_not_make_another_wait(store, submit):
    for message in range(20):
        submit(1, message)
    claim(store)
    submit(2, 1)
    assert claim(store).id == "9:2:1"


def test_users_take_turns(store, submit):
    for user in (1, 2, 3):
        for message in range(4):
            submit(user, message)
    turns = [job_id.split(":")[1] for job_id in order(store)]
    assert all(Counter(turns[i : i + 3]) == {"1": 1, "2": 1, "3": 1} for i in range(0, 12, 3))


def test_a_newcomer_waits_for_at_most_one_picture_of_every_other_user(store, submit):
    for user in range(1, 6):
        for message in range(10):
            submit(user, message)
    for _ in range(23):
        claim(store)
    submit(99, 1)
    assert "9:99:1" in order(store)[:6]


def test_a_user_over_the_limit_is_refused_and_others_are_not(store, submit):
    for message in range(3):
        submit(1, message)
    assert store.submit(wish(1, 3), user_limit=3, total_limit=100) == Refused(reason="user_limit", limit=3)
    assert store.get("9:1:3") is None
    assert isinstance(store.submit(wish(2, 1), user_limit=3, total_limit=100), Accepted)


def test_a_message_handed_in_before_is_known_even_when_its_user_is_at_the_limit(store, submit):
    submit(1, 1)
    assert isinstance(store.submit(wish(1, 1), user_limit=1, total_limit=1), Accepted)


def test_a_stream_of_newcomers_keeps_nobodys_second_picture_waiting_for_ever(store, submit):
    for message in (1, 2):
        submit(1, message)
    for newcomer in range(100, 104):
        submit(newcomer, 1)
    for turn in range(40):
        submit(1000 + turn, 1)  # one more newcomer for every job that is taken
        if claim(store).id == "9:1:2":
            break
    else:
        pytest.fail("not taken in 40 turns")


def test_nobody_waits_longer_because_the_others_came_for_another_queue(store, submit):
    for message in range(5):
        submit(1, message, queue="gpu")
    submit(2, 1)
    assert order(store, "gpu", "restore")[:2] == ["9:1:0", "9:2:1"]


def test_what_a_user_cancelled_does_not_put_their_next_picture_behind(store, submit):
    for message in range(20):
        submit(1, message)
    for message in range(10):
        submit(2, message)
    store.cancel_all(1)
    submit(1, 100)
    assert "9:1:100" in order(store)[:2]


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(store, submit):
    submit(1, 1)
    submit(2, 1)
    assert store.submit(wish(3, 1), user_limit=9, total_limit=2) == Refused(reason="queue_full", limit=2)
    claim(store)
    assert isinstance(store.submit(wish(3, 1), user_limit=9, total_limit=2), Accepted)


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_an_ended_job_makes_room_for_its_user(store, submit, end):
    submit(1, 1)
    job = claim(store)
    if end == "cancelled":
        store.cancel_all(1)
    else:
        store.finish(job, JobState(end))
    assert isinstance(store.submit(wish(1, 2), user_limit=1, total_limit=9), Accepted)


def test_eight_workers_claim_every_job_exactly_once(redis_server, store, submit):
    for user in range(20):
        for message in range(10):
            submit(user, message)

    def work(number: int) -> list[str]:
        client = connect(redis_server.url)
        try:
            return order(JobStore(client))
        finally:
            client.close()

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for ids in pool.map(work, range(8)) for job_id in ids]
    assert len(claimed) == len(set(claimed)) == 200


def test_a_worker_takes_only_from_its_queues(store, submit):
    submit(1, 1, queue="gpu")
    submit(1, 2)
    assert order(store, "restore") == ["9:1:2"]
    assert order(store, "gpu", "restore") == ["9:1:1"]


def test_a_worker_of_two_queues_takes_the_older_head_first(store, submit):
    submit(1, 1)
    submit(2, 1, queue="gpu")
    submit(3, 1)
    assert order(store, "gpu", "restore") == ["9:1:1", "9:2:1", "9:3:1"]


def test_a_late_attempt_can_change_nothing(store, submit):
    submit(1, 1)
    late = claim(store, lease_s=0.01)
    time.sleep(0.05)
    store.sweep(longest_run_s=100)
    now = claim(store)
    assert (late.attempt, now.attempt) == (1, 2)
    assert store.renew(late, lease_s=5, progress=0.9)[0] is JobState.RUNNING
    assert store.begin_delivery(late, lease_s=5) is None
    assert store.finish(late, JobState.DONE) is False
    assert store.release(late, blameless=True) is False
    kept = store.get("9:1:1")
    assert (kept.state, kept.attempt, kept.progress) == (JobState.RUNNING, 2, 0.0)
    assert store.begin_delivery(now, lease_s=5).attempt == 2


def test_renewing_keeps_the_lease(store, submit):
    submit(1, 1)
    job = claim(store, lease_s=0.2)
    for _ in range(6):
        time.sleep(0.06)
        assert store.renew(job, lease_s=0.2, progress=0.5) == (None, 0)
        assert store.sweep(longest_run_s=100) == ([], [])


def test_a_renewal_tells_the_status_message_that_came_meanwhile(store, submit):
    submit(1, 1)
    job = claim(store)
    assert store.attach_status("9:1:1", 77) is JobState.RUNNING
    assert store.renew(job, lease_s=5, progress=0.1) == (None, 77)
    assert store.begin_delivery(job, lease_s=5).status_message_id == 77


def test_a_silent_worker_loses_its_job_to_the_next_one_and_the_job_keeps_its_place(store, submit):
    ids = [submit(user, 1).id for user in (1, 2, 3)]
    claim(store, lease_s=0.01)
    time.sleep(0.05)
    assert store.sweep(longest_run_s=100) == (["restore"], [])
    assert order(store) == ids


def test_a_job_that_comes_back_to_an_empty_queue_is_not_behind_newcomers(store, submit):
    for message in range(5):
        submit(1, message)
    jobs = [claim(store) for _ in range(5)]
    store.release(jobs[-1], blameless=True)
    submit(2, 1)
    assert order(store) == ["9:1:4", "9:2:1"]


def test_a_job_is_given_up_after_so_many_silent_workers(store, submit):
    submit(1, 1)
    for _ in range(MAX_ATTEMPTS - 1):
        claim(store, lease_s=0.01)
        time.sleep(0.03)
        assert store.sweep(longest_run_s=100) == (["restore"], [])
    claim(store, lease_s=0.01)
    time.sleep(0.03)
    assert store.sweep(longest_run_s=100) == ([], ["9:1:1"])
    assert (store.get("9:1:1").state, store.get("9:1:1").error) == (JobState.FAILED, "worker_lost")
    assert order(store) == []


def test_workers_that_leave_properly_do_not_count_against_a_job(store, submit):
    submit(1, 1)
    for _ in range(MAX_ATTEMPTS + 2):
        assert store.release(claim(store), blameless=True)
    assert claim(store, lease_s=0.01).tries == 1
    time.sleep(0.03)
    assert store.sweep(longest_run_s=100) == (["restore"], [])


def test_a_job_that_ran_too_long_is_failed_and_not_repeated(store, submit):
    submit(1, 1)
    claim(store, lease_s=0.01)
    time.sleep(0.05)
    assert store.sweep(longest_run_s=0.02) == ([], ["9:1:1"])
    assert store.get("9:1:1").error == "timeout"


def test_a_delivery_is_not_failed_for_the_time_it_took(store, submit):
    submit(1, 1)
    store.begin_delivery(claim(store), lease_s=0.01)
    time.sleep(0.05)
    assert store.sweep(longest_run_s=0.02) == (["restore"], [])


def test_a_change_whose_answer_was_lost_may_be_asked_again(store, submit):
    submit(1, 1)
    job = claim(store)
    assert store.begin_delivery(job, lease_s=5) == store.begin_delivery(job, lease_s=5)
    assert [store.finish(job, JobState.DONE) for _ in range(2)] == [True, True]
    assert store.finish(job, JobState.FAILED) is False
    submit(2, 1)
    other = claim(store)
    assert [store.release(other, blameless=True, aside_s=0.1) for _ in range(2)] == [True, True]
    assert store.get(other.id).forgiven == 1
    time.sleep(0.15)
    assert store.sweep(longest_run_s=100) == (["restore"], [])
    assert order(store) == ["9:2:1"]


def test_a_job_put_aside_is_left_alone_until_it_is_due(store, submit):
    submit(1, 1)
    submit(2, 1)
    store.release(claim(store), blameless=True, aside_s=0.1)
    assert order(store) == ["9:2:1"]
    assert store.sweep(longest_run_s=100) == ([], [])
    time.sleep(0.15)
    assert store.sweep(longest_run_s=100) == (["restore"], [])
    assert order(store) == ["9:1:1"]


def test_a_job_put_aside_can_be_cancelled(store, submit):
    submit(1, 1)
    store.release(claim(store), blameless=True, aside_s=0.05)
    assert [one.was for one in store.cancel_all(1)] == [JobState.QUEUED]
    time.sleep(0.1)
    assert store.sweep(longest_run_s=100) == ([], [])
    assert order(store) == []


def back_from_aside(store, *jobs, kept=True):
    """Put jobs aside as one does who could not deliver them, until they are due at once."""
    for job in jobs:
        assert store.release(job, blameless=True, aside_s=1000, kept=kept)
        store.redis.zadd("restora:aside", {job.id: 1})
    store.sweep(longest_run_s=100)


@pytest.fixture
def kept_job(store, submit):
    """A job that waits to be delivered once more, whose result the worker ``keeper`` has, and ``w`` has not."""
    store.announce(card("keeper"))
    submit(1, 1)
    back_from_aside(store, claim(store, worker="keeper"))
    return store.get("9:1:1")


def test_a_result_that_is_kept_is_delivered_by_who_keeps_it(store, submit, kept_job):
    submit(2, 1)
    assert order(store) == ["9:2:1"]  # the others go on meanwhile
    assert claim(store, worker="keeper").id == kept_job.id


def test_who_keeps_a_result_is_waited_for_some_seconds_only(store, kept_job, monkeypatch):
    assert claim(store) is None
    monkeypatch.setattr("tasks.store.KEEPER_FIRST_S", 0.05)
    time.sleep(0.06)
    assert claim(store).id == kept_job.id


@pytest.mark.parametrize("in_order", [True, False])
def test_who_keeps_a_result_is_not_waited_for_once_it_is_gone(store, kept_job, in_order):
    if in_order:
        store.withdraw("keeper")
    else:  # killed: nothing has been heard of it for a while
        store.redis.zadd("restora:workers", {"keeper": 1})
    assert claim(store).id == kept_job.id


def test_a_clock_that_was_put_back_keeps_no_job_for_its_keeper(store, kept_job):
    store.redis.hset(f"restora:job:{kept_job.id}", "since_ms", round((time.time() + 3600) * 1000))
    assert claim(store).id == kept_job.id


def test_a_job_that_nobody_keeps_the_result_of_is_anybodys(store, submit):
    store.announce(card("other"))
    submit(1, 1)
    back_from_aside(store, claim(store, worker="other"), kept=False)
    assert claim(store).id == "9:1:1"


@pytest.mark.parametrize("way", ["given back", "fell silent"])
def test_a_job_that_its_keeper_took_and_lost_is_anybodys(store, kept_job, way):
    again = claim(store, worker="keeper", lease_s=0.01)
    if way == "given back":
        store.release(again, blameless=True)
    else:
        time.sleep(0.03)
        store.sweep(longest_run_s=100)
    assert claim(store).id == kept_job.id


def test_very_many_jobs_left_to_another_worker_hide_nothing_behind_them(store, submit):
    store.announce(card("keeper"))
    kept = [submit(user, 1) for user in range(1, 61)]
    back_from_aside(store, *[claim(store, worker="keeper") for _ in kept])
    submit(99, 1)
    taken = order(store)
    assert (len(taken), taken[-1]) == (12, "9:99:1")  # the others' until those that are left can be looked through
    assert claim(store, worker="keeper").keeper == ""


def test_jobs_kept_for_others_cost_nobody_a_turn(store, submit, kept_job):
    for message in range(4):
        submit(2, message)
        submit(3, message)
    turns = [job_id.split(":")[1] for job_id in order(store)]
    assert all(Counter(turns[i : i + 2]) == {"2": 1, "3": 1} for i in range(0, 8, 2))
    submit(4, 1)
    assert [claim(store, worker="keeper").id for _ in range(2)] == [kept_job.id, "9:4:1"]


def test_a_release_in_mid_delivery_flags_the_job(store, submit):
    submit(1, 1)
    job = claim(store)
    store.begin_delivery(job, lease_s=5)
    store.release(job, blameless=True)
    assert claim(store).resent


def test_a_late_attempt_flags_nothing(store, submit):
    submit(1, 1)
    late = claim(store)
    store.release(late, blameless=True)
    claim(store)
    store.mark_resent(late)
    assert not store.get("9:1:1").resent


@pytest.mark.parametrize("end", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_a_status_message_that_comes_too_late_is_not_noted(store, submit, end):
    submit(1, 1)
    job = claim(store)
    _ = store.cancel_all(1) if end is JobState.CANCELLED else store.finish(job, end)
    assert store.attach_status("9:1:1", 5) is end
    assert store.get("9:1:1").status_message_id == 0


def test_work_in_hand_ends_although_redis_is_full(store, submit):
    submit(1, 1)
    job = claim(store)
    store.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisError):
            store.submit(wish(2, 1), **UNLIMITED)
        assert store.renew(job, lease_s=5, progress=0.5) == (None, 0)
        assert store.begin_delivery(job, lease_s=5).state is JobState.DELIVERING
        store.mark_resent(job, unknown_sends=2)
        assert (store.get("9:1:1").resent, store.get("9:1:1").unknown_sends) == (True, 2)
        assert store.finish(job, JobState.DONE)
    finally:
        store.redis.config_set("maxmemory", 0)
    assert store.get("9:2:1") is None


def test_a_full_redis_forgets_whom_it_is_told_to_forget(store, submit):
    submit(1, 1)
    claim(store)
    store.redis.config_set("maxmemory", 1)
    try:
        assert [job.id for job in store.forget(1)] == ["9:1:1"]
    finally:
        store.redis.config_set("maxmemory", 0)
    assert store.get("9:1:1") is None


@pytest.mark.parametrize(
    ("state", "known", "flagged"),
    [
        (JobState.FAILED, {}, True),
        (JobState.FAILED, {"unsent": True}, False),
        (JobState.DONE, {}, False),
        (JobState.DONE, {"resent": True}, True),
        (JobState.FAILED, {"unsent": True, "resent": True}, True),
    ],
)
def test_a_delivery_that_ends_otherwise_than_known_is_flagged(store, submit, state, known, flagged):
    submit(1, 1)
    job = store.begin_delivery(claim(store), lease_s=5)
    assert store.finish(job, state, **known)
    assert store.get(job.id).resent is flagged


def test_a_failure_before_any_delivery_is_not_flagged(store, submit):
    submit(1, 1)
    assert store.finish(claim(store), JobState.FAILED)
    assert not store.get("9:1:1").resent


def test_with_a_full_redis_everything_can_be_stopped(store, submit):
    for message in range(3):
        submit(1, message)
    claim(store)
    store.redis.config_set("maxmemory", 1)
    try:
        assert len(store.cancel_all(1)) == 3
    finally:
        store.redis.config_set("maxmemory", 0)
    assert store.open_jobs(1) == []


def test_a_queue_counts_as_served_while_its_workers_restart(store):
    assert not store.is_served("gpu")
    store.announce(card("a", queues=("gpu",)))
    store.withdraw("a")
    assert not store.redis.exists("restora:workers", "restora:cards")  # a card nobody would ever take away
    assert store.is_served("gpu")
    assert 60 < store.redis.ttl("restora:served:gpu") <= 300


def test_an_update_is_remembered_for_a_day(store):
    assert not store.was_handled("9:1")
    store.mark_handled("9:1")
    assert store.was_handled("9:1")
    store.redis.zadd("restora:updates", {"9:1": time.time() - 25 * 3600})
    store.mark_handled("9:2")
    assert not store.was_handled("9:1")


def test_a_delivery_that_was_cut_off_is_flagged_when_it_is_repeated(store, submit):
    submit(1, 1)
    store.begin_delivery(claim(store), lease_s=0.01)
    time.sleep(0.05)
    store.sweep(longest_run_s=100)
    assert claim(store).resent


def test_a_delivery_that_was_cut_off_for_the_last_time_is_flagged_too(store, submit):
    submit(1, 1)
    for _ in range(MAX_ATTEMPTS):
        job = store.claim(["restore"], worker="w", lease_s=0.01)
        store.begin_delivery(job, lease_s=0.01)
        time.sleep(0.03)
        _, failed = store.sweep(longest_run_s=100)
    assert failed == ["9:1:1"]
    assert (store.get("9:1:1").state, store.get("9:1:1").resent) == (JobState.FAILED, True)


def test_the_owner_of_a_failed_job_is_due_to_be_told_until_somebody_did(store, submit):
    submit(1, 1)
    claim(store, lease_s=0.01)
    time.sleep(0.05)
    store.sweep(longest_run_s=0.02)
    (job,) = store.take_untold()
    assert job.id == "9:1:1"
    assert store.take_untold() == []  # somebody is telling; it comes up again later
    store.redis.zadd("restora:untold", {"9:1:1": 0})
    assert [job.id for job in store.take_untold()] == ["9:1:1"]
    store.mark_told(job)
    store.redis.zadd("restora:untold", {"9:1:1": 0}, xx=True)
    assert store.take_untold() == []


def test_a_done_job_leaves_nobody_to_be_told(store, submit):
    submit(1, 1)
    store.finish(claim(store), JobState.DONE)
    assert store.redis.zcard("restora:untold") == 0


def test_cancelling_ends_queued_and_running_jobs_and_leaves_a_delivery_alone(store, submit):
    for message in range(3):
        submit(1, message)
    running, delivering = claim(store), claim(store)
    submit(2, 1)
    store.begin_delivery(delivering, lease_s=5)
    met = {one.job.id: one.was for one in store.cancel_all(1)}
    assert met == {running.id: JobState.RUNNING, delivering.id: JobState.DELIVERING, "9:1:2": JobState.QUEUED}
    states = [store.get(job_id).state for job_id in (running.id, delivering.id, "9:1:2", "9:2:1")]
    assert states == [JobState.CANCELLED, JobState.DELIVERING, JobState.CANCELLED, JobState.QUEUED]
    assert store.renew(running, lease_s=5, progress=0.5)[0] is JobState.CANCELLED
    assert store.begin_delivery(running, lease_s=5) is None
    assert order(store) == ["9:2:1"]
    assert store.sweep(longest_run_s=0) == ([], [])


def test_nobody_cancels_a_job_of_somebody_else(store, submit):
    submit(1, 1)
    assert store.cancel(2, "9:1:1") is None
    assert store.get("9:1:1").state is JobState.QUEUED


def test_cancelling_twice_tells_that_it_was_over(store, submit):
    submit(1, 1)
    assert store.cancel(1, "9:1:1").was is JobState.QUEUED
    assert store.cancel(1, "9:1:1").was is JobState.CANCELLED
    assert store.cancel(1, "9:1:2") is None


def test_only_long_running_jobs_are_cancelled_where_that_is_asked(store, submit):
    for message in range(2):
        submit(1, message)
    running = claim(store)
    assert store.cancel_all(1, running_for_s=600) == []
    store.redis.hincrby(f"restora:job:{running.id}", "started_ms", -601_000)
    assert [one.job.id for one in store.cancel_all(1, running_for_s=600)] == [running.id]
    assert store.get("9:1:1").state is JobState.QUEUED


def test_a_wish_met_a_second_time_leaves_alone_what_was_sent_after_it(store, submit):
    for message in (1, 3):
        submit(1, message)
    submit(1, 5)  # after the wish, which is message 4
    met = store.cancel_all(1, said_in=(1, 4))
    assert {one.job.id for one in met} == {"9:1:1", "9:1:3"}
    assert store.get("9:1:5").state is JobState.QUEUED
    assert [one.job.id for one in store.cancel_all(1, said_in=(2, 4))] == ["9:1:5"]  # said elsewhere: it means all


def test_a_wish_met_a_second_time_leaves_alone_an_older_picture_that_was_asked_for_after_it(store):
    for message, asked_in in ((1, 3), (2, 5)):  # the wish is message 4
        store.submit(replace(wish(1, message), asked_in=asked_in), **UNLIMITED)
    assert [one.job.id for one in store.cancel_all(1, said_in=(1, 4))] == ["9:1:1"]
    assert [job.id for job in store.open_jobs(1)] == ["9:1:2"]


def test_jobs_of_another_bot_are_stopped_with_ours_but_their_messages_left_to_it(store, submit):
    ours = JobStore(store.redis, bot_id=8)
    for message in (1, 5):
        submit(1, message)
    own = ours.submit(replace(wish(1, 2), bot_id=8), **UNLIMITED).job
    later = ours.submit(replace(wish(1, 6), bot_id=8), **UNLIMITED).job
    assert [one.job.id for one in ours.cancel_all(1, said_in=(1, 4))] == [own.id]
    assert [job.id for job in ours.open_jobs(1)] == [later.id]  # 9:1:5 is a number of other messages
    assert set(store.redis.zrange("restora:untold", 0, -1)) == {"9:1:1", "9:1:5", own.id}  # who is told by its own bot
    assert ours.cancel(1, "9:1:1") is None


def test_the_place_counts_the_jobs_before_and_the_wait_their_seconds(store, submit):
    store.announce(card("a:1", estimates=((1000, 2.0), (2000, 4.0), (3000, 6.0))))
    jobs = [submit(user, 1, pixels=1000 * user) for user in (1, 2, 3)]
    places = [store.place(job) for job in jobs]
    assert [place.place for place in places] == [1, 2, 3]
    assert [place.wait_s for place in places] == pytest.approx([2, 2 + 4, 2 + 4 + 6])
    assert store.place(claim(store)) is None
    assert store.place(jobs[1]).place == 1


def test_a_drawing_may_take_longer_and_a_sticker_is_one_with_transparency(store, submit):
    tables = {"estimates": ((1000, 2.0), (2000, 4.0)), "longest": ((1000, 20.0), (2000, 40.0))}
    store.announce(replace(card("a:1"), **tables))
    photo = store.place(submit(1, 1))
    sticker = store.place(store.submit(replace(wish(2, 1), kind="sticker"), **UNLIMITED).job)
    assert (photo.wait_s, photo.longest_s) == (pytest.approx(2), pytest.approx(20))
    assert (sticker.wait_s, sticker.longest_s) == (pytest.approx(2 + 40), None)


def test_a_sticker_is_waited_for_as_long_as_it_takes_itself(store, submit):
    tables = {"estimates": ((1000, 2.0), (2000, 4.0)), "longest": ((1000, 20.0), (2000, 40.0))}
    store.announce(replace(card("a:1"), **tables))
    store.submit(replace(wish(1, 1), kind="sticker"), **UNLIMITED)
    photo = submit(2, 1)
    assert store.place(photo).wait_s == pytest.approx(40 + 2)
    held = claim(store, worker="a:1")
    assert store.place(photo).wait_s == pytest.approx(40 + 2)
    store.renew(held, lease_s=LEASE_S, progress=0.75)
    assert store.place(photo).wait_s == pytest.approx(10 + 2)


def test_the_wait_counts_what_is_left_of_a_running_job(store, submit):
    store.announce(card("a:1", estimates=((1000, 2.0),)))
    submit(1, 1)
    second = submit(2, 1)
    held = claim(store, worker="a:1")
    assert store.place(second).wait_s == pytest.approx(2 + 2)
    store.renew(held, lease_s=LEASE_S, progress=0.75)
    assert store.place(second).wait_s == pytest.approx(0.5 + 2)
    store.begin_delivery(held, lease_s=LEASE_S)
    assert store.place(second).wait_s == pytest.approx(2)


def test_the_wait_goes_by_the_pace_a_running_job_has_shown_whatever_its_size_promised(store, submit):
    store.announce(card("a:1", estimates=((1000, 2.0),)))
    submit(1, 1)
    second = submit(2, 1)
    held = claim(store, worker="a:1")
    store.renew(held, lease_s=LEASE_S, progress=0.0)
    store.renew(held, lease_s=LEASE_S, progress=0.01)
    began = time.monotonic()
    time.sleep(0.3)
    store.renew(held, lease_s=LEASE_S, progress=0.02)
    assert store.place(second).wait_s == pytest.approx(2 * 0.98 + 2)  # too early to tell
    store.renew(held, lease_s=LEASE_S, progress=0.11)
    wait_s, took_s = store.place(second).wait_s, time.monotonic() - began
    assert 0.29 * 0.89 / 0.1 <= wait_s - 2 <= (took_s + 0.01) * 0.89 / 0.1
    store.release(held, blameless=False)
    again = claim(store, worker="a:1")
    store.renew(again, lease_s=LEASE_S, progress=0.5)  # a new attempt, a new pace
    assert store.place(second).wait_s == pytest.approx(2 * 0.5 + 2)


def test_a_job_on_a_worker_of_another_queue_is_not_waited_for(store, submit):
    store.announce(card("a:1", estimates=((1000, 2.0),)))
    store.announce(card("g:1", queues=("gpu",), estimates=((1000, 2.0),)))
    submit(1, 1, queue="gpu")
    claim(store, "gpu", worker="g:1")
    assert store.place(submit(2, 1)).wait_s == pytest.approx(2)


def test_of_more_jobs_than_are_looked_at_each_one_stands_for_several(store, submit, monkeypatch):
    monkeypatch.setattr("tasks.store.JOBS_LOOKED_AT", 2)
    store.announce(card("a:1", estimates=((1000, 1.0), (3000, 3.0))))
    jobs = [submit(user, 1, pixels=pixels) for user, pixels in enumerate((1000, 3000, 5000, 5000, 1000))]
    assert (store.place(jobs[-1]).place, store.place(jobs[-1]).wait_s) == (5, pytest.approx(1 + 3 + 2 * 2 + 1))


def test_without_a_worker_of_the_queue_there_is_a_place_but_no_wait(store, submit):
    store.announce(card("gpu-only", queues=("gpu",)))
    assert store.place(submit(1, 1)).wait_s is None


def test_a_worker_is_known_until_it_leaves(store):
    known = card("a", estimates=((1000, 0.5), (2000, 0.75)))
    store.announce(known)
    assert store.workers() == [known]
    store.withdraw("a")
    assert store.workers() == []


@pytest.mark.parametrize(
    "stored",
    [
        {"model": "m", "seconds_per_pixel": 1e-4, "idle_s": 3.0},  # as workers of version 0.1 say it
        {"models": ["m"], "estimates": [[1000, 0.5]], "mood": {"of": "a version to come"}},
        {},
    ],
)
def test_the_card_of_another_version_is_read_as_far_as_it_is_understood(store, submit, stored):
    text = json.dumps({"name": "a:1", "queues": ["restore"], "device": "cpu", "dtype": "float32", **stored})
    store.announce(card("a:1"))
    store.redis.hset("restora:cards", "a:1", text)
    (read,) = store.workers()
    assert (read.name, read.queues, read.device) == ("a:1", ("restore",), "cpu")
    assert store.place(submit(1, 1)) == QueuePlace(place=1, wait_s=0.5 if "estimates" in stored else None)


def test_jobs_of_a_queue_nobody_serves_move_with_their_fair_places(store, submit):
    for user in (1, 2):
        for message in range(3):
            submit(user, message, queue="gpu")
    submit(3, 1)
    assert store.reroute("gpu", "restore") == 6
    assert store.waiting("gpu") == 0
    moved = order(store, "restore")
    assert set(moved[:3]) == {"9:1:0", "9:2:0", "9:3:1"}
    assert set(moved[3:5]) == {"9:1:1", "9:2:1"}
    assert store.get("9:1:0").queue == "restore"


def test_records_of_ended_jobs_are_forgotten_in_the_end_and_open_ones_are_not(store, submit):
    submit(1, 1)
    submit(1, 2)
    store.finish(claim(store), JobState.DONE)
    assert 0 < store.redis.ttl("restora:job:9:1:1") <= RECORD_LIFETIME_S
    assert store.redis.ttl("restora:job:9:1:2") == -1


def test_one_worker_leads_until_it_falls_silent(store):
    assert store.lead("a", for_s=0.05)
    assert not store.lead("b", for_s=0.05)
    assert store.lead("a", for_s=0.05)
    time.sleep(0.15)
    assert store.lead("b", for_s=0.05)


def card(name, *, queues=("restore",), estimates=((1000, 0.1),)):
    return WorkerCard(name=name, queues=queues, models=("m",), device="cpu", dtype="float32", estimates=estimates)
