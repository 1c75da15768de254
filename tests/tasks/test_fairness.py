"""Who is next: the shortest work within fairness, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.messages import JobState, WorkerCard
from tasks.waiting import LEAST_COST, MOST_COST, cost_of
from tests.tasks.conftest import UNLIMITED, wish

STICKER, PHOTO, SCAN = 512 * 512, 1280 * 960, 3840 * 2160
TURNS = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
some_pixels = st.sampled_from([STICKER, PHOTO, 2_500_000, SCAN])


def take(store, *queues):
    return store.claim(queues or ("restore",), worker="w", lease_s=1000)


def owners(store, most=10**6):
    """Whose pictures come next, and of how many pixels."""
    taken = []
    while len(taken) < most and (job := take(store)) is not None:
        taken.append((job.user_id, job.pixels))
    return taken


class Crowd:
    """People who hand in pictures."""

    def __init__(self, store):
        store.redis.flushdb()
        self.store = store
        self.messages = 0
        self.newest = 1000

    def send(self, user, pixels, **options):
        self.messages += 1
        return self.store.submit(wish(user, self.messages, pixels=pixels, **options), **UNLIMITED).job

    def newcomer_sends(self, pixels):
        self.newest += 1
        return self.send(self.newest, pixels)


@pytest.mark.parametrize("pixels", [0, 1, 10**5, STICKER, PHOTO, SCAN, 10**9])
def test_a_picture_costs_something_and_not_too_much(pixels):
    assert LEAST_COST <= cost_of(pixels) <= MOST_COST


def test_what_is_between_costs_what_it_is():
    assert cost_of(2_000_000) == 2 * cost_of(1_000_000)


@pytest.mark.parametrize("people", [1, 2, 40])
@pytest.mark.parametrize("taken", [0, 1, 7])
def test_a_sticker_does_not_wait_behind_forty_scans(store, people, taken):
    crowd = Crowd(store)
    for number in range(40):
        crowd.send(1 + number % people, SCAN)
    owners(store, most=taken)
    crowd.newcomer_sends(STICKER)
    assert take(store).user_id == crowd.newest


@pytest.mark.parametrize("pixels", [STICKER, SCAN])
@pytest.mark.parametrize("workers", [1, 3])
def test_beside_two_hundred_pictures_of_one_user_everybody_else_is_served_within_one_job(store, pixels, workers):
    crowd = Crowd(store)
    for _ in range(200):
        crowd.send(1, pixels)
    for before in (0, 1, 2, 5, 30):
        owners(store, most=before + workers)
        crowd.newcomer_sends(pixels)
        assert crowd.newest in [user for user, _ in owners(store, most=2)]


@pytest.mark.parametrize("stickers", [1, 6])
def test_an_endless_stream_of_stickers_of_newcomers_keeps_no_scan_waiting_for_ever(store, stickers):
    crowd = Crowd(store)
    for _ in range(stickers):
        crowd.newcomer_sends(STICKER)
    scan = crowd.send(1, SCAN)
    # As much work as the scan makes is done for each of those beside it; and the longer it waits, the more they are.
    ratio = MOST_COST / LEAST_COST
    for _ in range(int(2 * ratio * (ratio + stickers))):
        crowd.newcomer_sends(STICKER)
        if take(store).id == scan.id:
            break
    else:
        pytest.fail("not taken")


@TURNS
@given(sent=st.lists(st.tuples(st.integers(1, 4), some_pixels), min_size=2, max_size=40), share=st.floats(0.2, 0.9))
def test_users_who_all_have_pictures_left_got_the_same_work_done(store, sent, share):
    crowd = Crowd(store)
    left = Counter()
    for user, pixels in sent:
        crowd.send(user, pixels)
        left[user] += 1
    done = Counter(dict.fromkeys(left, 0.0))
    for user, pixels in owners(store, most=int(len(sent) * share)):
        done[user] += cost_of(pixels)
        left[user] -= 1
    waiting = [work for user, work in done.items() if left[user]]
    assert max(waiting, default=0) - min(waiting, default=0) <= MOST_COST


@TURNS
@given(sent=st.lists(some_pixels, min_size=2, max_size=12), others=st.lists(some_pixels, max_size=12))
def test_ones_own_pictures_are_done_in_the_order_they_came_whatever_their_sizes(store, sent, others):
    crowd = Crowd(store)
    ids = []
    for number, pixels in enumerate(sent):
        ids.append(crowd.send(1, pixels).id)
        for other in others[number : number + 1]:
            crowd.newcomer_sends(other)
        if number % 3 == 2 and (job := take(store)).id in ids:
            assert job.id == ids.pop(0)
    own = []
    while (job := take(store)) is not None:
        own += [job.id] if job.user_id == 1 else []
    assert own == ids


@TURNS
@given(sent=st.lists(st.tuples(st.integers(1, 5), some_pixels), min_size=1, max_size=25), taken=st.integers(0, 10))
def test_the_place_that_is_told_is_the_turn_in_which_a_picture_is_taken(store, sent, taken):
    crowd = Crowd(store)
    jobs = [crowd.send(user, pixels) for user, pixels in sent]
    owners(store, most=taken)
    told = {job.id: place.place for job in jobs if (place := store.place(job)) is not None}
    assert [job_id for job_id, _ in sorted(told.items(), key=lambda told_: told_[1])] == [
        job.id for job in iter(lambda: take(store), None)
    ]


def test_the_wait_that_is_told_counts_the_large_pictures_behind_the_small_ones(store, monkeypatch):
    monkeypatch.setattr("tasks.store.JOBS_LOOKED_AT", 10)
    estimates = ((STICKER, 1.0), (SCAN, 20.0))
    crowd = Crowd(store)
    store.announce(WorkerCard(name="a:1", queues=("restore",), device="cpu", dtype="float32", estimates=estimates))
    jobs = [crowd.newcomer_sends(pixels) for pixels in [SCAN] * 20 + [STICKER] * 20]
    last = store.place(jobs[19])
    assert last.place == 40
    assert last.wait_s == pytest.approx(20 * 1.0 + 20 * 20.0, rel=0.2)


def test_cancelling_nineteen_of_twenty_gives_their_turns_back(store):
    crowd = Crowd(store)
    jobs = [crowd.send(1, SCAN) for _ in range(20)]
    for _ in range(6):
        crowd.send(2, SCAN)
    held = take(store)
    assert held.id == jobs[0].id
    for job in jobs[1:]:
        store.cancel(1, job.id)
    crowd.send(1, SCAN)
    assert [user for user, _ in owners(store, most=3)] == [2, 2, 1]  # as if the nineteen had never been there


def test_a_press_that_cancels_nothing_wipes_out_no_debt(store):
    crowd = Crowd(store)
    served = crowd.send(1, SCAN)
    for user in (2, 3):
        crowd.send(user, SCAN)
    assert take(store).id == served.id
    store.finish(store.get(served.id), JobState.DONE)
    before = store.redis.zscore("restora:turns", 1)
    store.cancel(1, served.id)
    assert before is not None
    assert store.redis.zscore("restora:turns", 1) == before


def test_a_picture_cancelled_between_others_lets_no_later_one_pass_them(store):
    crowd = Crowd(store)
    jobs = [crowd.send(1, pixels) for pixels in (SCAN, SCAN, SCAN, STICKER)]
    store.cancel(1, jobs[1].id)
    last = crowd.send(1, STICKER)
    assert [take(store).id for _ in range(4)] == [jobs[0].id, jobs[2].id, jobs[3].id, last.id]


def test_a_picture_given_back_is_the_next_one_and_costs_nobody_a_second_turn(store):
    crowd = Crowd(store)
    for _ in range(3):
        crowd.send(1, SCAN)
        crowd.send(2, SCAN)
    held = take(store)
    for _ in range(30):  # handed back again and again, as by workers that are stopped
        store.release(held, blameless=True)
        again = take(store)
        assert again.id == held.id
        held = again
    crowd.send(3, SCAN)
    assert 3 in [user for user, _ in owners(store, most=3)]


def test_a_queue_that_never_empties_remembers_nobody_for_ever(store):
    crowd = Crowd(store)
    for _ in range(10):
        crowd.newcomer_sends(PHOTO)
    for _ in range(300):
        crowd.newcomer_sends(PHOTO)
        take(store)
    assert store.redis.zcard("restora:turns") <= 30


def test_moving_to_another_queue_changes_no_turn(store):
    crowd = Crowd(store)
    for number in range(230):  # more than are moved at once
        crowd.send(1 + number % 7, (STICKER, PHOTO, SCAN)[number % 3], queue="gpu")
    before = [job.id for job in store.first_waiting("gpu", 1000)]
    assert store.reroute("gpu", "restore") == 230
    assert [job.id for job in store.first_waiting("restore", 1000)] == before
    assert {store.get(job_id).queue for job_id in before} == {"restore"}


def test_restart_with_hundreds_of_jobs_stops_them_all_and_nobody_elses(store):
    crowd = Crowd(store)
    for _ in range(250):
        crowd.send(1, PHOTO)
    other = crowd.send(2, PHOTO)
    held = take(store)
    met = store.cancel_all(1)
    assert Counter(one.was for one in met) == {JobState.QUEUED: 249, JobState.RUNNING: 1}
    assert {one.job.state for one in met} == {JobState.CANCELLED}
    assert held.id in {one.job.id for one in met}
    assert [job.id for job in store.first_waiting("restore", 10)] == [other.id]
    assert store.redis.zscore("restora:turns", 1) == pytest.approx(cost_of(PHOTO))  # of the one that was taken
