"""One message entity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Entity:
    """A formatted or recognised part of a text; ``offset`` and ``length`` in UTF-16 code units."""

    type: str
    offset: int
    length: int
    extra: tuple[tuple[str, str], ...] = ()  # url, language or custom_emoji_id

    def to_json(self) -> dict[str, Any]:
        """The Bot API's MessageEntity."""
        return {"type": self.type, "offset": self.offset, "length": self.length, **dict(self.extra)}

    def moved(self, by: int) -> Entity:
        """The same entity ``by`` units further on."""
        return replace(self, offset=self.offset + by)


def in_order(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """Sorted as Telegram lists them: by start, the enclosing one first."""
    return tuple(sorted(entities, key=lambda entity: (entity.offset, -entity.length, entity.type)))
