"""Handlers get those who serve whoever an update is from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware
from aiogram.types import TelegramObject

from bot.middlewares.floods import Refusals
from bot.outbox import Outbox
from bot.queue import JobQueue
from bot.status import Statuses
from bot.taking import Taker


class Serving(BaseMiddleware):
    """Adds ``statuses`` and ``taker``, who speak the language of this update, to what handlers may ask for."""

    def __init__(self, *, jobs: JobQueue, outbox: Outbox, max_file_bytes: int) -> None:
        self._jobs = jobs
        self._outbox = outbox
        self._refusals = Refusals()
        self._max_file_bytes = max_file_bytes

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Make them for this update."""
        at_hand = {"bot": data["bot"], "texts": data["texts"], "jobs": self._jobs, "outbox": self._outbox}
        data["statuses"] = statuses = Statuses(**at_hand)
        data["taker"] = Taker(
            **at_hand,
            statuses=statuses,
            refusals=self._refusals,
            max_file_bytes=self._max_file_bytes,
            update_id=data["event_update"].update_id,
        )
        return await handler(event, data)
