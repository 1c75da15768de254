"""Every update is handled once, though Telegram hands a whole batch out again after a crash."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware
from aiogram.types import TelegramObject, Update
from redis import Redis, RedisError

logger = logging.getLogger(__name__)

REMEMBERED_S = 24 * 3600  # as long as Telegram keeps updates


class Once(BaseMiddleware):
    """Skips updates that were handled before; remembered afterwards, so that a crash repeats one and loses none."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Handle the update unless it is known."""
        if not isinstance(event, Update):
            return await handler(event, data)
        key = f"restora:update:{event.update_id}"
        try:
            if await asyncio.to_thread(self._redis.exists, key):
                return None
        except RedisError as error:
            logger.warning("cannot tell whether update %d is new: %s", event.update_id, error)
        result = await handler(event, data)
        try:
            await asyncio.to_thread(self._redis.set, key, "1", ex=REMEMBERED_S)
        except RedisError as error:
            logger.warning("update %d may be handled again: %s", event.update_id, error)
        return result
