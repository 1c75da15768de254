"""The send budget: what Telegram allows is used and not passed, whoever sends, and what matters goes first."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dev.redis_server import running_redis
from tasks import budget as module
from tasks.budget import GROUP, PRIVATE_CHAT, Importance, OwnCount, SendBudget, is_counted
from tasks.store import connect

BOT = 9
RESULT, ANSWER, REST, PROGRESS = Importance.RESULT, Importance.ANSWER, Importance.REST, Importance.PROGRESS


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def sent_at(count, clock, chat_of, importance, *, for_s):
    """When messages leave that somebody always has ready, by the clock."""
    times = []
    end = clock.now + for_s
    number = 0
    while clock.now < end:
        turn = count.ask(chat_of(number), importance)
        if turn.granted:
            times.append(clock.now + turn.wait_s)
            number += 1
        else:
            clock.now += max(turn.wait_s, 1e-6)
    return times


def most_within(times, window_s):
    """The largest number of messages in any window."""
    times = sorted(times)
    return max(sum(1 for other in times if one <= other < one + window_s - 1e-6) for one in times)


@pytest.mark.parametrize("importance", list(Importance))
@pytest.mark.parametrize("per_s", [1.0, 25.0, 300.0])
def test_no_second_sees_more_than_a_fifth_above_the_rate_and_all_of_it_is_used(importance, per_s):
    clock = Clock()
    times = sent_at(OwnCount(per_s, clock=clock), clock, lambda number: 10 + number, importance, for_s=5.0)
    assert most_within(times, 1.0) <= max(per_s * 1.2, per_s + 1)
    assert len(times) >= per_s * 4.5


def test_a_private_chat_gets_one_a_second_after_a_short_burst():
    clock = Clock()
    times = sent_at(OwnCount(clock=clock), clock, lambda _: 1, RESULT, for_s=30.0)
    assert most_within(times, 0.5) == PRIVATE_CHAT.burst
    assert len(times) <= PRIVATE_CHAT.burst + 30 + 2


def test_no_minute_in_a_group_sees_more_than_twenty():
    clock = Clock()
    times = sent_at(OwnCount(clock=clock), clock, lambda _: -100, RESULT, for_s=300.0)
    assert 19 <= most_within(times, 60.0) <= 20
    assert most_within(times, 1.0) == GROUP.burst


def test_one_chats_burst_leaves_the_others_alone():
    count = OwnCount(100.0, clock=Clock())
    while count.ask(1, RESULT).granted:
        pass
    assert count.ask(1, RESULT).by_chat
    turn = count.ask(2, RESULT)
    assert turn.granted
    assert turn.wait_s < 0.1


def test_progress_is_dropped_where_a_result_still_has_room():
    count = OwnCount(100.0, clock=Clock())
    assert [count.ask(1, PROGRESS).granted for _ in range(4)] == [True, True, True, False]
    assert [count.ask(1, RESULT).wait_s for _ in range(2)] == [0.0, 0.0]  # and the word that it is there


def after_answers(number, importance):
    """The turn that a message gets after so many answers in the same moment."""
    count = OwnCount(25.0, clock=Clock())
    for chat in range(number):
        assert count.ask(100 + chat, ANSWER).granted
    return count.ask(999, importance)


def test_what_is_wanted_at_once_takes_no_turn_that_is_still_to_come():
    count = OwnCount(100.0, clock=Clock())
    for _ in range(PRIVATE_CHAT.burst):
        assert count.ask(1, RESULT, at_once=True).granted
    assert not count.ask(1, RESULT, at_once=True).granted
    turn = count.ask(1, RESULT)
    assert (turn.granted, turn.by_chat, turn.wait_s) == (False, True, pytest.approx(PRIVATE_CHAT.gap_s - 1.0))


def test_in_its_own_chat_a_result_passes_the_answers_to_an_album():
    count = OwnCount(100.0, clock=Clock())
    answers = [count.ask(1, ANSWER) for _ in range(6)]
    assert [turn.wait_s for turn in answers if turn.granted] == [0.0] * 4
    result = count.ask(1, RESULT)
    assert (result.granted, result.wait_s) == (True, 0.0)
    assert not count.ask(1, ANSWER).granted


def test_when_the_budget_is_short_first_answers_go_before_results_and_those_before_the_rest():
    def first_to_wait(importance):
        turns = (after_answers(number, importance) for number in range(10))
        return next(number for number, turn in enumerate(turns) if not turn.granted or turn.wait_s)

    assert first_to_wait(PROGRESS) < first_to_wait(REST) < first_to_wait(RESULT) < first_to_wait(ANSWER) == 5
    assert [after_answers(10, kind).granted for kind in (PROGRESS, REST)] == [False, False]
    assert after_answers(10, ANSWER).wait_s < after_answers(10, RESULT).wait_s


def test_what_has_waited_for_two_seconds_waits_no_longer_than_the_answers_that_come_now():
    clock = Clock()
    count = OwnCount(25.0, clock=clock)
    for number in range(18):
        count.ask(100 + number, ANSWER)  # more than the budget has
    assert not count.ask(1, REST, waited_s=1.0).granted
    assert count.ask(1, REST, waited_s=2.0).granted


def test_results_get_through_a_flood_of_answers_that_never_ends():
    clock = Clock()
    count = OwnCount(25.0, clock=clock)
    results, since = [], clock.now
    for number in range(60 * 40):  # forty answers a second, for a minute
        clock.now += 1 / 40
        count.ask(1000 + number, ANSWER)
        if count.ask(5, RESULT, waited_s=clock.now - since).granted:
            results.append(clock.now - since)
            since = clock.now
    assert len(results) >= 20
    assert max(results) < 4.0


def test_a_chat_that_wants_silence_gets_it_and_others_do_not():
    clock = Clock()
    count = OwnCount(clock=clock)
    count.silence(1, 30.0)
    count.silence(1, 5.0)  # a shorter one does not end a longer one
    assert count.silence_s(1) == 30.0
    turn = count.ask(1, ANSWER)
    assert (turn.granted, turn.wait_s, turn.by_chat) == (False, 30.0, True)
    assert count.ask(2, ANSWER).granted
    clock.now += 30.0
    assert count.ask(1, ANSWER).granted


def test_chats_of_long_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "CHATS_KEPT", 10)
    clock = Clock()
    count = OwnCount(1000.0, clock=clock)
    for number in range(200):
        count.ask(1 + number, RESULT)
        clock.now += 1.0
    assert len(count._whole_at) <= 12


@pytest.fixture
def shared(store):
    """Makes the budget of one more process."""
    return lambda **options: SendBudget(store.redis, bot_id=BOT, **options)


asks = st.tuples(
    st.sampled_from([1, 2, -3]),
    st.sampled_from(list(Importance)),
    st.sampled_from([0.0, 5.0]),
    st.integers(0, 3),
    st.booleans(),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(questions=st.lists(asks, max_size=25), per_s=st.sampled_from([0.2, 1.0]))
def test_redis_counts_as_a_process_does_by_itself(store, questions, per_s):
    """At so slow a pace, the milliseconds between the two counts decide nothing."""
    store.redis.flushdb()
    budget, own = SendBudget(store.redis, bot_id=BOT, messages_per_s=per_s), OwnCount(per_s)
    for chat, importance, waited_s, silence_s, at_once in questions:
        if silence_s == 3:
            budget.silence(chat, silence_s)
            own.silence(chat, silence_s)
        there, here = (count.ask(chat, importance, waited_s=waited_s, at_once=at_once) for count in (budget, own))
        assert (there.granted, there.by_chat) == (here.granted, here.by_chat)
        assert there.wait_s == pytest.approx(here.wait_s, abs=0.4)


def test_eight_processes_together_send_no_more_than_one_may(shared):
    allowed = []

    def send(budget, first_chat):
        turns = [budget.ask(first_chat + number, RESULT) for number in range(6)]
        allowed.extend(turn for turn in turns if turn.granted and turn.wait_s == 0)

    threads = [
        threading.Thread(target=send, args=(shared(messages_per_s=1.0), 100 * (1 + number))) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 1


def test_a_429_of_one_process_silences_the_chat_for_all(shared):
    shared().silence(1, 30.0)
    other = shared()
    assert 29.0 < other.silence_s(1) <= 30.0
    assert not other.ask(1, ANSWER).granted
    assert other.silence_s(2) == 0.0
    assert other.ask(2, ANSWER).granted


def test_bots_that_share_a_redis_share_no_budget(store, shared):
    shared().silence(1, 30.0)
    assert SendBudget(store.redis, bot_id=BOT + 1).ask(1, ANSWER).granted


def test_nothing_of_a_chat_is_kept_once_its_budget_is_whole(store, shared):
    budget = shared()
    for _ in range(4):
        budget.ask(1, RESULT)
    budget.ask(-5, RESULT)
    assert store.redis.pttl(f"restora:sending:{BOT}:1") <= 4200
    assert store.redis.pttl(f"restora:sending:{BOT}:-5") <= 4000
    budget.silence(2, 0.05)
    time.sleep(0.1)
    assert not store.redis.keys(f"restora:silence:{BOT}:*")


def test_a_clock_that_was_put_back_silences_nobody(store, shared):
    shared().ask(1, RESULT)
    over_all, in_chat = sorted(store.redis.keys(f"restora:sending:{BOT}*"))
    for key in (over_all, in_chat):
        store.redis.set(key, str((time.time() + 3600) * 1000))
    assert shared().ask(1, RESULT).wait_s < 10


def test_without_redis_sending_goes_on_by_the_count_of_the_process():
    with running_redis() as server:
        redis = connect(server.url, timeout_s=0.5)
        budget = SendBudget(redis, bot_id=BOT)
        assert [budget.ask(1, RESULT).granted for _ in range(4)] == [True] * 4
        server.stop()
        began = time.monotonic()
        assert budget.ask(1, RESULT).wait_s == 0.0  # the fifth of the burst: those that Redis counted, count
        assert not budget.ask(1, RESULT, at_once=True).granted
        budget.silence(7, 30.0)
        assert budget.silence_s(7) > 29.0
        assert budget.ask(8, RESULT).granted
        assert time.monotonic() - began < 3.0
        server.start()
        time.sleep(0.25)
        assert budget.ask(9, RESULT).granted
        assert redis.keys(f"restora:sending:{BOT}:*")
        redis.close()


def test_a_full_redis_does_not_stop_the_sending(store, shared):
    store.redis.config_set("maxmemory", 1)
    try:
        assert shared().ask(1, RESULT).granted
    finally:
        store.redis.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    ("method", "counted"),
    [
        ("sendMessage", True),
        ("sendDocument", True),
        ("editMessageText", True),
        ("editMessageMedia", True),
        ("copyMessage", True),
        ("sendChatAction", False),
        ("deleteMessage", False),
        ("answerCallbackQuery", False),
        ("getUpdates", False),
        ("setMyCommands", False),
    ],
)
def test_what_shows_in_a_chat_counts(method, counted):
    assert is_counted(method) is counted
