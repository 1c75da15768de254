"""A refusal is all that is left of its update, so that update is not confirmed to Telegram before it was said."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
import pytest_asyncio

from bot.outbox import OWED_FOR_S, Outbox
from bot.texts import BotTexts
from dev.stack import Stack
from emulator import Emulator, RetryAfter
from tests.bot.conftest import World
from tests.bot.test_floods import answers_to, jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

en = BotTexts("en")
LIMITS = {
    "MAX_OPEN_JOBS_PER_USER": "2",
    "MAX_QUEUED_JOBS": "4",
    "MAX_PICTURES_PER_MINUTE": "3",
    "MAX_FILE_BYTES": "20000",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(tmp_path_factory):
    """A world whose limits are soon reached; its bot may be killed."""
    async with (
        Emulator.running() as telegram,
        Stack(tmp_path_factory.mktemp("strict"), token=telegram.token, api_url=telegram.api_url) as stack,
    ):
        bot = stack.start_bot(**LIMITS)
        await telegram.is_polled(timeout=30)
        yield World(telegram, stack, bot)


async def its_limits_are_reached(world):
    """Two people have all the room there is."""
    world.stack.store.redis.flushdb()
    people = [world.telegram.user(f"Filler {number}") for number in range(2)]
    for person in people:
        for _ in range(2):
            await person.sends_photo(jpeg())
            await person.receives_message(containing="queue")
    return people[0]


async def test_refusals_of_all_kinds_outlive_a_killed_bot_keep_nobody_waiting_and_are_said_once(strict):
    filler = await its_limits_are_reached(strict)
    late, large, flooder, words, other = [
        strict.telegram.user(name) for name in ("Late", "Large", "Flo", "Words", "Other")
    ]
    refused = [filler, late, large, flooder, words]
    struck = [strict.telegram.misbehaves("sendMessage", RetryAfter(5), chat=person) for person in refused]
    flood = [await flooder.sends_photo(jpeg()) for _ in range(4)]
    too_large = jpeg() + bytes(30_000)
    expected = [
        (filler, await filler.sends_photo(jpeg()), en.user_limit(2)),
        (late, await late.sends_photo(jpeg()), en.queue_full()),
        (large, await large.sends_document("large.jpg", content=too_large), en.refusal("file_too_large", 20_000)),
        (words, await words.sends_text("hello"), en.refusal("text")),
        (flooder, flood[0], en.queue_full()),
        (flooder, flood[3], en.too_many_pictures(3)),
    ]
    async with asyncio.timeout(10):
        while not all(rule.struck for rule in struck):
            await asyncio.sleep(0.02)
    began = time.monotonic()
    await other.sends_text("/help")
    await other.receives_text(containing="/restart", timeout=3)
    assert time.monotonic() - began < 3.0
    await asyncio.sleep(0.3)  # in which what was asked of Telegram after that would have confirmed it all
    pending = {update["message"]["chat"]["id"] for update in strict.telegram.pending_updates}
    assert pending >= {person.id for person in refused}
    strict.bot.kill()
    strict.bot.start()
    for person, message, text in expected:
        answer = await person.receives_text(timeout=15)
        assert (answer.text, answer.reply_to) == (text, message)
    await asyncio.sleep(1.5)
    refusals = {text for _, _, text in expected}
    said = [(person, text) for person in refused for text in answers_to(person) if text in refusals]
    assert Counter(said) == Counter((person, text) for person, _, text in expected)
    assert len(answers_to(other)) == 1
    assert strict.telegram.pending_updates == []


async def test_what_was_said_is_confirmed_and_not_said_again(strict):
    person = strict.telegram.user("Once")
    await person.sends_text("hello")
    await person.receives_text(containing=en.refusal("text"))
    await asyncio.sleep(0.3)
    strict.bot.kill()
    strict.bot.start()
    await strict.telegram.is_polled(timeout=30)
    await asyncio.sleep(0.5)
    assert answers_to(person) == [en.refusal("text")]


async def test_more_updates_than_telegram_hands_out_at_once_are_read_though_one_cannot_be_answered(strict):
    strict.stack.store.redis.flushdb()
    silent, noisy, other = [strict.telegram.user(name) for name in ("Silent", "Noisy", "Other")]
    strict.telegram.misbehaves("sendMessage", RetryAfter(30), chat=silent)
    await silent.sends_text("hello")
    for number in range(150):
        await noisy.sends_text(f"hello {number}")
    await other.sends_text("/help")
    await other.receives_text(containing="/restart", timeout=OWED_FOR_S - 3)
    strict.bot.kill()  # which would wait for the silent chat
    assert "too many came since" in strict.bot.log.read_text()
    strict.bot.start()
    await strict.telegram.is_polled(timeout=30)


async def test_an_update_is_owed_its_answer_until_that_is_out_or_let_go():
    outbox, open_door, last_door = Outbox(), asyncio.Event(), asyncio.Event()
    outbox.post(1, open_door.wait, owed_to=11)
    outbox.post(2, open_door.wait)
    outbox.post(3, last_door.wait, owed_to=12)
    assert outbox.oldest_owed == 11
    outbox.let_go(12)
    assert outbox.oldest_owed == 12
    open_door.set()
    await outbox.settle(0.05)
    assert outbox.oldest_owed == 12
    outbox.let_go(13)
    assert outbox.oldest_owed is None
    last_door.set()
    await outbox.drain()


async def test_nobody_waits_for_an_answer_that_is_owed_no_longer(monkeypatch):
    monkeypatch.setattr("bot.outbox.OWED_FOR_S", 0.05)
    outbox, open_door = Outbox(), asyncio.Event()
    outbox.post(1, open_door.wait, owed_to=11)
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await outbox.settle(5)
    assert time.monotonic() - began < 1
    open_door.set()
    await outbox.drain()


async def test_what_an_answer_posts_while_the_bot_is_leaving_gets_out_too():
    outbox, said = Outbox(), []

    async def answer_and_post_another():
        await asyncio.sleep(0.05)
        outbox.post("1, afterwards", say_it)

    async def say_it():
        await asyncio.sleep(0.05)
        said.append("cancelled")

    outbox.post(1, answer_and_post_another)
    await outbox.drain(5)
    assert said == ["cancelled"]


async def test_a_bot_that_is_leaving_waits_no_longer_than_it_may(caplog):
    outbox, open_door = Outbox(), asyncio.Event()
    outbox.post(1, open_door.wait)
    began = time.monotonic()
    await outbox.drain(0.1)
    assert time.monotonic() - began < 1
    assert "1 chats did not get their last answer" in caplog.text
    open_door.set()
    await outbox.drain()


async def test_what_overtakes_waits_for_its_like_and_what_is_posted_later_waits_for_all():
    outbox, said = Outbox(), []
    doors = {name: asyncio.Event() for name in ("status", "refusal", "second refusal", "later")}

    def post(name, *, overtakes=False):
        async def answer():
            await doors[name].wait()
            said.append(name)

        outbox.post(1, answer, overtakes=overtakes)

    async def opened(name):
        doors[name].set()
        await asyncio.sleep(0.02)
        return said

    post("status")
    post("refusal", overtakes=True)
    post("later")
    post("second refusal", overtakes=True)
    assert await opened("second refusal") == []
    assert await opened("later") == []
    assert await opened("refusal") == ["refusal", "second refusal"]
    assert await opened("status") == ["refusal", "second refusal", "status", "later"]
    await outbox.drain()
