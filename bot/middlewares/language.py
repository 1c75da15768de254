"""Handlers get the words of the user's language as ``texts``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware
from aiogram.types import TelegramObject, User

from bot.texts import BotTexts
from tasks.catalog import closest_locale


class Language(BaseMiddleware):
    """Adds ``texts`` to what handlers may ask for."""

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Choose the language from what Telegram says about the sender."""
        user: User | None = data.get("event_from_user")
        data["texts"] = BotTexts(closest_locale(user.language_code if user else None))
        return await handler(event, data)
