"""What Telegram recognises in any text by itself: commands, mentions, hashtags, addresses."""

from __future__ import annotations

import re

from emulator.entities.entity import Entity, in_order
from emulator.entities.utf16 import utf16_length

_PATTERNS = (
    ("url", re.compile(r"(?<![\w/@.])(?:https?://[^\s<>\"]+[^\s<>\".,!?)]|t\.me/\w+)")),
    ("email", re.compile(r"(?<![\w.])[\w.+-]+@[\w-]+\.[a-z]{2,}", re.IGNORECASE)),
    ("bot_command", re.compile(r"(?<![\w/@])/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?(?![\w/])")),
    ("mention", re.compile(r"(?<![\w@.])@[A-Za-z]\w{3,31}(?!\w)")),
    ("hashtag", re.compile(r"(?<![\w#])#\w*[^\W\d]\w*")),
)


def recognise(text: str, formatted: tuple[Entity, ...] = ()) -> tuple[Entity, ...]:
    """``formatted`` plus what was recognised outside of code and links, in order."""
    taken = [(entity.offset, entity.offset + entity.length) for entity in formatted if _is_closed(entity)]
    found = list(formatted)
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start = utf16_length(text[: match.start()])
            end = start + utf16_length(match.group())
            if all(end <= first or last <= start for first, last in taken):
                taken.append((start, end))
                found.append(Entity(kind, start, end - start))
    return in_order(found)


def _is_closed(entity: Entity) -> bool:
    return entity.type in {"code", "pre", "text_link", "text_mention", "custom_emoji"}
