"""A Redis that is full, silent or gone: one update may not hold everybody up, and the next ones not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bot.texts import BotTexts
from tests.bot.test_conversations import job_of, jpeg
from tests.bot.test_floods import answers_to, quiet
from tests.tasks.conftest import UNLIMITED, wish

pytestmark = pytest.mark.asyncio(loop_scope="session")

en = BotTexts("en")


@pytest.fixture(autouse=True)
def _nobody_waits(world):
    world.stack.store.redis.flushdb()


@contextmanager
def full(world):
    world.stack.store.redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        world.stack.store.redis.config_set("maxmemory", "0")


@contextmanager
def silent(world):
    server = world.stack.redis.process
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.parametrize("broken", [full, silent])
async def test_ten_pictures_that_redis_does_not_take_keep_nobody_elses_help_waiting(world, broken):
    people = [world.telegram.user(f"Person {number}") for number in range(10)]
    other = world.telegram.user("Other")
    with broken(world):
        began = time.monotonic()
        for person in people:
            await person.sends_photo(jpeg())
        await other.sends_text("/help")
        await other.receives_text(containing="/restart", timeout=9)
        took_s = time.monotonic() - began
        for person in people:
            assert (await person.receives_text(timeout=9)).text == en.try_again()
    assert took_s < 9  # one wait of five seconds, and no second one
    await asyncio.sleep(0.5)
    await other.sends_photo(jpeg())  # and is taken, the wait of before notwithstanding
    await other.receives_text(containing="queue")


async def test_a_picture_that_a_frozen_redis_takes_in_late_gets_its_status_message(world):
    user = world.telegram.user("Late")
    with silent(world):
        photo = await user.sends_photo(jpeg())
        assert (await user.receives_text(timeout=6)).text == en.try_again()
    # As Redis does if the bot had an open connection left to write to, which is for chance to say.
    late = replace(wish(user.id, photo.message_id), bot_id=int(world.telegram.token.split(":")[0]))
    world.stack.store.submit(late, **UNLIMITED)
    status = await user.receives_text(containing="queue", timeout=8)
    assert status.reply_to is photo
    async with asyncio.timeout(3):
        while job_of(world, photo).status_message_id != status.message_id:
            await asyncio.sleep(0.02)


async def test_a_picture_that_turns_up_late_as_somebody_elses_gets_no_status_message(world):
    user = world.telegram.user("Sender")
    with silent(world):
        photo = await user.sends_photo(jpeg())
        assert (await user.receives_text(timeout=6)).text == en.try_again()
    asked = replace(wish(1, photo.message_id), bot_id=int(world.telegram.token.split(":")[0]), chat_id=user.id)
    world.stack.store.submit(asked, **UNLIMITED)
    await quiet(user, for_s=2)
    assert answers_to(user) == [en.try_again()]
