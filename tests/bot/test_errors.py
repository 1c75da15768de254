"""What people hear when a handler fails in a way that nobody has thought of."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import CallbackQuery

from bot.__main__ import build_dispatcher
from bot.texts import BotTexts
from emulator import Emulator
from tasks.absence import Absence
from tasks.settings import BotSettings
from tests.bot.test_buttons import answer_to
from tests.bot.test_conversations import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

en, ru = BotTexts("en"), BotTexts("ru")


@dataclass(frozen=True)
class Handling:
    telegram: Emulator
    bot: Bot
    dispatcher: Dispatcher

    async def handles_what_came(self):
        for update in await self.bot.get_updates():
            await self.dispatcher.feed_update(self.bot, update)
        await self.dispatcher["outbox"].drain(5)


@asynccontextmanager
async def handling(store, redis_server, **settings):
    """A bot of this process, with those settings."""
    async with Emulator.running() as telegram:
        api = TelegramAPIServer.from_base(telegram.api_url)
        async with Bot(telegram.token, session=AiohttpSession(api=api)) as bot:
            settings = BotSettings(bot_token=telegram.token, redis_url=redis_server.url, _env_file=None, **settings)
            yield Handling(telegram, bot, build_dispatcher(settings, store, Absence(store.redis)))


@pytest_asyncio.fixture(loop_scope="session")
async def faulty(store, redis_server):
    """A bot in which the next step of every handler goes wrong."""
    async with handling(store, redis_server) as faulty:
        faulty.dispatcher.message.outer_middleware(_fail)
        faulty.dispatcher.callback_query.outer_middleware(_fail)
        yield faulty


async def _fail(_handler, event, data):
    if isinstance(event, CallbackQuery) and event.data == "answered":
        data["outbox"].post(event.id, lambda: event.answer("answered"))
    raise LookupError("nobody has thought of this")


@asynccontextmanager
async def fails(faulty, caplog):
    """The block has something sent that is handled, fails and is reported."""
    yield
    await faulty.handles_what_came()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]


def answers_in(chat):
    return [message.text for message in chat.messages if message.from_bot]


@pytest.mark.parametrize("words", [en, ru])
async def test_who_is_not_served_for_an_unknown_reason_is_asked_to_try_again(faulty, caplog, words):
    user = faulty.telegram.user("Ann", language_code=words.locale)
    async with fails(faulty, caplog):
        sent = await user.sends_photo(jpeg())
    answer = await user.receives_text()
    assert (answer.text, answer.reply_to) == (words.try_again(), sent)
    assert answers_in(user.chat) == [words.try_again()]


@pytest.mark.parametrize(
    ("sends", "is_answered"),
    [
        (lambda person: person.sends_photo(jpeg()), True),
        (lambda person: person.sends_document("a.png", content=jpeg(), mime_type="image/png"), True),
        (lambda person: person.sends_text("/restart"), True),
        (lambda person: person.sends_text("look at this"), False),
        (lambda person: person.sends_text("/frobnicate"), False),
        (lambda person: person.sends_text("/restart@another_bot"), False),
        (lambda person: person.sends_photo(jpeg(), caption="/resize@another_bot"), False),
        (lambda person: person.sends_location(), False),
    ],
)
async def test_in_a_group_only_what_the_bot_was_meant_by_is_answered_when_it_fails(faulty, caplog, sends, is_answered):
    ann = faulty.telegram.user("Ann")
    group = faulty.telegram.group("Family", [ann])
    async with fails(faulty, caplog):
        await sends(ann.at(group))
    assert answers_in(group) == ([en.try_again()] if is_answered else [])


@pytest.mark.parametrize(("data", "answer"), [("cancel:1:2:3", en.try_again()), ("answered", "answered")])
async def test_a_press_that_fails_is_answered_once(faulty, caplog, data, answer):
    ann = faulty.telegram.user("Ann")
    await ann.sends_text("/start")
    (start,) = await faulty.bot.get_updates()
    await faulty.bot.send_message(start.message.chat.id, "in the queue")
    await faulty.bot.get_updates(offset=start.update_id + 1, timeout=0)
    status = await ann.receives_text()
    async with fails(faulty, caplog):
        query = await ann.presses(status, data)
    assert await answer_to(query) == answer
    assert len(faulty.telegram.calls_of("answerCallbackQuery")) == 1
