"""Pictures become jobs; everything else gets one sentence that says why not and what to do."""

from __future__ import annotations

from aiogram import F, Router
from aiogram.enums import ChatType
from aiogram.types import Message

from bot.captions import ForUs
from bot.intake import SAID_BY_PEOPLE
from bot.session import lost_what_it_held
from bot.taking import Taker


def router() -> Router:
    """The handlers of this module."""
    pictures = Router(name="pictures")
    pictures.message.register(take, F.chat.type != ChatType.CHANNEL, F.content_type.in_(SAID_BY_PEOPLE), ForUs())
    pictures.message.register(take, F.chat.type != ChatType.CHANNEL, lost_what_it_held, ForUs())
    return pictures


async def take(message: Message, taker: Taker) -> None:
    await taker.take(message)
