"""Calls to Telegram are repeated where that can do no harm."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import ClientDecodeError, TelegramNetworkError, TelegramRetryAfter, TelegramServerError
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType

logger = logging.getLogger(__name__)

TRIES = 4
LONGEST_WAIT_S = 120.0


class Patience(BaseRequestMiddleware):
    """Waits out ``retry_after``, and repeats a call whose answer got lost.

    Also a send, though it may have been carried out: a sentence that comes twice is better than none at all, and a job
    whose status message we know the number of gets its result by an edit, which cannot be doubled.
    """

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Make the request, several times if need be."""
        name = method.__api_method__
        if name == "getUpdates":  # aiogram's polling has a patience of its own
            return await make_request(bot, method)
        for tries_left in range(TRIES - 1, 0, -1):
            try:
                return await make_request(bot, method)
            except TelegramRetryAfter as error:
                if error.retry_after > LONGEST_WAIT_S:
                    raise
                await asyncio.sleep(error.retry_after)
            except (TelegramNetworkError, TelegramServerError, ClientDecodeError) as error:
                logger.warning("%s: trying again: %s", name, _without_token(bot, error))
                await asyncio.sleep(2.0 ** (TRIES - 1 - tries_left))
        return await make_request(bot, method)


def _without_token(bot: Bot, error: Any) -> str:
    return str(error).replace(bot.token, "<token>")
