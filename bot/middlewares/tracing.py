"""Lines that are logged about a picture name its job, from its message on; and updates are counted."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware, Bot
from aiogram.types import TelegramObject, Update

from tasks import metrics
from tasks.buttons import CANCEL_PREFIX
from tasks.logs import job_context
from tasks.messages import job_id

CANCEL_DATA = re.compile(
    rf"{CANCEL_PREFIX}(\d{{1,20}}:-?\d{{1,20}}:\d{{1,20}})"
)  # anybody may forge the data of a button


class Tracing(BaseMiddleware):
    """Whatever follows an update, its answers in the background too, happens in the context of the job it is about."""

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Handle the update in its job's context."""
        if not isinstance(event, Update):
            return await handler(event, data)
        if not (event.message or event.callback_query or event.my_chat_member):
            return None  # nothing of it could be read; it is confirmed all the same
        bot: Bot = data["bot"]
        metrics.count("restora_updates", kind=event.event_type)
        with job_context(_job_of(event, bot)):
            return await handler(event, data)


def _job_of(update: Update, bot: Bot) -> str:
    """The job that an update would make or stop; empty where it is about none."""
    if update.callback_query is not None:
        found = CANCEL_DATA.fullmatch(update.callback_query.data or "")
        return found[1] if found else ""
    message = update.message
    if message is None or not (message.photo or message.document or message.sticker):
        return ""
    return job_id(bot.id, message.chat.id, message.message_id)
