"""The HTML parse mode (https://core.telegram.org/bots/api#html-style).

Written from that page; the wording of the errors is the one Telegram's server answers with. Left out: the
rule which entities may nest, and everything newer than custom emoji and expandable quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from emulator.entities.entity import Entity, in_order
from emulator.entities.utf16 import byte_offset, utf16_length
from emulator.errors import bad_request

_TYPES = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
    "tg-emoji": "custom_emoji",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
}
_CHARACTER = re.compile(r"&(?:lt|gt|amp|quot|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")
_TAG_END = re.compile(r"\s*>")
_NAME = re.compile(r"/?[^\s<>/]*")
_ATTRIBUTE = re.compile(r"""\s*([^\s=>"'/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>"']+))?""")


@dataclass(slots=True)
class _Open:
    """A start tag still waiting for its end."""

    name: str
    attributes: dict[str, str]
    start: int  # in the plain text, UTF-16 code units


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
            step = self._tag if self.source[position] == "<" else self._text
            position = step(position)
        if self.open:
            raise _unparsable(f'Can\'t find end tag corresponding to start tag "{self.open[-1].name}"')

    def _text(self, position: int) -> int:
        character = _CHARACTER.match(self.source, position)
        piece = unescape(character.group()) if character else self.source[position]
        self.plain.append(piece)
        self.units += utf16_length(piece)
        return character.end() if character else position + 1

    def _tag(self, position: int) -> int:
        match = _NAME.match(self.source, position + 1)
        name = match.group().lower() if match else ""
        end = position + 1 + len(name)
        if name.startswith("/"):
            return self._end_tag(position, end, name[1:])
        if name not in _TYPES:
            raise self._error(f'Unsupported start tag "{name}"', position)
        attributes, end = self._attributes(position, end)
        if name == "span" and attributes.get("class") != "tg-spoiler":
            raise self._error('Tag "span" must have class "tg-spoiler"', position)
        self.open.append(_Open(name, attributes, self.units))
        return end

    def _attributes(self, position: int, end: int) -> tuple[dict[str, str], int]:
        attributes: dict[str, str] = {}
        while match := _ATTRIBUTE.match(self.source, end):
            value = (match.group(2) or "").strip("\"'")
            attributes[match.group(1).lower()] = unescape(value)
            end = match.end()
        closing = _TAG_END.match(self.source, end)
        if closing is None:
            raise self._error("Unclosed start tag", position)
        return attributes, closing.end()

    def _end_tag(self, position: int, end: int, name: str) -> int:
        closing = _TAG_END.match(self.source, end)
        if closing is None:
            raise self._error("Unclosed end tag", position)
        if not self.open:
            raise self._error("Unexpected end tag", position)
        if name and name != self.open[-1].name:
            offset = byte_offset(self.source, position)
            expected = self.open[-1].name
            raise _unparsable(f'Unmatched end tag at byte offset {offset}, expected "</{expected}>", found "</{name}>"')
        self._close(self.open.pop())
        return closing.end()

    def _close(self, tag: _Open) -> None:
        length = self.units - tag.start
        if length == 0:
            return
        kind, extra = _TYPES[tag.name], {}
        if tag.name == "a":
            extra["url"] = tag.attributes.get("href", "")
            if not extra["url"]:
                return
        elif tag.name == "tg-emoji":
            extra["custom_emoji_id"] = tag.attributes.get("emoji-id", "")
        elif tag.name == "blockquote" and "expandable" in tag.attributes:
            kind = "expandable_blockquote"
        elif tag.name == "code":
            extra.update(self._language(tag))
        elif tag.name == "pre" and self.entities and self.entities[-1].type == "code":
            inner = self.entities[-1]
            if (inner.offset, inner.length) == (tag.start, length):  # <pre><code class="language-...">
                self.entities.pop()
                extra.update(inner.extra)
        self.entities.append(Entity(kind, tag.start, length, tuple(extra.items())))

    def _language(self, tag: _Open) -> dict[str, str]:
        language = tag.attributes.get("class", "").removeprefix("language-")
        inside_pre = bool(self.open) and self.open[-1].name == "pre"
        return {"language": language} if language and inside_pre else {}

    def _error(self, reason: str, position: int) -> Exception:
        return _unparsable(f"{reason} at byte offset {byte_offset(self.source, position)}")


def parse_html(source: str) -> tuple[str, tuple[Entity, ...]]:
    """Plain text and entities of an HTML text; ApiError 400 where Telegram refuses it."""
    parser = _Parser(source)
    parser.run()
    return "".join(parser.plain), in_order(parser.entities)


def _unparsable(reason: str) -> Exception:
    return bad_request(f"can't parse entities: {reason}")
