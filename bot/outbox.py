"""Answers on their way to Telegram, so that handlers end at once and one slow chat holds up no other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiogram.exceptions import AiogramError

from bot.queue import QueueUnavailableError

logger = logging.getLogger(__name__)


class Outbox:
    """Runs answers one after the other in each chat, and side by side in different ones."""

    def __init__(self) -> None:
        self._last: dict[int | str, asyncio.Task[None]] = {}
        self._owed: dict[asyncio.Task[None], float] = {}

    def post(self, chat_id: int | str, answer: Callable[[], Awaitable[object]], *, owed_for_s: float = 0.0) -> None:
        """Have ``answer`` awaited after everything posted for this chat before; returns at once.

        One that is owed is all that is left of an update: :meth:`settle` waits for it, so long at most.
        """
        task = asyncio.create_task(_after(self._last.get(chat_id), answer))
        self._last[chat_id] = task
        task.add_done_callback(lambda done: self._forget(chat_id, done))
        if owed_for_s:
            self._owed[task] = time.monotonic() + owed_for_s
            task.add_done_callback(self._owed.pop)

    async def settle(self) -> None:
        """Wait until what is owed got out. Until then its updates may not be confirmed: a crash would lose it."""
        while waiting := {task: until for task, until in self._owed.items() if until > time.monotonic()}:
            await asyncio.wait(waiting, timeout=min(waiting.values()) - time.monotonic())

    def _forget(self, chat_id: int | str, done: asyncio.Task[None]) -> None:
        if self._last.get(chat_id) is done:
            del self._last[chat_id]

    async def drain(self, timeout_s: float = 10.0) -> None:
        """Let the answers that are under way get out, for at most ``timeout_s``."""
        if self._last:
            _, late = await asyncio.wait(self._last.values(), timeout=timeout_s)
            if late:
                logger.warning("%d chats did not get their last answer", len(late))


async def _after(previous: asyncio.Task[None] | None, answer: Callable[[], Awaitable[object]]) -> None:
    if previous is not None:
        await asyncio.wait([previous])
    try:
        await answer()
    except (AiogramError, QueueUnavailableError) as error:
        logger.warning("an answer was not taken: %s", error)
    except Exception:  # the outermost boundary of a background task: it is reported
        logger.exception("an answer failed")
