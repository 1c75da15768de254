"""From the text a bot sends to plain text and entities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from emulator.entities.automatic import recognise
from emulator.entities.entity import Entity, in_order
from emulator.entities.html import parse_html
from emulator.entities.markdown import parse_markdown_v2
from emulator.entities.utf16 import utf16_length, utf16_slice
from emulator.errors import bad_request

__all__ = ["Entity", "parse_text", "recognise", "utf16_length", "utf16_slice"]

_PARSERS: dict[str, Callable[[str], tuple[str, tuple[Entity, ...]]]] = {
    "html": parse_html,
    "markdownv2": parse_markdown_v2,
}


def parse_text(
    source: str, parse_mode: str | None, explicit: Sequence[dict[str, Any]] = ()
) -> tuple[str, tuple[Entity, ...]]:
    """Plain text, trimmed as Telegram does, and its entities, given or recognised.

    Raises:
        ApiError: 400, the text does not parse in this mode or an entity lies outside of it.
    """
    if parse_mode:
        parser = _PARSERS.get(parse_mode.lower())
        if parser is None:
            raise bad_request("unsupported parse_mode")
        text, entities = parser(source)
    else:
        text, entities = source, in_order(_given(source, item) for item in explicit)
    return _trimmed(text, entities)


def _given(text: str, item: dict[str, Any]) -> Entity:
    try:
        kind, offset, length = str(item["type"]), int(item["offset"]), int(item["length"])
    except (KeyError, TypeError, ValueError):
        raise bad_request("can't parse MessageEntity: entity must have type, offset and length") from None
    if offset < 0 or length <= 0 or offset + length > utf16_length(text):
        raise bad_request(f"entity beginning at UTF-16 offset {offset} ends after the end of the text")
    extra = ((key, str(item[key])) for key in ("url", "language", "custom_emoji_id") if item.get(key))
    return Entity(kind, offset, length, tuple(extra))


def _trimmed(text: str, entities: tuple[Entity, ...]) -> tuple[str, tuple[Entity, ...]]:
    trimmed = text.strip()
    leading = utf16_length(text[: len(text) - len(text.lstrip())])
    units = utf16_length(trimmed)
    kept = []
    for entity in entities:
        start = max(entity.offset - leading, 0)
        end = min(entity.offset - leading + entity.length, units)
        if end > start:
            kept.append(Entity(entity.type, start, end - start, entity.extra))
    return trimmed, recognise(trimmed, tuple(kept))
