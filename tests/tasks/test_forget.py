"""Who asks to be forgotten is: nothing of theirs is left in Redis, and nothing that comes late brings it back."""

from __future__ import annotations

import time
from dataclasses import replace

import psutil
import pytest
from redis import ResponseError

from tasks.janitor import Upkeep
from tasks.messages import Accepted, JobState
from tasks.store import (
    FORGOTTEN_AT_ONCE,
    RECORD_LIFETIME_S,
    REWRITE_EVERY_S,
    REWRITE_REFUSED_S,
    JobStore,
    connect,
)
from tests.tasks.conftest import UNLIMITED, wish
from tests.traces import everything_in, traces_in_redis

ANN, BEN = 7_100_000_001, 7_200_000_002  # in no other number that Redis has
LEASE_S = 30.0


def claim(store, worker="w"):
    job = store.claim(["restore"], worker=worker, lease_s=LEASE_S)
    assert job is not None
    return job


def of(store, user):
    return traces_in_redis(store.redis, [str(user)])


@pytest.fixture
def lives(store, submit):
    """Both have a job in every state there is."""

    def live(user):
        for message, end in enumerate([JobState.DONE, JobState.FAILED]):
            submit(user, message)
            store.finish(claim(store), end, error="internal" if end is JobState.FAILED else "")
        store.cancel(user, submit(user, 3).id)
        submit(user, 4)
        store.release(claim(store), blameless=True, aside_s=100)
        submit(user, 5)
        store.begin_delivery(claim(store), lease_s=LEASE_S)
        submit(user, 6)
        store.attach_status(claim(store).id, 77)

    for user in (ANN, BEN):
        live(user)
    return {user: [submit(user, message).id for message in (7, 8)] for user in (ANN, BEN)}


def test_everything_of_one_user_goes_and_nothing_of_the_other(store, lives):
    before = sorted(of(store, BEN))
    assert len(of(store, ANN)) > 20
    met = store.forget(ANN)
    assert sorted(job.state for job in met) == sorted([*JobState, JobState.QUEUED, JobState.QUEUED])
    assert {job.user_id for job in met} == {ANN}
    assert of(store, ANN) == []
    assert sorted(of(store, BEN)) == before
    assert int(store.redis.get("restora:queued")) == 3
    assert [job.id for job in store.first_waiting("restore", 10)] == lives[BEN]


def test_who_is_forgotten_twice_has_nothing_left_to_forget(store, lives):
    assert store.forget(ANN)
    assert store.forget(ANN) == []


def test_more_records_than_one_script_takes_are_all_forgotten(store, submit):
    for message in range(FORGOTTEN_AT_ONCE * 2 + 1):
        submit(ANN, message)
    assert len(store.forget(ANN)) == FORGOTTEN_AT_ONCE * 2 + 1
    assert of(store, ANN) == []


def test_records_that_have_run_out_hide_none_behind_them(store, submit):
    for message in range(FORGOTTEN_AT_ONCE + 1):
        store.redis.zadd(f"restora:records:{ANN}", {f"9:{ANN}:{1000 + message}": message})
    job = submit(ANN, 1)
    assert [met.id for met in store.forget(ANN)] == [job.id]
    assert of(store, ANN) == []


def test_an_open_job_of_a_version_that_kept_no_list_is_forgotten_too(store, submit):
    job = submit(ANN, 1)
    store.redis.delete(f"restora:records:{ANN}")
    assert [met.id for met in store.forget(ANN)] == [job.id]
    assert of(store, ANN) == []


def test_forgetting_once_more_after_a_lost_answer_tells_what_went_with_it(store, submit, monkeypatch):
    job, met, run = submit(ANN, 1), [], store._run

    def lose_the_answer(*args):
        run(*args)
        raise ConnectionError("the answer got lost")

    monkeypatch.setattr(store, "_run", lose_the_answer)
    with pytest.raises(ConnectionError):
        store.forget(ANN, met=met)
    monkeypatch.setattr(store, "_run", run)
    assert [one.id for one in store.forget(ANN, met=met)] == [job.id]
    assert of(store, ANN) == []


def test_what_was_sent_to_that_chat_after_the_wish_is_spared_and_nothing_else(store, submit):
    before, after = [submit(ANN, message) for message in (1, 2)], [submit(ANN, message) for message in (11, 12)]
    elsewhere = store.submit(replace(wish(ANN, 99), chat_id=-100), **UNLIMITED).job
    ended = submit(ANN, 13)
    store.cancel(ANN, ended.id)
    met = store.forget(ANN, said_in=(ANN, 10))
    assert sorted(job.id for job in met) == sorted(job.id for job in [*before, elsewhere])
    assert [job.id for job in store.first_waiting("restore", 10)] == [job.id for job in after]
    assert store.get(ended.id).state is JobState.CANCELLED
    assert len(store.forget(ANN)) == 3
    assert of(store, ANN) == []


