"""A Redis that is away is noted once for all, and asked whether it is back by nobody who has something else to do."""

from __future__ import annotations

import os
import signal
import time

import pytest
from redis import RedisError

from dev.redis_server import running_redis
from tasks import absence as module
from tasks.absence import Absence
from tasks.budget import Importance, SendBudget
from tasks.store import connect

TIMEOUT_S = 0.3


@pytest.fixture(scope="module")
def server():
    with running_redis() as server:
        yield server


@pytest.fixture
def redis(server):
    redis = connect(server.url, timeout_s=TIMEOUT_S)
    redis.ping()
    yield redis
    redis.close()


def fail(redis, absence, call="ping"):
    began = time.monotonic()
    with pytest.raises(RedisError) as raised:
        redis.execute_command(*call.split())
    absence.note(raised.value, since=began)


def wait_until_over(absence):
    deadline = time.monotonic() + 2
    while absence.lasts:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_one_has_found_out_nobody_else_waits_for_and_it_ends_when_redis_answers(server, redis):
    absence = Absence(redis)
    budget = SendBudget(redis, bot_id=9, absence=absence)
    assert not absence.lasts
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        fail(redis, absence)
        assert absence.lasts
        assert TIMEOUT_S <= absence.silent_for_s < 2 * TIMEOUT_S
        began = time.monotonic()
        assert budget.ask(1, Importance.ANSWER).granted
        assert budget.silence_s(1) == 0.0
        assert time.monotonic() - began < TIMEOUT_S
        time.sleep(2 * TIMEOUT_S)
        assert absence.lasts  # it is over when Redis answers, not when some time has passed
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    wait_until_over(absence)
    assert absence.silent_for_s is None


def test_another_call_is_worth_while_as_long_as_it_can_end_before_patience_does(server, redis):
    absence = Absence(redis)
    assert not absence.outlasts(0.0)
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        fail(redis, absence)
        assert not absence.outlasts(3 * TIMEOUT_S)
        assert absence.outlasts(1.5 * TIMEOUT_S)
        time.sleep(1.5 * TIMEOUT_S)
        assert absence.outlasts(3 * TIMEOUT_S)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    wait_until_over(absence)


def test_a_refusal_is_no_silence_and_left_alone_for_a_moment(redis, monkeypatch):
    monkeypatch.setattr(module, "LEFT_ALONE_S", 0.2)
    absence = Absence(redis)
    fail(redis, absence, "nonsense")
    assert absence.lasts
    assert absence.silent_for_s is None
    assert not absence.outlasts(0.0)
    time.sleep(0.25)
    assert not absence.lasts
