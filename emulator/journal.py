"""The record of every call: the account at the end of a chaos test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Call:
    """One call of the bot; times in seconds since the epoch.

    ``result`` is what the method returned, ``error`` the refusal's description; after a fault both may be None.
    ``executed`` tells whether the call changed the world, whether or not the answer arrived.
    """

    method: str
    chat_id: int | None
    arguments: dict[str, Any]
    started: float
    finished: float | None = None
    result: Any = None
    error: str | None = None
    fault: str | None = None
    executed: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the control interface shows it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Journal:
    """All calls except the polls, in the order in which they began."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def of(self, method: str | None = None, chat_id: int | None = None) -> list[Call]:
        """The calls of one method, of one chat, or both."""
        return [
            call
            for call in self.calls
            if (method is None or call.method.lower() == method.lower())
            and (chat_id is None or call.chat_id == chat_id)
        ]
