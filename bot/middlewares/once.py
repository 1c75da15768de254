"""Every update is handled once, though Telegram hands a whole batch out again after a crash."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware, Bot
from aiogram.types import Chat, TelegramObject, Update
from redis import RedisError

from bot.outbox import Outbox
from tasks.absence import Absence
from tasks.store import JobStore

logger = logging.getLogger(__name__)


class Once(BaseMiddleware):
    """Skips updates that were handled before. They count as handled once their answers left: a crash loses none."""

    def __init__(self, store: JobStore, outbox: Outbox, absence: Absence) -> None:
        self._store = store
        self._outbox = outbox
        self._absence = absence

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Handle the update unless it is known."""
        bot: Bot = data["bot"]
        if not isinstance(event, Update):
            return await handler(event, data)
        update = f"{bot.id}:{event.update_id}"
        if await self._was_handled(update):
            return None
        result = await handler(event, data)
        chat: Chat | None = data.get("event_chat")
        self._outbox.post(chat.id if chat else update, lambda: self._remember(update))
        return result

    async def _was_handled(self, update: str) -> bool:
        if self._absence.lasts:  # every question would hold up everybody for seconds
            return False
        began = time.monotonic()
        try:
            return await asyncio.to_thread(self._store.was_handled, update)
        except RedisError as error:
            logger.warning("cannot tell whether update %s is new: %s", update, error)
            self._absence.note(error, since=began)
            return False

    async def _remember(self, update: str) -> None:
        if self._absence.lasts:  # threads that wait for Redis are few
            return
        began = time.monotonic()
        try:
            await asyncio.to_thread(self._store.mark_handled, update)
        except RedisError as error:
            logger.warning("update %s may be handled again: %s", update, error)
            self._absence.note(error, since=began)
