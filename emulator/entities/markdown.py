"""The MarkdownV2 parse mode (https://core.telegram.org/bots/api#markdownv2-style).

Written from that page; the wording of the errors is the one Telegram's server answers with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from emulator.entities.entity import Entity, in_order
from emulator.entities.utf16 import byte_offset, utf16_length
from emulator.errors import bad_request

_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
# Longest first, so that "__" is never read as two italics.
_DELIMITERS = (
    ("__", "underline"),
    ("||", "spoiler"),
    ("_", "italic"),
    ("*", "bold"),
    ("~", "strikethrough"),
)
_NAMES = {
    "underline": "Underline",
    "spoiler": "Spoiler",
    "italic": "Italic",
    "bold": "Bold",
    "strikethrough": "Strikethrough",
    "text_link": "TextUrl",
    "custom_emoji": "CustomEmoji",
    "code": "Code",
    "pre": "PreCode",
    "blockquote": "BlockQuote",
}
_LANGUAGE = re.compile(r"([^\s`]+)\n")


@dataclass(slots=True)
class _Open:
    """An entity that has begun: its delimiter, where in the source, and where in the plain text."""

    delimiter: str
    kind: str
    position: int
    start: int


class _Parser:
    """One pass over the source; ``plain`` and ``entities`` hold the result."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.plain: list[str] = []
        self.units = 0
        self.entities: list[Entity] = []
        self.open: list[_Open] = []

    def run(self) -> None:
        position = 0
        while position < len(self.source):
            position = self._step(position)
        self._end_quote()
        if self.open:
            raise self._never_ends(self.open[-1].kind, self.open[-1].position)

    def _step(self, position: int) -> int:
        character = self.source[position]
        if character == "\\" and position + 1 < len(self.source) and ord(self.source[position + 1]) < 127:
            return self._literal(position + 1)
        if character == "\n":
            following = self._literal(position)
            if not self.source.startswith(">", following):
                self._end_quote()
            return following
        return self._reserved_step(position) if character in _RESERVED else self._literal(position)

    def _reserved_step(self, position: int) -> int:
        character = self.source[position]
        if character == "`":
            return self._code(position)
        if character == ">" and self._at_line_start(position):
            return self._quote(position)
        return self._bracket(position) if character in "[!]" else self._delimiter(position)

    def _literal(self, position: int) -> int:
        self._write(self.source[position])
        return position + 1

    def _write(self, piece: str) -> None:
        self.plain.append(piece)
        self.units += utf16_length(piece)

    def _delimiter(self, position: int) -> int:
        for delimiter, kind in _DELIMITERS:
            if not self.source.startswith(delimiter, position):
                continue
            if self.open and self.open[-1].delimiter == delimiter:
                self._close(self.open.pop())
            else:
                self.open.append(_Open(delimiter, kind, position, self.units))
            return position + len(delimiter)
        raise self._reserved(position)

    def _bracket(self, position: int) -> int:
        if self.source[position] == "[":
            self.open.append(_Open("]", "text_link", position, self.units))
            return position + 1
        if self.source.startswith("![", position):
            self.open.append(_Open("]", "custom_emoji", position, self.units))
            return position + 2
        if self.source[position] == "]" and self.open and self.open[-1].delimiter == "]":
            return self._target(position + 1)
        raise self._reserved(position)

    def _target(self, position: int) -> int:
        opened = self.open.pop()
        url, end = self._until(position + 1, ")") if self.source.startswith("(", position) else ("", position)
        if end < 0:
            raise _unparsable(f"Can't find end of a URL at byte offset {byte_offset(self.source, position)}")
        if url and opened.kind == "text_link":
            self._close(opened, (("url", url),))
        elif opened.kind == "custom_emoji":
            self._close(opened, (("custom_emoji_id", url.removeprefix("tg://emoji?id=")),))
        return end

    def _code(self, position: int) -> int:
        fence = "```" if self.source.startswith("```", position) else "`"
        kind = "pre" if fence == "```" else "code"
        start = position + len(fence)
        extra: tuple[tuple[str, str], ...] = ()
        if kind == "pre":
            if language := _LANGUAGE.match(self.source, start):
                start, extra = language.end(), (("language", language.group(1)),)
            elif self.source.startswith("\n", start):
                start += 1
        text, end = self._until(start, fence)
        if end < 0:
            raise self._never_ends(kind, position)
        opened = _Open(fence, kind, position, self.units)
        self._write(text)
        self._close(opened, extra)
        return end

    def _until(self, position: int, end: str) -> tuple[str, int]:
        """The unescaped text up to ``end`` and the position after it, or -1 if it never comes."""
        text: list[str] = []
        while position < len(self.source):
            if self.source[position] == "\\" and position + 1 < len(self.source):
                text.append(self.source[position + 1])
                position += 2
            elif self.source.startswith(end, position):
                return "".join(text), position + len(end)
            else:
                text.append(self.source[position])
                position += 1
        return "", -1

    def _at_line_start(self, position: int) -> bool:
        return position == 0 or self.source[position - 1] == "\n"

    def _quote(self, position: int) -> int:
        if not any(opened.kind == "blockquote" for opened in self.open):
            self.open.append(_Open("", "blockquote", position, self.units))
        return position + 1

    def _end_quote(self) -> None:
        if self.open and self.open[-1].kind == "blockquote":
            self._close(self.open.pop())

    def _close(self, opened: _Open, extra: tuple[tuple[str, str], ...] = ()) -> None:
        if self.units > opened.start:
            self.entities.append(Entity(opened.kind, opened.start, self.units - opened.start, extra))

    def _reserved(self, position: int) -> Exception:
        character = self.source[position]
        return _unparsable(f"Character '{character}' is reserved and must be escaped with the preceding '\\'")

    def _never_ends(self, kind: str, position: int) -> Exception:
        offset = byte_offset(self.source, position)
        return _unparsable(f"Can't find end of {_NAMES[kind]} entity at byte offset {offset}")


def parse_markdown_v2(source: str) -> tuple[str, tuple[Entity, ...]]:
    """Plain text and entities of a MarkdownV2 text; ApiError 400 where Telegram refuses it."""
    parser = _Parser(source)
    parser.run()
    return "".join(parser.plain), in_order(parser.entities)


def _unparsable(reason: str) -> Exception:
    return bad_request(f"can't parse entities: {reason}")
