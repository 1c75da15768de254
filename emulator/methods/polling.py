"""getUpdates: the long poll."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time

from emulator import limits
from emulator.errors import JSON, bad_request, conflict
from emulator.methods.arguments import Arguments
from emulator.state import Telegram

_BETWEEN_POLLS_S = 4.0


class Poll:
    """At most one getUpdates waits at a time; a new one ends the one before with 409."""

    def __init__(self, telegram: Telegram) -> None:
        self._telegram = telegram
        self._current: asyncio.Event | None = None
        self._ended = -math.inf  # when the last poll ended, in seconds of time.monotonic

    @property
    def waiting(self) -> bool:
        """Whether a bot is waiting for updates right now."""
        return self._current is not None

    @property
    def connected(self) -> bool:
        """Whether a bot waits for updates or did so a moment ago: between two polls it handles the first one's."""
        return self.waiting or time.monotonic() - self._ended < _BETWEEN_POLLS_S

    async def get_updates(self, _: Telegram, arguments: Arguments) -> list[JSON]:
        """Up to ``limit`` updates from ``offset`` on, after waiting at most ``timeout`` seconds for the first."""
        updates = self._telegram.updates
        offset = arguments.integer("offset", 0) or 0
        limit = min(max(arguments.integer("limit") or limits.GET_UPDATES_LIMIT_MAX, 1), limits.GET_UPDATES_LIMIT_MAX)
        timeout_s = min(max(arguments.integer("timeout") or 0, 0), limits.GET_UPDATES_TIMEOUT_MAX_S)
        kinds = arguments.sequence("allowed_updates")
        if kinds is not None:
            if not all(isinstance(kind, str) for kind in kinds):
                raise bad_request("can't parse allowed_updates")  # our words
            updates.allow(kinds)
        return await self._wait(offset, limit, timeout_s)

    async def _wait(self, offset: int, limit: int, timeout_s: int) -> list[JSON]:
        taken_over = self._take_over()
        news = asyncio.Event()
        unsubscribe = self._telegram.subscribe(news.set)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            while True:
                batch = self._telegram.updates.take(offset, limit)
                if batch or loop.time() >= deadline:
                    return batch
                news.clear()
                await _first_of(news, taken_over, timeout_s=deadline - loop.time())
                if taken_over.is_set():
                    raise conflict()
        finally:
            unsubscribe()
            if self._current is taken_over:
                self._current = None
                self._ended = time.monotonic()

    def _take_over(self) -> asyncio.Event:
        if self._current is not None:
            self._current.set()
        self._current = asyncio.Event()
        self._telegram.changed()
        return self._current


async def _first_of(*events: asyncio.Event, timeout_s: float) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
