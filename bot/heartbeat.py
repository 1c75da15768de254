"""The bot shows in Redis that Telegram answers its polling; container health checks look there."""

from __future__ import annotations

import asyncio
import logging
import time

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from redis import RedisError

from tasks.store import JobStore

logger = logging.getLogger(__name__)

EVERY_S = 2.0
SILENT_AFTER_S = 60.0


class Heartbeat(BaseRequestMiddleware):
    """Notes every answered ``getUpdates`` and, while they keep coming, says so in Redis."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._last_poll = float("-inf")

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Make the request and note its success."""
        response = await make_request(bot, method)
        if method.__api_method__ == "getUpdates":
            self._last_poll = time.monotonic()
        return response

    async def beat(self) -> None:
        """Go on until cancelled."""
        while True:
            if time.monotonic() - self._last_poll < SILENT_AFTER_S:
                try:
                    await asyncio.to_thread(self._store.announce_bot)
                except RedisError as error:
                    logger.warning("Redis does not answer, waiting for it: %s", error)
            await asyncio.sleep(EVERY_S)
