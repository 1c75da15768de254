"""Offsets of message entities count UTF-16 code units (https://core.telegram.org/api/entities)."""

from __future__ import annotations


def utf16_length(text: str) -> int:
    """Length of ``text`` in UTF-16 code units: 2 for characters beyond U+FFFF, else 1."""
    return len(text) + sum(1 for character in text if ord(character) > 0xFFFF)


def utf16_slice(text: str, offset: int, length: int) -> str:
    """The part of ``text`` an entity covers; a cut through a surrogate pair yields U+FFFD."""
    encoded = text.encode("utf-16-le")[2 * offset : 2 * (offset + length)]
    return encoded.decode("utf-16-le", errors="replace")


def byte_offset(text: str, index: int) -> int:
    """Where character ``index`` starts in UTF-8, as Telegram's parser errors count it."""
    return len(text[:index].encode())
