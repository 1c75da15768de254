"""Answers follow a group that has become a supergroup, which is another chat."""

from __future__ import annotations

import logging

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import TelegramMigrateToChat
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import InlineKeyboardMarkup

logger = logging.getLogger(__name__)


class Moving(BaseRequestMiddleware):
    """Sends once more what was sent to a chat that has moved, as no reply: messages have other numbers there.

    For the same reason nothing is edited there: the number would be another message's. And it has no buttons under it:
    nobody could take them away when they are of no use any more.
    """

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Make the request, and that again where it has to go."""
        try:
            return await make_request(bot, method)
        except TelegramMigrateToChat as moved:
            if not method.__api_method__.startswith("send"):
                raise
            logger.info("a group became a supergroup, the answer follows it")
            there = {"chat_id": moved.migrate_to_chat_id, "message_thread_id": None, "reply_parameters": None}
            if isinstance(getattr(method, "reply_markup", None), InlineKeyboardMarkup):
                there["reply_markup"] = None
            return await make_request(bot, method.model_copy(update=there))
