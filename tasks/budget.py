"""The send budget: how much Telegram takes, counted in Redis by all processes of a bot together.

Telegram's limits, as far as it tells them (https://core.telegram.org/bots/faq, "My bot is hitting limits"): about 30
messages a second over all, one a second in a private chat with short bursts, 20 a minute in a group. Edits count like
messages. Above that it answers 429 with ``retry_after``, and the chat is closed to the bot until that has passed; who
goes on all the same is shut out for longer. So every message asks here first, and a chat that wants silence gets it
from every process.

Not everything is worth the same. First answers come before results, those before the rest; only within one chat results
come first, because a worker waits that could serve others. Progress is shown where there is plenty, and dropped where
there is not. What has waited for ``PATIENT_FOR_S`` goes before all that.

While Redis does not answer each process goes on by its own count, which is kept in step all the time.
"""

from __future__ import annotations

import base64
import hmac
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from importlib import resources
from typing import Any

from redis import Redis, RedisError

from tasks.absence import Absence

logger = logging.getLogger(__name__)

MESSAGES_PER_S = 25.0  # with a burst of a fifth of it: 30 in any second; paid broadcasts go up to 1000
PATIENT_FOR_S = 2.0
CHATS_KEPT = 1000


class Importance(IntEnum):
    """What a message is worth where not all can go at once; the lowest first."""

    ANSWER = 0  # somebody has just written and waits
    RESULT = 1  # a picture, or the word that there will be none
    REST = 2
    PROGRESS = 3  # now or never


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A message every ``gap_s`` seconds, and ``burst`` of them at once after a while of silence."""

    gap_s: float
    burst: float


# How long a burst in a private chat may be, Telegram does not say; the emulator, which is strict, lets five pass. Then
# a little more than a second each, because messages do not arrive in the very rhythm in which they leave. In a group it
# is at most 20 in any minute: five at once and one every four seconds.
PRIVATE_CHAT = Rate(gap_s=1.05, burst=5)
GROUP = Rate(gap_s=4.0, burst=5)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """An answer. ``wait_s``: until the message may be sent; where that is not granted, until one should ask again."""

    granted: bool
    wait_s: float
    by_chat: bool = False  # whether the chat has to wait, and others need not


@dataclass(frozen=True, kw_only=True)
class _Terms:
    """On what terms a message of some importance takes part in a rate."""

    rate: Rate
    kept: float  # tokens left to others
    ahead_s: float

    def wait_s(self, whole_in_s: float) -> float:
        """How long a message has to wait when the budget will be whole again in ``whole_in_s``."""
        return max(0.0, whole_in_s - (self.rate.burst - 1 - self.kept) * self.rate.gap_s)

    def in_words_of_the_script(self) -> list[float]:
        return [self.rate.gap_s * 1000, self.rate.burst, self.kept, self.ahead_s * 1000]


def is_counted(method: str) -> bool:
    """Whether a method of the Bot API shows something in a chat, and so costs."""
    return method.startswith(("send", "edit", "copy", "forward")) and method != "sendChatAction"


class OwnCount:
    """What one process knows by itself. May be shared between threads."""

    def __init__(self, messages_per_s: float = MESSAGES_PER_S, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._all_chats = _over_all(messages_per_s)
        self._clock = clock
        self._lock = threading.Lock()
        self._all_whole_at = 0.0
        self._whole_at: dict[int, float] = {}
        self._silent_until: dict[int, float] = {}

    def ask(self, chat_id: int, importance: Importance, *, waited_s: float = 0.0, at_once: bool = False) -> Turn:
        """As :meth:`SendBudget.ask`."""
        over_all, in_chat = _terms(self._all_chats, chat_id, importance, waited_s, at_once=at_once)
        with self._lock:
            now = self._clock()
            if (silence_s := self._silent_until.get(chat_id, now) - now) > 0:
                return Turn(granted=False, wait_s=silence_s, by_chat=True)
            all_s = over_all.wait_s(max(0.0, self._all_whole_at - now))
            chat_s = in_chat.wait_s(max(0.0, self._whole_at.get(chat_id, now) - now))
            if chat_s > in_chat.ahead_s:
                return Turn(granted=False, wait_s=chat_s - in_chat.ahead_s, by_chat=True)
            if all_s > over_all.ahead_s:
                return Turn(granted=False, wait_s=all_s - over_all.ahead_s)
            self._count(chat_id, now)
        return Turn(granted=True, wait_s=max(all_s, chat_s))

    def count(self, chat_id: int) -> None:
        """Note a message that was granted elsewhere."""
        with self._lock:
            self._count(chat_id, self._clock())

    def silence(self, chat_id: int, seconds: float) -> None:
        """Send nothing to a chat for so long."""
        with self._lock:
            now = self._clock()
            self._silent_until = _still_to_come(self._silent_until, now)
            self._silent_until[chat_id] = max(self._silent_until.get(chat_id, 0.0), now + seconds)

    def silence_s(self, chat_id: int) -> float:
        """Seconds until a chat that wants silence may be written to again."""
        with self._lock:
            return max(0.0, self._silent_until.get(chat_id, 0.0) - self._clock())

    def _count(self, chat_id: int, now: float) -> None:
        if len(self._whole_at) > CHATS_KEPT:
            self._whole_at = _still_to_come(self._whole_at, now)
        self._all_whole_at = max(now, self._all_whole_at) + self._all_chats.gap_s
        self._whole_at[chat_id] = max(now, self._whole_at.get(chat_id, now)) + _rate_of(chat_id).gap_s


class SendBudget:
    """The budget of a bot. Blocking, for milliseconds; may be shared between threads. Raises nothing."""

    def __init__(
        self,
        redis: Redis | None,
        *,
        bot_id: int,
        secret: str = "",
        messages_per_s: float = MESSAGES_PER_S,
        absence: Absence | None = None,
    ) -> None:
        """Without ``redis`` the process has only its own count. With ``secret``, the token, chats get pseudonyms.

        ``absence``, of this very ``redis``, is shared with others who wait for it.
        """
        self._bot_id = bot_id
        self._secret = secret.encode()
        self._all_chats = _over_all(messages_per_s)
        self._own = OwnCount(messages_per_s)
        self._redis = redis
        self._scripts = {name: redis.register_script(_source(name)) for name in ("send", "silence")} if redis else {}
        self._absence = absence or (Absence(redis) if redis else None)

    def ask(self, chat_id: int, importance: Importance, *, waited_s: float = 0.0, at_once: bool = False) -> Turn:
        """Ask for the turn of a message, and count it if it is granted.

        Args:
            chat_id: where it goes.
            importance: what it is worth; progress is always ``at_once``.
            waited_s: how long it has waited so far.
            at_once: grant no turn that is still to come.
        """
        terms = _terms(self._all_chats, chat_id, importance, waited_s, at_once=at_once)
        numbers = [number for each in terms for number in each.in_words_of_the_script()]
        answer = self._run("send", self._name(chat_id), *numbers)
        if answer is None:
            return self._own.ask(chat_id, importance, waited_s=waited_s, at_once=at_once)
        granted, wait_ms, *who = answer
        if granted:
            self._own.count(chat_id)
        return Turn(granted=bool(granted), wait_s=wait_ms / 1000, by_chat=who == ["chat"])

    def silence(self, chat_id: int, seconds: float) -> None:
        """Obey a ``retry_after``: no process sends anything to this chat for so long."""
        self._own.silence(chat_id, seconds)
        self._run("silence", self._name(chat_id), math.ceil(seconds * 1000))

    def silence_s(self, chat_id: int) -> float:
        """Seconds until a chat that wants silence may be written to again."""
        own_s = self._own.silence_s(chat_id)
        if own_s > 0 or self._redis is None or self._absence is None or self._absence.lasts:
            return own_s
        began = time.monotonic()
        try:
            left_ms = self._redis.pttl(f"restora:silence:{self._bot_id}:{self._name(chat_id)}")
        except RedisError as error:
            self._note(self._absence, error, began)
            return own_s
        return max(own_s, left_ms / 1000)

    def _name(self, chat_id: int) -> str:
        """A chat's pseudonym: Redis's file has what was written there long after it ran out."""
        digest = hmac.digest(self._secret, str(chat_id).encode(), "sha256")
        return base64.b32encode(digest)[:16].decode().lower()

    def _run(self, script: str, *args: object) -> Any:
        if self._absence is None or self._absence.lasts:
            return None
        began = time.monotonic()
        try:
            return self._scripts[script](args=[self._bot_id, *map(str, args)])
        except RedisError as error:
            self._note(self._absence, error, began)
            return None

    def _note(self, absence: Absence, error: RedisError, began: float) -> None:
        logger.warning("sending by this process's own count, Redis does not do its part: %s", error)
        absence.note(error, since=began)


def _over_all(messages_per_s: float) -> Rate:
    return Rate(gap_s=1 / messages_per_s, burst=max(1.0, messages_per_s / 5))


def _rate_of(chat_id: int) -> Rate:
    return PRIVATE_CHAT if chat_id > 0 else GROUP


def _terms(
    all_chats: Rate, chat_id: int, importance: Importance, waited_s: float, *, at_once: bool
) -> tuple[_Terms, _Terms]:
    """How a message takes part in what all chats, and its own, may have."""
    is_late = waited_s >= PATIENT_FOR_S
    if importance is Importance.PROGRESS:  # room for a result and the word that it is there has to remain
        kept, kept_in_chat = all_chats.burst / 2, 2.0
    elif is_late:
        kept, kept_in_chat = 0.0, 0.0
    elif importance is Importance.ANSWER:  # in its own chat a result goes first: a worker waits with it
        kept, kept_in_chat = 0.0, 1.0
    elif importance is Importance.RESULT:
        kept, kept_in_chat = all_chats.burst / 5, 0.0
    else:
        kept, kept_in_chat = all_chats.burst / 3, 1.0
    if at_once or importance is Importance.PROGRESS:
        ahead_s, ahead_in_chat_s = 0.0, 0.0
    elif is_late:  # further than those who have just come
        ahead_s, ahead_in_chat_s = 1.5, 2.0
    else:
        ahead_s = 0.5 if importance is Importance.ANSWER else 0.0
        ahead_in_chat_s = 0.0 if importance is Importance.REST else 1.0
    # What is kept has to leave something, or a slow rate would never let this pass.
    kept = min(kept, all_chats.burst - 1)
    return (
        _Terms(rate=all_chats, kept=kept, ahead_s=ahead_s),
        _Terms(rate=_rate_of(chat_id), kept=kept_in_chat, ahead_s=ahead_in_chat_s),
    )


def _still_to_come(times: dict[int, float], now: float) -> dict[int, float]:
    return {chat_id: at for chat_id, at in times.items() if at > now}


def _source(script: str) -> str:
    return (resources.files("tasks") / "lua" / f"{script}.lua").read_text("utf-8")
