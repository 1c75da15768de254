"""``/stats``, for the owner of the bot in a private chat; to everybody else, and in groups, it is no command at all."""

from __future__ import annotations

import asyncio

from aiogram import F, Router
from aiogram.enums import ChatType
from aiogram.filters import Command
from aiogram.types import Message
from redis import RedisError

from bot.captions import CarryOn
from bot.outbox import Outbox
from bot.stats import StatsTexts
from bot.texts import BotTexts
from tasks.stats import Statistics


def router(owner_id: int, statistics: Statistics) -> Router:
    """The handlers of this module, for this user alone."""
    owner = Router(name="owner")
    owner.message.middleware(CarryOn())

    async def stats(message: Message, texts: BotTexts, outbox: Outbox) -> None:
        outbox.post(message.chat.id, lambda: _tell(message, statistics, texts))

    owner.message.register(stats, Command("stats"), F.from_user.id == owner_id, F.chat.type == ChatType.PRIVATE)
    return owner


async def _tell(message: Message, statistics: Statistics, texts: BotTexts) -> None:
    try:
        text = await asyncio.to_thread(_look, statistics, StatsTexts(texts.locale))
    except RedisError:
        text = texts.try_again()
    await message.answer(text)


def _look(statistics: Statistics, texts: StatsTexts) -> str:
    return texts.stats(statistics.now(), hour=statistics.last_hour(), day=statistics.last_day())
