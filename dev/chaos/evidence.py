"""What is known about a run: what people sent and saw, what the store says. Plain records, no judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.messages import Job


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A picture a user sent; times in seconds since the epoch, here and below."""

    number: int
    chat_id: int
    message_id: int
    at: float
    locale: str = "en"
    kind: str = "photo"


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a message of the bot said at one time. ``picture`` is the number that a document carries, None for none."""

    at: float
    text: str = ""
    is_document: bool = False
    picture: int | None = None
    has_button: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A message of the bot with its whole history. ``reply_to`` is the number of the message it answers."""

    chat_id: int
    message_id: int
    reply_to: int | None
    history: tuple[Words, ...]
    deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A user wanted a picture stopped: the one of ``message_id`` by its button, or all of theirs by /restart (None).

    ``answer`` is what popped up at the button.
    """

    chat_id: int
    at: float
    message_id: int | None
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All of it. ``jobs`` is by picture; ``closed`` has when calls were refused because their user blocked the bot."""

    sent: tuple[Sent, ...]
    answers: tuple[Answer, ...] = ()
    wishes: tuple[Wish, ...] = ()
    jobs: Mapping[int, Job] = field(default_factory=dict)
    closed: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    unconfirmed: frozenset[tuple[int, int]] = frozenset()  # (chat, message) of updates the bot has not confirmed
