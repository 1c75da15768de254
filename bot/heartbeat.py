"""The bot shows in Redis that Telegram answers its polling; container health checks look there, or ask it itself."""

from __future__ import annotations

import asyncio
import logging
import math
import time

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from redis import RedisError

from tasks.health import Health
from tasks.store import WORKER_CARD_LIFETIME_S, JobStore

logger = logging.getLogger(__name__)

EVERY_S = 2.0
SILENT_AFTER_S = 60.0


class Heartbeat(BaseRequestMiddleware):
    """Notes every answered ``getUpdates`` and, while they keep coming, says so in Redis."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._last_poll = float("-inf")
        self._last_beat = float("-inf")

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
            if self.since_poll_s < SILENT_AFTER_S:
                try:
                    await asyncio.to_thread(self._store.announce_bot)
                    self._last_beat = time.monotonic()
                except RedisError as error:
                    logger.warning("Redis does not answer, waiting for it: %s", error)
            await asyncio.sleep(EVERY_S)

    @property
    def since_poll_s(self) -> float:
        """Seconds since Telegram last answered; infinite before the first time."""
        return time.monotonic() - self._last_poll

    def health(self) -> Health:
        """Whether Telegram answers, and Redis takes what is written; any thread may ask."""
        if self.since_poll_s >= SILENT_AFTER_S:
            since = "yet" if math.isinf(self.since_poll_s) else f"for {self.since_poll_s:.0f} s"
            return Health(is_well=False, text=f"Telegram has not answered the polling {since}")
        if time.monotonic() - self._last_beat >= WORKER_CARD_LIFETIME_S:
            return Health(is_well=False, text="Redis does not take what the bot writes")
        return Health(is_well=True, text="well")
