"""Who sends faster than anybody can mean it is told so once, and then not heard until it is over.

Counted in the memory of this process: there is one bot, what it counts says nothing after a minute, and an update that
is not heard should cost next to nothing, because those of other people wait behind it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from aiogram import BaseMiddleware
from aiogram.enums import ChatType
from aiogram.types import CallbackQuery, Message, TelegramObject, Update

from bot.intake import owner_id
from bot.middlewares.once import Once
from bot.outbox import Outbox
from bot.texts import BotTexts
from tasks.catalog import closest_locale

logger = logging.getLogger(__name__)

OVER_AT = 0.5  # of the limit: a flood ends when so little of what was sent is left in the count
USERS_KEPT = 1000
REFUSED_AGAIN_AFTER_S = 5.0  # a refusal within one album that follows the last one sooner is not said ...
SENT_AFTER_S = 1.0  # what is sent by itself after that may be meant as an answer to it; floods come quicker
SAID_AGAIN_AFTER_S = 30.0  # ... unless that was so long ago

Verdict = Literal["heard", "refused", "ignored"]


@dataclass
class _Count:
    level: float = 0.0
    time: float = 0.0
    flooding: bool = False
    told: bool = False


class Floods:
    """Counts what each user sends: at most ``per_minute`` at once, and as much again within the next minute."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = float(per_minute)
        self._clock = clock
        self._counts: dict[int, _Count] = {}
        self._room = USERS_KEPT

    def judge(self, user_id: int, *, can_be_told: bool = True) -> Verdict:
        """Count one; of a flood the first that ``can_be_told`` is "refused", all others "ignored" until it is over."""
        now = self._clock()
        if len(self._counts) > self._room:
            self._counts = {user: count for user, count in self._counts.items() if self._left(count, now) > 0}
            self._room = max(USERS_KEPT, 2 * len(self._counts))
        count = self._counts.setdefault(user_id, _Count(time=now))
        count.level, count.time = self._left(count, now), now
        goes_on = count.flooding and count.level > self._limit * OVER_AT
        count.told = count.told and goes_on
        count.flooding = goes_on or count.level + 1 > self._limit
        count.level = min(self._limit, count.level + 1)
        if not count.flooding:
            return "heard"
        if count.told or not can_be_told:
            return "ignored"
        count.told = True
        return "refused"

    def _left(self, count: _Count, now: float) -> float:
        return max(0.0, count.level - (now - count.time) * self._limit / 60)


class Refusals:
    """Keeps one refusal for a whole album from being said forty times."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[int, str], tuple[float, float]] = {}  # when met, when said

    def may_say(self, user_id: int, reason: str, *, again_after_s: float = REFUSED_AGAIN_AFTER_S) -> bool:
        """Whether a refusal should be said, or was said to the same user just now, less than ``again_after_s`` ago."""
        now = self._clock()
        if len(self._last) > USERS_KEPT:
            self._last = {key: at for key, at in self._last.items() if now - at[0] < SAID_AGAIN_AFTER_S}
        met, said = self._last.get((user_id, reason), (-SAID_AGAIN_AFTER_S, -SAID_AGAIN_AFTER_S))
        speaks = now - met >= again_after_s or now - said >= SAID_AGAIN_AFTER_S
        self._last[user_id, reason] = (now, now if speaks else said)
        return speaks


@dataclass(frozen=True)
class _Refusal:
    """What the one update of a flood gets that is answered."""

    chat_id: int | str
    answer: Callable[[], Awaitable[object]]


Judged = _Refusal | Literal["heard", "ignored"]


class FloodGate(BaseMiddleware):
    """Holds updates of a flood back, before anything is spent on them; only on the one that is answered a little is."""

    def __init__(self, outbox: Outbox, once: Once, *, messages_per_minute: int, pictures_per_minute: int) -> None:
        """``once`` keeps the answer from being said again when Telegram repeats the update."""
        self._outbox = outbox
        self._once = once
        self._messages = Floods(messages_per_minute)
        self._pictures = Floods(pictures_per_minute)
        self._pictures_per_minute = pictures_per_minute

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        """Handle the update unless it is one too many."""
        judged: Judged = "heard"
        if isinstance(event, Update) and event.message:
            judged = self._judge(event.message)
        elif isinstance(event, Update) and event.callback_query:
            judged = self._judge_press(event.callback_query)
        elif isinstance(event, Update) and event.my_chat_member:
            judged = self._judge_change(event.my_chat_member.from_user.id)
        if isinstance(judged, _Refusal):
            return await self._once(partial(self._refuse, judged), event, data)
        return await handler(event, data) if judged == "heard" else None

    async def _refuse(self, refusal: _Refusal, event: TelegramObject, _data: dict[str, Any]) -> None:
        logger.warning("a flood began, and is not listened to")
        assert isinstance(event, Update)  # noqa: S101 - only those are judged
        self._outbox.post(refusal.chat_id, refusal.answer, owed_to=event.update_id, overtakes=True)

    def _judge_press(self, query: CallbackQuery) -> Judged:
        verdict = self._messages.judge(query.from_user.id)
        if verdict != "refused":
            return verdict
        words = BotTexts(closest_locale(query.from_user.language_code))
        return _Refusal(query.id, lambda: query.answer(words.too_many_messages()))

    def _judge_change(self, user_id: int) -> Judged:
        """Of blocking and unblocking us: nothing was said, and who has just blocked us cannot be told anything."""
        return "heard" if self._messages.judge(user_id, can_be_told=False) == "heard" else "ignored"

    def _judge(self, message: Message) -> Judged:
        # Of words in a group it was not us who was written to; a picture that is dropped is never dropped in silence.
        is_picture = bool(message.photo or message.document or message.sticker)
        can_be_told = is_picture or message.chat.type == ChatType.PRIVATE
        verdict = self._messages.judge(owner_id(message), can_be_told=can_be_told)
        words = BotTexts(closest_locale(message.from_user.language_code if message.from_user else None))
        text = words.too_many_messages()
        if verdict == "heard" and is_picture:
            verdict = self._pictures.judge(owner_id(message))
            text = words.too_many_pictures(self._pictures_per_minute)
        if verdict != "refused":
            return verdict
        return _Refusal(message.chat.id, lambda: message.reply(text))
