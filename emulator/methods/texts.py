"""The text or caption of a call, parsed and measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator import limits
from emulator.entities import Entity, parse_text, utf16_length
from emulator.errors import bad_request
from emulator.methods.arguments import Arguments


def message_text(arguments: Arguments) -> tuple[str, tuple[Entity, ...]]:
    """The ``text`` of a message: 1-4096 characters after parsing."""
    text, entities = parse_text(
        arguments.text("text") or "", arguments.text("parse_mode"), arguments.sequence("entities") or ()
    )
    if not text:
        raise bad_request("message text is empty")
    if utf16_length(text) > limits.TEXT_MAX:
        raise bad_request("message is too long")
    return text, entities


def caption_of(fields: Mapping[str, Any]) -> tuple[str, tuple[Entity, ...]]:
    """The ``caption`` among ``fields``: 0-1024 characters after parsing."""
    text, entities = parse_text(
        fields.get("caption") or "", fields.get("parse_mode"), fields.get("caption_entities") or ()
    )
    if utf16_length(text) > limits.CAPTION_MAX:
        raise bad_request("message caption is too long")
    return text, entities


def caption(arguments: Arguments) -> tuple[str, tuple[Entity, ...]]:
    """The ``caption`` of a call."""
    return caption_of(
        {
            "caption": arguments.text("caption"),
            "parse_mode": arguments.text("parse_mode"),
            "caption_entities": arguments.sequence("caption_entities"),
        }
    )