@pytest.mark.parametrize("listed", [True, False])
def test_an_older_picture_that_was_asked_for_after_the_wish_is_spared(store, listed):
    for message, asked_in in ((1, 9), (2, 11)):  # the wish is message 10
        store.submit(replace(wish(ANN, message), asked_in=asked_in), **UNLIMITED)
    if not listed:
        store.redis.delete(f"restora:records:{ANN}")
    assert [met.id for met in store.forget(ANN, said_in=(ANN, 10))] == [f"9:{ANN}:1"]
    assert [job.id for job in store.open_jobs(ANN)] == [f"9:{ANN}:2"]


def test_the_notes_of_another_bot_are_forgotten_too_whatever_numbers_its_messages_have(store, submit):
    ours = JobStore(store.redis, bot_id=8)
    others = submit(ANN, 500)
    own = ours.submit(replace(wish(ANN, 3), bot_id=8), **UNLIMITED).job
    assert sorted(job.id for job in ours.forget(ANN, said_in=(ANN, 4))) == sorted([others.id, own.id])
    assert of(store, ANN) == []


def test_many_pictures_that_are_spared_hide_none_that_is_not(store, submit):
    for message in range(1000, 1000 + FORGOTTEN_AT_ONCE + 1):
        submit(ANN, message)
    submit(ANN, 1)
    assert [job.id for job in store.forget(ANN, said_in=(ANN, 10))] == [f"9:{ANN}:1"]
    assert len(store.open_jobs(ANN)) == FORGOTTEN_AT_ONCE + 1


def test_an_open_job_in_no_list_that_was_sent_after_the_wish_is_spared_and_the_forgetting_ends(store, submit):
    before, after = submit(ANN, 1), submit(ANN, 11)
    store.redis.delete(f"restora:records:{ANN}")
    assert [met.id for met in store.forget(ANN, said_in=(ANN, 10))] == [before.id]
    assert [job.id for job in store.open_jobs(ANN)] == [after.id]


def test_a_full_redis_forgets_all_the_same(store, submit):
    for message in range(3):
        submit(ANN, message)
    store.begin_delivery(claim(store), lease_s=LEASE_S)
    store.redis.config_set("maxmemory", "1")
    try:
        met = store.forget(ANN)
    finally:
        store.redis.config_set("maxmemory", "0")
    assert len(met) == 3
    assert of(store, ANN) == []


LATE = {
    "renew": lambda store, job: store.renew(job, lease_s=LEASE_S, progress=0.5),
    "begin_delivery": lambda store, job: store.begin_delivery(job, lease_s=LEASE_S),
    "done": lambda store, job: store.finish(job, JobState.DONE),
    "failed": lambda store, job: store.finish(job, JobState.FAILED, error="internal"),
    "release": lambda store, job: store.release(job, blameless=False),
    "put aside": lambda store, job: store.release(job, blameless=True, aside_s=0.001),
    "resent": lambda store, job: store.mark_resent(job),
    "told": lambda store, job: store.mark_told(job),
    "not told": lambda store, job: store.stop_telling(job),
    "attach": lambda store, job: store.attach_status(job.id, 99),
    "cancel": lambda store, job: store.cancel(ANN, job.id),
    "cancel all": lambda store, _: store.cancel_all(ANN),
    "place": lambda store, job: store.place(job),
    "claim": lambda store, _: store.claim(["restore"], worker="w", lease_s=LEASE_S),
    "sweep": lambda store, _: store.sweep(longest_run_s=0),
    "reroute": lambda store, _: store.reroute("restore", "gpu"),
    "untold": lambda store, _: store.take_untold(),
}


@pytest.mark.parametrize("state", ["queued", "running", "delivering", "put aside", "failed"])
@pytest.mark.parametrize("late", LATE.values(), ids=list(LATE))
def test_nothing_that_comes_late_brings_a_record_back(store, submit, state, late):
    job = submit(ANN, 1)
    if state != "queued":
        job = claim(store)
    if state == "delivering":
        job = store.begin_delivery(job, lease_s=LEASE_S)
    elif state == "put aside":
        store.release(job, blameless=True, aside_s=100)
    elif state == "failed":
        store.finish(job, JobState.FAILED, error="internal")
    store.forget(ANN)
    late(store, job)
    assert of(store, ANN) == []
    assert [key for key, _ in everything_in(store.redis) if key.startswith("restora:job:")] == []


@pytest.mark.parametrize("script", ["claim", "reroute"])
def test_an_entry_of_a_queue_whose_record_is_gone_is_dropped_and_makes_none(store, submit, script):
    job = submit(ANN, 1)
    store.redis.delete(f"restora:job:{job.id}")  # as if it had run out
    LATE[script](store, job)
    assert store.redis.keys("restora:job:*") == []
    assert store.claim(["restore", "gpu"], worker="w", lease_s=LEASE_S) is None


def test_a_worker_learns_that_its_job_was_forgotten_as_if_it_had_been_cancelled(store, submit):
    submit(ANN, 1)
    job = claim(store)
    store.forget(ANN)
    assert store.renew(job, lease_s=LEASE_S, progress=0.5) == (JobState.CANCELLED, 0)


