"""Answers on their way to Telegram, so that handlers end at once and one slow chat holds up no other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiogram.exceptions import AiogramError

from bot.queue import QueueUnavailableError

logger = logging.getLogger(__name__)

OWED_FOR_S = 15.0  # a chat that takes nothing for longer may not keep Telegram repeating all that came since


class Outbox:
    """Runs answers one after the other in each chat, and side by side in different ones."""

    def __init__(self) -> None:
        self._last: dict[tuple[int | str, bool], asyncio.Task[None]] = {}  # by chat, and whether it overtakes
        self._owed: dict[asyncio.Task[None], tuple[int, float]] = {}

    def post(
        self,
        chat_id: int | str,
        answer: Callable[[], Awaitable[object]],
        *,
        owed_to: int | None = None,
        overtakes: bool = False,
    ) -> None:
        """Have ``answer`` awaited after everything posted for this chat before; returns at once.

        ``owed_to`` is the number of an update of which nothing but this answer is left, as of one that was refused. An
        answer that ``overtakes`` waits only for others that do; everything posted later waits for it all the same.
        """
        kinds = [True] if overtakes else [True, False]
        previous = [self._last[chat_id, kind] for kind in kinds if (chat_id, kind) in self._last]
        task = asyncio.create_task(_after(previous, answer))
        self._last[chat_id, overtakes] = task
        task.add_done_callback(lambda done: self._forget((chat_id, overtakes), done))
        if owed_to is not None:
            self._owed[task] = (owed_to, time.monotonic() + OWED_FOR_S)
            task.add_done_callback(lambda done: self._owed.pop(done, None))

    def __contains__(self, chat_id: int | str) -> bool:
        """Whether answers for this chat are on their way."""
        return any((chat_id, overtakes) in self._last for overtakes in (False, True))

    @property
    def oldest_owed(self) -> int | None:
        """The first update that still has its answer to come, and may not be confirmed: a crash would lose it."""
        now = time.monotonic()
        return min((update for update, until in self._owed.values() if until > now), default=None)

    async def settle(self, timeout_s: float) -> None:
        """Wait until what keeps updates from being confirmed got out, for at most ``timeout_s``."""
        now = time.monotonic()
        if owed := [task for task, (_, until) in self._owed.items() if until > now]:
            await asyncio.wait(owed, timeout=timeout_s)

    def let_go(self, before: int) -> None:
        """Owe nothing to updates before this one any more; their answers are still on their way."""
        self._owed = {task: owed for task, owed in self._owed.items() if owed[0] >= before}

    def _forget(self, key: tuple[int | str, bool], done: asyncio.Task[None]) -> None:
        if self._last.get(key) is done:
            del self._last[key]

    async def drain(self, timeout_s: float = 10.0) -> None:
        """Let the answers that are under way get out, and what they post in turn, for at most ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while self._last and (left_s := deadline - time.monotonic()) > 0:
            await asyncio.wait(self._last.values(), timeout=left_s)
        if self._last:
            logger.warning("%d chats did not get their last answer", len({chat_id for chat_id, _ in self._last}))


async def _after(previous: list[asyncio.Task[None]], answer: Callable[[], Awaitable[object]]) -> None:
    if previous:
        await asyncio.wait(previous)
    try:
        await answer()
    except (AiogramError, QueueUnavailableError) as error:
        logger.warning("an answer was not taken: %s", error)
    except Exception:  # the outermost boundary of a background task: it is reported
        logger.exception("an answer failed")
