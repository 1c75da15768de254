"""The rounds of the janitor, against a real Redis."""

from __future__ import annotations

import time

import pytest

from tasks import health, janitor
from tasks.apology import last_word
from tasks.janitor import Janitor, Messenger, Upkeep
from tasks.messages import JobState, QueuePlace, WorkerCard
from tasks.store import JobStore
from tasks.texts import Texts

LEASE_S = 0.2


class Bell(list):
    """Remembers for which queues it was rung."""

    def __call__(self, queue: str) -> None:
        self.append(queue)


@pytest.fixture
def bell():
    return Bell()


@pytest.fixture
def upkeep(store, bell):
    return Upkeep(store, ring=bell, lease_s=LEASE_S, longest_run_s=100)


def test_a_first_round_gives_holders_one_lease_to_show_themselves(store, submit, upkeep, bell):
    submit(1, 1)
    store.claim(["restore"], worker="w", lease_s=0.01)
    time.sleep(0.05)
    upkeep.make_round(("restore",))
    assert store.get("9:1:1").state is JobState.RUNNING
    for _ in range(4):
        time.sleep(LEASE_S / 3)
        upkeep.make_round(("restore",))
    assert store.get("9:1:1").state is JobState.QUEUED
    assert bell == ["restore"]


def test_after_a_gap_in_the_rounds_holders_get_that_time_again(store, submit, upkeep):
    for _ in range(5):
        upkeep.make_round(("restore",))
        time.sleep(LEASE_S / 3)
    time.sleep(LEASE_S * 1.5)  # as if Redis had been away
    submit(1, 1)
    store.claim(["restore"], worker="w", lease_s=0.01)
    time.sleep(0.05)
    upkeep.make_round(("restore",))
    assert store.get("9:1:1").state is JobState.RUNNING


def rounds(upkeep, count):
    for _ in range(count):
        time.sleep(LEASE_S / 3)
        upkeep.make_round(("restore",))


def put_clock_back(store, by_s):
    """What Redis noted before then lies in the future."""
    for key in ("leases", "aside", "untold"):
        for member in store.redis.zrange(f"restora:{key}", 0, -1):
            store.redis.zincrby(f"restora:{key}", by_s * 1000, member)


def test_when_the_clock_of_redis_was_put_back_jobs_of_dead_workers_do_not_wait_until_it_is_where_it_was(
    store, submit, upkeep
):
    rounds(upkeep, 5)
    submit(1, 1)
    submit(2, 1)
    dead, alive = [store.claim(["restore"], worker="w", lease_s=LEASE_S) for _ in range(2)]
    put_clock_back(store, by_s=4000)
    for _ in range(6):
        assert store.renew(alive, lease_s=5, progress=0.5) == (None, 0)
        rounds(upkeep, 1)
    assert [store.get(job.id).state for job in (dead, alive)] == [JobState.QUEUED, JobState.RUNNING]


def test_when_the_clock_was_put_back_what_is_aside_and_who_is_to_be_told_come_up_all_the_same(store, submit):
    submit(1, 1)
    store.release(store.claim(["restore"], worker="w", lease_s=5), blameless=True, aside_s=3000)
    submit(2, 1)
    failed = store.claim(["restore"], worker="w", lease_s=5)
    store.finish(failed, JobState.FAILED, error="internal")
    assert (store.sweep(longest_run_s=100), store.take_untold()) == (([], []), [])
    put_clock_back(store, by_s=4000)
    assert store.sweep(longest_run_s=100) == (["restore"], [])
    assert [job.id for job in store.take_untold()] == [failed.id]


class StoreWithAClock(JobStore):
    """Redis's clock can be put forward, for whoever looks at it."""

    ahead_s = 0.0

    def clock_s(self):
        return super().clock_s() + self.ahead_s


def test_when_the_clock_was_put_forward_holders_have_a_lease_of_time_to_renew_theirs(store, submit, bell):
    store = StoreWithAClock(store.redis)
    upkeep = Upkeep(store, ring=bell, lease_s=LEASE_S, longest_run_s=100)
    submit(1, 1)
    job = store.claim(["restore"], worker="w", lease_s=30)
    rounds(upkeep, 5)
    store.ahead_s = 3600
    put_clock_back(store, by_s=-3600)
    store.redis.hincrby(f"restora:job:{job.id}", "started_ms", -3_600_000)
    rounds(upkeep, 1)
    assert store.renew(job, lease_s=30, progress=0.5) == (None, 0)
    rounds(upkeep, 5)
    assert store.get(job.id).state is JobState.RUNNING


def test_a_job_nobody_heard_of_is_rung_for(store, submit, upkeep, bell, monkeypatch):
    monkeypatch.setattr(janitor, "UNHEARD_AFTER_S", 0.1)
    submit(1, 1)
    submit(2, 1)
    upkeep.make_round(("restore",))
    assert bell == []
    time.sleep(0.15)
    upkeep.make_round(("restore", "gpu"))
    assert bell == ["restore", "restore"]


