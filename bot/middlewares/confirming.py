"""Updates are confirmed to Telegram by asking for the next ones."""

from __future__ import annotations

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.methods import GetUpdates, Response, TelegramMethod
from aiogram.methods.base import TelegramType

from bot.outbox import Outbox


class Confirming(BaseRequestMiddleware):
    """Asks for more updates only when the last ones are in Redis or their senders have been told that they are not."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Make the request, in its time."""
        if isinstance(method, GetUpdates):
            await self._outbox.settle()
        return await make_request(bot, method)
