"""The bot's messages wait for their turn: the important ones first, and no chat for another."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.turnstile import SilenceError, Turnstile
from tasks.budget import Importance, SendBudget

ANSWER, REST = Importance.ANSWER, Importance.REST


@pytest.fixture
def budget():
    return SendBudget(None, bot_id=1, messages_per_s=20.0)


async def passing(turnstile, chats, importance, order):
    async def one(chat):
        await turnstile.let_pass(chat, importance)
        order.append((importance, chat))

    return [asyncio.create_task(one(chat)) for chat in chats]


async def test_answers_pass_edits_that_came_before_them(budget):
    turnstile, order = Turnstile(budget, longest_wait_s=5), []
    edits = await passing(turnstile, range(1, 11), REST, order)
    await asyncio.sleep(0.05)
    answers = await passing(turnstile, range(101, 109), ANSWER, order)
    await asyncio.gather(*edits, *answers)
    last_answer = max(place for place, (importance, _) in enumerate(order) if importance is ANSWER)
    behind = [importance for importance, _ in order[last_answer + 1 :]]
    assert len(behind) >= 4  # what the edits got before is what there was to spare
    assert [chat for importance, chat in order if importance is ANSWER] == list(range(101, 109))


async def test_all_that_pass_together_keep_to_the_rate(budget):
    turnstile, order = Turnstile(budget, longest_wait_s=5), []
    began = time.monotonic()
    await asyncio.gather(*await passing(turnstile, range(1, 31), ANSWER, order))
    assert time.monotonic() - began > (30 - 4 - 1) / 20  # all but the burst, one after the other
    assert len(order) == 30


async def test_a_silent_chat_holds_up_no_other(budget):
    turnstile, order = Turnstile(budget, longest_wait_s=5), []
    await turnstile.silence(1, 0.6)
    waiting = await passing(turnstile, [1], ANSWER, order)
    await asyncio.gather(*await passing(turnstile, [2, 3], ANSWER, order))
    assert order == [(ANSWER, 2), (ANSWER, 3)]
    await asyncio.gather(*waiting)


async def test_nobody_waits_for_a_silence_that_is_too_long(budget):
    turnstile = Turnstile(budget, longest_wait_s=5)
    await turnstile.silence(1, 60)
    with pytest.raises(SilenceError) as caught:
        await turnstile.let_pass(1, ANSWER)
    assert 55 < caught.value.silence_s <= 60


async def test_who_gives_up_waiting_takes_nobodys_turn(budget):
    turnstile = Turnstile(budget, longest_wait_s=5)
    await turnstile.silence(1, 0.2)
    given_up = asyncio.create_task(turnstile.let_pass(1, ANSWER))
    await asyncio.sleep(0.05)
    given_up.cancel()
    await asyncio.sleep(0.3)
    await asyncio.wait_for(turnstile.let_pass(1, ANSWER), 1)


async def test_a_turn_that_is_given_back_is_the_next_ones_in_that_chat_and_no_others(budget):
    turnstile, order = Turnstile(budget, longest_wait_s=5), []
    for _ in range(4):  # the fifth is kept for a result
        await turnstile.let_pass(1, ANSWER)
    turnstile.give_back(1)
    began = time.monotonic()
    await turnstile.let_pass(1, ANSWER)
    assert time.monotonic() - began < 0.5
    await asyncio.gather(*await passing(turnstile, [1], ANSWER, order))
    assert time.monotonic() - began > 0.8
    turnstile.give_back(1)
    await turnstile.silence(1, 60)
    with pytest.raises(SilenceError):
        await turnstile.let_pass(1, ANSWER)