def test_while_hints_lie_in_the_broker_nobody_rings(store, submit, upkeep, bell, monkeypatch):
    monkeypatch.setattr(janitor, "UNHEARD_AFTER_S", 0.0)
    submit(1, 1)
    store.redis.rpush("restore", "{}")
    upkeep.make_round(("restore",))
    assert bell == []


def announce_worker(store, *, queues=("restore",), idle_s):
    store.announce(WorkerCard(name="w", queues=queues, device="cpu", dtype="float32", idle_s=idle_s))


def test_where_a_worker_idles_and_more_jobs_wait_than_hints_it_is_rung_for_the_rest(store, submit, upkeep, bell):
    announce_worker(store, idle_s=janitor.IDLE_S)
    for user in (1, 2, 3):
        submit(user, 1)  # so the head is young
    store.redis.rpush("restore", "{}")
    upkeep.make_round(("restore",))
    assert bell == ["restore", "restore"]


@pytest.mark.parametrize(("queues", "idle_s"), [(("restore",), 0.5), (("gpu",), 100.0)])
def test_for_young_jobs_nobody_rings_while_those_who_serve_them_are_busy(store, submit, upkeep, bell, queues, idle_s):
    announce_worker(store, queues=queues, idle_s=idle_s)
    submit(1, 1)
    upkeep.make_round(("restore",))
    assert bell == []


def test_jobs_leave_the_gpu_queue_only_when_nobody_has_served_it_for_minutes(store, submit, upkeep):
    submit(1, 1, queue="gpu")
    store.announce(WorkerCard(name="g", queues=("gpu",), device="cuda:0", dtype="float16"))
    store.withdraw("g")
    upkeep.make_round(("restore",))
    assert store.waiting("gpu") == 1
    store.redis.delete("restora:served:gpu")  # as after five minutes
    upkeep.make_round(("restore",))
    assert (store.waiting("gpu"), store.waiting("restore")) == (0, 1)


@pytest.fixture
def deaf_worker(store, monkeypatch):
    monkeypatch.setattr(health, "DEAF_AFTER_S", 0.1)
    monkeypatch.setattr(janitor, "LEAVES_WHEN_DEAF_FOR_S", 0.3)
    monkeypatch.setattr(janitor, "FORCED_AFTER_S", 0.3)
    card = WorkerCard(name="w", queues=("restore",), device="cpu", dtype="float32", idle_s=1.0)
    left = []
    made = Janitor(
        store, Chat(), card=lambda: card, ring=lambda _: None, lease_s=LEASE_S, longest_run_s=100, leave=left.append
    )
    return made, left


def test_a_worker_that_does_not_hear_of_waiting_jobs_ends_and_is_ended_if_it_cannot(submit, deaf_worker):
    made, left = deaf_worker
    submit(1, 1)
    began = time.monotonic()
    while not left:
        made._keep_house()
        time.sleep(0.02)
    assert (left, time.monotonic() - began >= 0.4) == ([False], True)
    while len(left) == 1:
        made._keep_house()
        time.sleep(0.02)
    assert (left, time.monotonic() - began >= 0.7) == ([False, True], True)


def test_an_idle_worker_stays_as_long_as_nothing_waits_for_it(store, submit, deaf_worker):
    made, left = deaf_worker
    for message in range(3):
        time.sleep(0.2)  # longer than a job may wait, shorter than a worker may be deaf
        made._keep_house()
        submit(1, message)
        made._keep_house()
        store.claim(["restore"], worker="another", lease_s=5)
    assert left == []


class Chat:
    """A door that writes down what is shown, and may have something happen meanwhile."""

    def __init__(self, meanwhile=lambda: None):
        self.shown = []
        self.meanwhile = meanwhile
        self.takes_edits = True

    def show(self, job, text, *, cancellable):
        assert cancellable
        if self.takes_edits:
            self.shown.append((job.id, text))
            self.meanwhile()
        return self.takes_edits

    settle = lambda self, job, text: self.shown.append((job.id, text))  # noqa: E731 - the same, said for good
    tell = settle


def test_waiting_users_see_their_place_change_and_nothing_else(store, submit):
    for user in (1, 2, 3):
        submit(user, 1)
    chat = Chat()
    messenger = Messenger(store, chat)
    messenger.show_places(("restore",))
    messenger.show_places(("restore",))
    assert chat.shown == []
    store.claim(["restore"], worker="w", lease_s=5)
    messenger.show_places(("restore",))
    assert [job_id for job_id, _ in chat.shown] == ["9:2:1", "9:3:1"]
    assert "next in the queue" in chat.shown[0][1]