def test_who_was_forgotten_may_come_again(store, submit):
    submit(ANN, 1)
    store.forget(ANN)
    answer = store.submit(wish(ANN, 1), **UNLIMITED)
    assert isinstance(answer, Accepted)
    assert answer.fresh
    assert claim(store).user_id == ANN


def test_what_is_over_is_forgotten_by_itself_with_the_list_of_it(store, submit):
    submit(ANN, 1)
    submit(ANN, 2)
    store.finish(claim(store), JobState.DONE)
    assert store.redis.ttl(f"restora:records:{ANN}") == -1  # one is open still
    store.finish(claim(store), JobState.DONE)
    lifetimes = [store.redis.ttl(key) for key in (f"restora:records:{ANN}", "restora:job:9:7100000001:2")]
    assert all(RECORD_LIFETIME_S - 60 < lifetime <= RECORD_LIFETIME_S for lifetime in lifetimes)
    submit(ANN, 3)
    assert store.redis.ttl(f"restora:records:{ANN}") == -1
    store.cancel_all(ANN)
    assert store.redis.ttl(f"restora:records:{ANN}") > 0


def test_the_list_of_somebody_who_always_has_a_job_does_not_grow_for_ever(store, submit):
    for message in range(50):
        job = submit(ANN, message)
        store.redis.delete(f"restora:job:{job.id}")  # as if two days had passed
    assert store.redis.zcard(f"restora:records:{ANN}") <= 2


def test_redis_is_asked_to_write_its_file_anew_once_for_many_who_were_forgotten(store, submit):
    assert not store.rewrite_log()
    submit(ANN, 1)
    store.forget(ANN)
    assert store.rewrite_log()
    submit(BEN, 1)
    store.forget(BEN)
    assert not store.rewrite_log()  # not so soon
    assert 0 < store.redis.ttl("restora:rewritten") <= REWRITE_EVERY_S
    written_anew(store)
    assert not store.rewrite_log()
    assert store.redis.exists("restora:forgotten")  # Ben, who came too late for it
    store.redis.delete("restora:rewritten")
    assert store.rewrite_log()
    written_anew(store)
    assert not store.rewrite_log()
    assert not store.redis.exists("restora:forgotten", "restora:rewriting")


def written_anew(store):
    """Wait until Redis has nothing to do with its file."""
    while store.redis.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.01)


@pytest.fixture
def slow_rewrites(store):
    """Every key takes seconds to be written."""
    written_anew(store)
    store.redis.config_set("rdb-key-save-delay", 2_000_000)
    yield
    store.redis.config_set("rdb-key-save-delay", 0)


@pytest.mark.usefixtures("slow_rewrites")
def test_what_was_forgotten_counts_as_gone_only_when_the_rewrite_has_succeeded(store, submit, redis_server):
    submit(ANN, 1)
    submit(BEN, 1)
    store.forget(ANN)
    assert store.rewrite_log()
    assert not store.rewrite_log()
    assert store.redis.exists("restora:forgotten")
    (child,) = psutil.Process(redis_server.process.pid).children()
    child.kill()
    written_anew(store)
    with pytest.raises(ResponseError):
        store.rewrite_log()
    assert store.redis.exists("restora:forgotten")
    assert REWRITE_REFUSED_S < store.redis.ttl("restora:rewritten") <= REWRITE_EVERY_S  # each costs memory and disk
    store.redis.config_set("rdb-key-save-delay", 0)
    store.redis.delete("restora:rewritten")  # as after ten minutes
    assert store.rewrite_log()
    written_anew(store)
    assert not store.rewrite_log()
    assert not store.redis.exists("restora:forgotten")


def test_a_rewrite_that_redis_began_before_it_was_started_anew_is_begun_again(store, submit):
    submit(ANN, 1)
    store.forget(ANN)
    assert store.rewrite_log()
    written_anew(store)
    store.redis.set("restora:rewriting", "another-run 1")
    with pytest.raises(ResponseError):
        store.rewrite_log()
    assert store.redis.exists("restora:forgotten")


@pytest.fixture
def fettered(store, redis_server):
    """The same Redis, for a user who may not have its file written anew, as hardened installations have it."""
    store.redis.acl_setuser("fettered", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-bgrewriteaof"])
    redis = connect(redis_server.url.replace("://", "://fettered:x@"))
    yield JobStore(redis)
    redis.close()
    store.redis.acl_deluser("fettered")


def test_a_rewrite_that_is_refused_is_asked_for_again_and_spoils_no_round(store, submit, fettered, caplog):
    submit(ANN, 1)
    fettered.forget(ANN)
    Upkeep(fettered, ring=print, lease_s=LEASE_S, longest_run_s=100).make_round(("restore",))
    assert "still has what was forgotten" in caplog.text
    assert store.redis.exists("restora:forgotten")
    assert 0 < store.redis.ttl("restora:rewritten") <= REWRITE_REFUSED_S
    store.redis.delete("restora:rewritten")
    while store.redis.info("persistence")["aof_rewrite_in_progress"]:
        pass
    assert store.rewrite_log()
