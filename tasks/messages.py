"""What crosses the queue: frozen records without logic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Literal, Self

PictureKind = Literal["photo", "document", "sticker"]


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DELIVERING = "delivering"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL_STATES = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})


def job_id(bot_id: int, chat_id: int, message_id: int) -> str:
    """The name of the job of one message; short enough for the 64 bytes behind a button."""
    return f"{bot_id}:{chat_id}:{message_id}"


@dataclass(frozen=True, kw_only=True)
class RestorePhoto:
    """The wish to have one picture restored, as the bot hands it in.

    ``bot_id``, ``chat_id`` and ``message_id`` name the message with the picture and, together, the job: the same
    message handed in twice is one job. ``pixels`` is what Telegram says or the best guess; it only serves the expected
    wait.
    """

    bot_id: int  # files and message numbers mean nothing to another bot
    chat_id: int
    message_id: int
    user_id: int
    locale: str
    kind: PictureKind
    file_id: str
    file_name: str = ""
    pixels: int
    queue: str = "restore"
    faces: int = -1  # strength of their restoration, 0 to 100; -1: as the worker is set
    faces_left_out: str = ""  # numbers as the faces preview has them, separated by commas
    thread_id: int = 0  # of the topic the message is in; 0: in none
    asked_in: int = 0  # the message of the same chat that asked for the picture; 0: the picture's own

    @property
    def job_id(self) -> str:
        return job_id(self.bot_id, self.chat_id, self.message_id)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The record of a job in Redis, which is the truth about it. Times are Redis's, in milliseconds since 1970."""

    id: str
    state: JobState
    chat_id: int
    message_id: int
    user_id: int
    locale: str
    kind: PictureKind
    file_id: str  # empty once the job is over, as is file_name: nobody needs them any more
    file_name: str = ""
    pixels: int
    queue: str
    queued_ms: int
    since_ms: int  # in its present state, queued or running
    started_ms: int = 0
    ended_ms: int = 0
    attempt: int = 0  # of the worker that holds it; every write of a worker names it
    forgiven: int = 0  # attempts that ended because the worker was told to leave
    status_message_id: int = 0  # 0: the bot has not shown one (yet)
    progress: float = 0.0
    worker: str = ""
    error: str = ""  # stable code, see tasks.texts
    resent: bool = False  # a delivery whose answer was lost was sent once more
    unknown_sends: int = 0  # messages with the result, in all attempts, of which nobody knows whether they arrived
    keeper: str = ""  # the worker that keeps the result, while the job waits to be delivered once more
    faces: int = -1
    faces_left_out: str = ""
    thread_id: int = 0  # as in RestorePhoto, like asked_in
    told: bool = False  # its owner knows that it failed or was cancelled
    asked_in: int = 0
    signature: str = ""  # see tasks.signature

    @property
    def tries(self) -> int:
        """Attempts that count towards the limit, the present one included."""
        return self.attempt - self.forgiven

    @property
    def wished_in(self) -> int:
        """The message of the wish: the later one of the picture and what asked for it."""
        return max(self.message_id, self.asked_in)

    def is_of(self, bot_id: int | None) -> bool:
        """Whether this bot has taken it in, so that its numbers name that bot's messages; None: whichever bot."""
        return bot_id is None or self.id.startswith(f"{bot_id}:")

    @classmethod
    def from_hash(cls, stored: Mapping[str, str]) -> Self:
        """Read the strings of a Redis hash; fields this version does not know are left alone."""
        return cls(**{name: _PARSE[name](stored[name]) for name in _PARSE if name in stored})


_PARSERS: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text == "1",
    "JobState": JobState,
    "PictureKind": str,
}
_PARSE = {entry.name: _PARSERS[str(entry.type)] for entry in fields(Job)}


@dataclass(frozen=True, kw_only=True)
class QueuePlace:
    """Where a queued job stands: ``place`` 1 is next; ``wait_s`` is None while no worker is there to measure by.

    ``longest_s`` is the wait if the picture turns out to be of the kind that takes longest; None: that is known.
    """

    place: int
    wait_s: float | None
    longest_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A picture that was taken. ``fresh`` is false where the message had been handed in before."""

    job: Job
    fresh: bool
    place: QueuePlace | None = None  # None once the job does not wait any more


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A picture that was not taken because somebody has too many: this user or everybody together."""

    reason: Literal["user_limit", "queue_full"]
    limit: int


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """One job that ``/restart`` or the Cancel button met. ``was`` is the state it was in before."""

    job: Job
    was: JobState


@dataclass(frozen=True, kw_only=True)
class WorkerCard:
    """What a live worker says about itself every few seconds."""

    name: str  # host:pid
    queues: tuple[str, ...]
    models: tuple[str, ...] = ()
    device: str
    dtype: str
    estimates: tuple[tuple[int, float], ...] = ()  # pixels of a photograph, rising, and the seconds it would take now
    longest: tuple[tuple[int, float], ...] = ()  # the same of whatever takes longest; as a drawing, or text
    idle_s: float = 0.0  # since when it has nothing to do; 0 while it works

    def to_json(self) -> str:
        """As Redis keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a card, also one of a worker of another version: what this one does not know is left alone."""
        said = {name: value for name, value in json.loads(text).items() if name in _CARD_FIELDS}
        estimates, longest = (
            tuple((int(pixels), float(seconds)) for pixels, seconds in said.get(name, ()))
            for name in ("estimates", "longest")
        )
        queues, models = tuple(said["queues"]), tuple(said.get("models", ()))
        return cls(**{**said, "queues": queues, "models": models, "estimates": estimates, "longest": longest})


_CARD_FIELDS = frozenset(entry.name for entry in fields(WorkerCard))