def test_a_place_that_could_not_be_shown_is_shown_as_soon_as_it_can_be(store, submit):
    for user in (1, 2):
        submit(user, 1)
    chat = Chat()
    messenger = Messenger(store, chat)
    messenger.show_places(("restore",))
    store.claim(["restore"], worker="w", lease_s=5)
    chat.takes_edits = False
    for _ in range(2):
        messenger.show_places(("restore",))
    assert chat.shown == []
    chat.takes_edits = True
    for _ in range(2):
        messenger.show_places(("restore",))
    assert [job_id for job_id, _ in chat.shown] == ["9:2:1"]


def test_a_job_that_came_back_shows_its_place_and_its_progress_no_more(store, submit):
    submit(1, 1)
    chat = Chat()
    messenger = Messenger(store, chat)
    job = store.claim(["restore"], worker="w", lease_s=5)
    messenger.show_places(("restore",))
    store.release(job, blameless=True)
    for _ in range(2):
        messenger.show_places(("restore",))
    assert chat.shown == [("9:1:1", Texts("en").queued(QueuePlace(place=1, wait_s=None)))]


def test_places_in_a_queue_are_shown_by_workers_that_do_not_serve_it(store, submit):
    for user in (1, 2):
        submit(user, 1, queue="gpu")
    chat, card = Chat(), WorkerCard(name="w", queues=("restore",), device="cpu", dtype="float32")
    made = Janitor(store, chat, card=lambda: card, ring=lambda _: None, lease_s=LEASE_S, longest_run_s=100)
    made._tell()
    store.claim(["gpu"], worker="g", lease_s=5)
    made._tell()
    assert [job_id for job_id, _ in chat.shown] == ["9:2:1"]


def test_whom_shorter_work_has_passed_sees_that_too(store, submit, monkeypatch):
    monkeypatch.setattr(janitor, "PLACES_SHOWN", 3)
    chat = Chat()
    messenger = Messenger(store, chat)
    for user in (1, 2, 3):
        submit(user, 1, pixels=8_000_000)
    messenger.show_places(("restore",))
    for user in (4, 5):
        submit(user, 1)
    for _ in range(2):
        messenger.show_places(("restore",))
    store.claim(["restore"], worker="w", lease_s=100)
    messenger.show_places(("restore",))
    shown = [(1, 3), (2, 4), (3, 5), (5, 1), (1, 2), (2, 3), (3, 4)]
    words = Texts("en")
    assert chat.shown == [(f"9:{user}:1", words.queued(QueuePlace(place=place, wait_s=None))) for user, place in shown]


def test_a_job_cancelled_while_its_place_is_written_does_not_look_alive(store, submit):
    for user in (1, 2):
        submit(user, 1)
    chat = Chat(meanwhile=lambda: store.cancel_all(2))
    messenger = Messenger(store, chat)
    messenger.show_places(("restore",))
    store.claim(["restore"], worker="w", lease_s=5)
    messenger.show_places(("restore",))
    assert chat.shown[-1] == ("9:2:1", Texts("en").cancelled())


def test_owners_of_cancelled_jobs_are_told_where_the_bot_died_before_it_could(store, submit):
    submit(1, 1)
    store.cancel_all(1)
    chat = Chat()
    Messenger(store, chat).apologise_for_others()
    assert chat.shown == []  # the bot has a minute for it
    store.redis.zadd("restora:untold", {"9:1:1": 0})
    for _ in range(2):
        Messenger(store, chat).apologise_for_others()
    assert chat.shown == [("9:1:1", Texts("en").cancelled())]


def test_nothing_is_written_about_jobs_of_another_bot_whose_numbers_mean_other_messages(store, submit):
    ours = JobStore(store.redis, bot_id=8)
    for user in (1, 2):
        submit(user, 1)
    submit(3, 1)
    store.cancel_all(3)
    store.redis.zadd("restora:untold", {"9:3:1": 0})
    chat = Chat()
    messenger = Messenger(ours, chat)
    messenger.show_places(("restore",))
    store.claim(["restore"], worker="w", lease_s=5)
    messenger.show_places(("restore",))
    messenger.apologise_for_others()
    assert chat.shown == []
    store.redis.zadd("restora:untold", {"9:3:1": 0})
    Messenger(JobStore(store.redis, bot_id=9), chat).apologise_for_others()
    assert chat.shown == [("9:3:1", Texts("en").cancelled())]


def test_owners_of_jobs_whose_workers_died_are_told_once(store, submit):
    submit(1, 1)
    job = store.claim(["restore"], worker="w", lease_s=5)
    store.finish(job, JobState.FAILED, error="timeout")
    store.redis.zadd("restora:untold", {job.id: 0})
    chat = Chat()
    messenger = Messenger(store, chat)
    messenger.apologise_for_others()
    messenger.apologise_for_others()
    assert chat.shown == [("9:1:1", last_word(store.get("9:1:1")))] == [("9:1:1", Texts("en").failed("timeout"))]
