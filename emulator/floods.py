"""Flood control as the bot FAQ describes it: token buckets per chat and for the whole bot."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from emulator import limits
from emulator.chats import Chat
from emulator.errors import too_many_requests

# What costs: everything that shows in a chat. Edits count too (RELIABILITY: about 20 a minute in groups).
_COUNTED = ("send", "edit", "copy", "forward")


@dataclass(slots=True)
class _Bucket:
    """``rate`` tokens per second, at most ``capacity`` of them."""

    rate: float
    capacity: float
    level: float
    time: float

    def wait_s(self, now: float) -> float:
        """Seconds until a token is there; 0 if one is."""
        self.level = min(self.capacity, self.level + (now - self.time) * self.rate)
        self.time = now
        return max(0.0, (1.0 - self.level) / self.rate)


class FloodControl:
    """Counts what a bot sends; time in seconds from ``clock``."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def check(self, method: str, chat: Chat | None, messages: int = 1) -> None:
        """Count a call; ApiError 429 if it comes too early, in which case it is not counted.

        Chat actions are free, an album costs ``messages``.
        """
        if chat is None or not method.startswith(_COUNTED) or method == "sendChatAction":
            return
        now = self._clock()
        buckets = [
            self._bucket("all", limits.BOT_MESSAGES_PER_S, limits.BOT_MESSAGES_PER_S),
            self._chat_bucket(chat),
        ]
        wait_s = max(bucket.wait_s(now) for bucket in buckets)
        if wait_s > 0:
            raise too_many_requests(math.ceil(wait_s))
        for bucket in buckets:
            bucket.level -= messages

    def _chat_bucket(self, chat: Chat) -> _Bucket:
        if chat.is_private:
            return self._bucket(str(chat.id), limits.CHAT_MESSAGES_PER_S, limits.CHAT_BURST)
        return self._bucket(str(chat.id), limits.GROUP_MESSAGES_PER_MIN / 60, limits.GROUP_MESSAGES_PER_MIN)

    def _bucket(self, name: str, rate: float, capacity: float) -> _Bucket:
        if name not in self._buckets:
            self._buckets[name] = _Bucket(rate, capacity, capacity, self._clock())
        return self._buckets[name]
