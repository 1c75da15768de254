"""Updates are confirmed to Telegram by asking for the next ones."""

from __future__ import annotations

import logging
from typing import Any

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.methods import GetUpdates, Response, TelegramMethod
from aiogram.methods.base import TelegramType

from bot.outbox import Outbox

logger = logging.getLogger(__name__)

BATCH = 100  # updates that Telegram hands out at once, unless it is asked for fewer
AT_ONCE_S = 0.2  # most answers are out by then, and nothing has to be asked for twice
AGAIN_AFTER_S = 0.25


class Confirming(BaseRequestMiddleware):
    """Confirms no update of which only an answer is left, as of one refused, before that is out: a crash would lose it.

    Nobody waits for somebody else's slow chat: from such an update on Telegram is asked for everything once more, and
    what is known of it is left out. Where that is all it hands out at once, the older half is confirmed all the same.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Make the request; one for updates several times while something is owed."""
        if isinstance(method, GetUpdates):
            await self._outbox.settle(AT_ONCE_S)
            while (owed := self._outbox.oldest_owed) is not None:
                # aiogram types the answer as a response; it is what the response holds.
                again: Any = method.model_copy(update={"offset": owed, "timeout": 0})
                updates: Any = await make_request(bot, again)
                if news := [update for update in updates if update.update_id >= (method.offset or 0)]:
                    return news  # type: ignore[return-value]  # as above
                if len(updates) < BATCH:
                    await self._outbox.settle(AGAIN_AFTER_S)
                else:
                    logger.warning("update %d may be confirmed before it is answered: too many came since", owed)
                    self._outbox.let_go(updates[BATCH // 2].update_id)
        return await make_request(bot, method)
