"""Where the bot's messages wait for their turn: the blocking send budget, kept away from the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time
from dataclasses import dataclass, field

from tasks.budget import Importance, SendBudget, Turn

UNUSED_FOR_S = 1.0  # so long a turn that was given back is as good as new: the budget has counted it as used


class SilenceError(Exception):
    """A chat wants silence for longer than the message can wait."""

    def __init__(self, silence_s: float) -> None:
        super().__init__(silence_s)
        self.silence_s = silence_s


@dataclass(order=True)
class _Waiting:
    importance: Importance
    number: int
    chat_id: int = field(compare=False)
    since: float = field(compare=False)
    turn: asyncio.Future[Turn] = field(compare=False)


class Turnstile:
    """Lets messages pass one by one, the important ones first. A chat that has to wait holds up no other.

    However many messages wait, one of them asks the budget at a time.
    """

    def __init__(self, budget: SendBudget, *, longest_wait_s: float) -> None:
        """Nobody waits for a chat that wants silence for more than ``longest_wait_s``."""
        self._budget = budget
        self._longest_wait_s = longest_wait_s
        self._numbers = itertools.count()
        self._waiting: list[_Waiting] = []
        self._news = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._unused: dict[int, float] = {}  # until when

    async def let_pass(self, chat_id: int, importance: Importance) -> None:
        """Wait for the turn of a message.

        Raises:
            SilenceError: the chat wants silence for too long.
        """
        unused = self._unused.pop(chat_id, 0.0) > time.monotonic()
        if unused and not await asyncio.to_thread(self._budget.silence_s, chat_id):
            return
        while True:
            turn: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
            self._join(_Waiting(importance, next(self._numbers), chat_id, time.monotonic(), turn))
            granted = await turn
            if not granted.wait_s:
                return
            await asyncio.sleep(granted.wait_s)
            if not await asyncio.to_thread(self._budget.silence_s, chat_id):
                return

    def give_back(self, chat_id: int) -> None:
        """Leave a turn, whose message is not sent after all, to the next one in the same chat."""
        now = time.monotonic()
        self._unused = {chat: until for chat, until in self._unused.items() if until > now}
        self._unused[chat_id] = now + UNUSED_FOR_S

    async def silence(self, chat_id: int, seconds: float) -> None:
        """Obey a ``retry_after``, together with all other processes of the bot."""
        await asyncio.to_thread(self._budget.silence, chat_id, seconds)

    def _join(self, one: _Waiting) -> None:
        heapq.heappush(self._waiting, one)
        self._news.set()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        while self._waiting:
            self._news.clear()
            one = heapq.heappop(self._waiting)
            if one.turn.done():  # who waited for it was cancelled
                continue
            waited_s = time.monotonic() - one.since
            answer = asyncio.ensure_future(
                asyncio.to_thread(self._budget.ask, one.chat_id, one.importance, waited_s=waited_s)
            )
            await asyncio.wait([answer])
            if one.turn.done():
                continue
            if error := answer.exception():  # for who waits, or nobody would ever hear of it
                one.turn.set_exception(error)
                continue
            turn = answer.result()
            if turn.granted:
                one.turn.set_result(turn)
            elif not turn.by_chat:
                heapq.heappush(self._waiting, one)
                await self._sleep(turn.wait_s)
            elif turn.wait_s > self._longest_wait_s:
                one.turn.set_exception(SilenceError(turn.wait_s))
            else:
                asyncio.get_running_loop().call_later(turn.wait_s, self._join, one)

    async def _sleep(self, seconds: float) -> None:
        """At most until there is news: what has just come may be more important and need not wait."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
