"""The queue of updates, as getUpdates sees it (https://core.telegram.org/bots/api#getupdates)."""

from __future__ import annotations

from collections.abc import Iterable

from emulator import limits
from emulator.errors import JSON

# [api] received only when asked for by name
_ON_REQUEST = frozenset({"chat_member", "message_reaction", "message_reaction_count"})


class UpdateQueue:
    """Updates stay until a later offset confirms them: a bot that dies gets them again."""

    def __init__(self, first_id: int = 100_000_000) -> None:
        self._next_id = first_id
        self._pending: list[JSON] = []
        self._allowed: frozenset[str] | None = None

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def allowed(self) -> list[str] | None:
        """The kinds the bot asked for, None before it did."""
        return sorted(self._allowed) if self._allowed else None

    def allow(self, kinds: Iterable[str]) -> None:
        """Deliver only ``kinds`` from now on; an empty list restores the default."""
        self._allowed = frozenset(kinds) or None

    def put(self, kind: str, payload: JSON) -> int | None:
        """Queue an update of a kind the bot wants; returns its id, None where it does not want it."""
        wanted = kind in self._allowed if self._allowed else kind not in _ON_REQUEST
        if not wanted:
            return None
        update_id = self._next_id
        self._next_id += 1
        self._pending.append({"update_id": update_id, kind: payload})
        return update_id

    def put_again(self, update: JSON) -> None:
        """Deliver an update a second time, under the same id, as Telegram does after a lost answer."""
        self._pending.append(update)
        self._pending.sort(key=lambda pending: int(pending["update_id"]))

    def take(self, offset: int = 0, limit: int = limits.GET_UPDATES_LIMIT_MAX) -> list[JSON]:
        """Forget what ``offset`` confirms and return up to ``limit`` of the rest, without removing them.

        A negative offset counts from the end and forgets everything before.
        """
        if offset < 0:
            self._pending = self._pending[offset:]
        elif offset > 0:
            self._pending = [update for update in self._pending if update["update_id"] >= offset]
        return self._pending[:limit]

    def drop_pending(self) -> None:
        """Forget everything."""
        self._pending.clear()
