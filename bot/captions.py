"""Commands that are captions: what is above them is a picture all the same. And who is meant by what is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware, Bot
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.enums import ChatType
from aiogram.filters import Filter
from aiogram.types import Message, TelegramObject

from bot.intake import SAID_BY_PEOPLE
from bot.texts import BotTexts
from tasks.catalog import SOURCE_LOCALE

ALBUMS_KEPT = 1000


class CarryOn(BaseMiddleware):
    """Has a command below a picture carried out, and then the picture taken like any other."""

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Handle the command; of one below a picture the handlers that come next hear, too."""
        result = await handler(event, data)
        if isinstance(event, Message) and event.caption is not None:
            raise SkipHandler
        return result


class ForUs(Filter):
    """Passes all but what is sent to another bot of a group, as a picture below which stands ``/resize@other_bot``.

    What follows it in its album is left to that bot, too. What came before it has been taken by then: most albums have
    their caption on the first picture, but Telegram allows it on any.
    """

    def __init__(self) -> None:
        self._left: dict[str, None] = {}  # albums, the oldest first

    async def __call__(self, message: Message, bot: Bot) -> bool:
        """Whether to look at the message."""
        if message.chat.type == ChatType.PRIVATE:
            return True
        _, addressee = _command(message.caption)
        if not addressee:
            return message.media_group_id not in self._left
        if addressee == ((await bot.me()).username or "").lower():
            return True
        if message.media_group_id:
            self._left[message.media_group_id] = None
            if len(self._left) > ALBUMS_KEPT:
                del self._left[next(iter(self._left))]
        return False


def is_asked_for(message: Message) -> bool:
    """Whether the caption asks for a restoration, so that silence would be no answer."""
    return _command(message.caption)[0] == "upscale_image"


def is_for_us(message: Message, username: str) -> bool:
    """Whether somebody waits for this bot's answer: in a group who sends a picture, or a command that it has."""
    if message.content_type not in SAID_BY_PEOPLE:
        return False
    if message.chat.type == ChatType.PRIVATE:
        return True
    command, addressee = _command(message.text or message.caption)
    if addressee:
        return addressee == username.lower()
    is_picture = bool(message.photo or message.document or message.sticker)
    return is_picture or command in BotTexts(SOURCE_LOCALE).commands()


class SaidIn(BaseMiddleware):
    """Adds ``said_in`` to what handlers may ask for: chat and message of a wish that ends what was sent before it.

    A picture above it counts as sent after it, as does all of its album from the first picture that this process met.
    """

    def __init__(self) -> None:
        self._first: dict[str, int] = {}  # message of each album, the oldest album first

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Note where albums begin."""
        if isinstance(event, Message):
            data["said_in"] = event.chat.id, self._begin_of(event) - (event.caption is not None)
        return await handler(event, data)

    def _begin_of(self, message: Message) -> int:
        if message.media_group_id is None:
            return message.message_id
        first = self._first.setdefault(message.media_group_id, message.message_id)
        if len(self._first) > ALBUMS_KEPT:
            del self._first[next(iter(self._first))]
        return min(first, message.message_id)


def _command(text: str | None) -> tuple[str, str]:
    """The command that a text begins with and the bot it names, each empty where there is none."""
    words = (text or "").split(maxsplit=1)
    if not words or not words[0].startswith("/"):
        return "", ""
    name, _, addressee = words[0][1:].partition("@")
    return name, addressee.lower()
