"""The keyboard under the input field, checked more strictly than Telegram does.

Telegram skips keys without a text and cuts what is too long, both silently; a test is the better place to hear of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator import limits
from emulator.entities import utf16_length
from emulator.errors import JSON, bad_request, not_emulated

# [api] KeyboardButton: with one of these a key does something else than send its text
_REQUESTS = (
    "request_users",
    "request_chat",
    "request_managed_bot",
    "request_contact",
    "request_location",
    "request_poll",
    "web_app",
)


@dataclass(frozen=True, slots=True)
class ReplyKeyboard:
    """The labels of the keys row by row, and how a client is asked to show them."""

    rows: tuple[tuple[str, ...], ...]
    resize: bool = False
    is_persistent: bool = False
    one_time: bool = False
    placeholder: str | None = None
    selective: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """All labels, row by row."""
        return tuple(key for row in self.rows for key in row)


@dataclass(frozen=True, slots=True)
class ReplyKeyboardRemoval:
    """What takes the keyboard away."""

    selective: bool = False


def parse_reply_keyboard(markup: JSON | None) -> ReplyKeyboard | ReplyKeyboardRemoval | None:
    """What a ``reply_markup`` changes under the input field; None if nothing, as every other kind of markup does.

    Raises:
        ApiError: 400, with Telegram's words where it refuses too; 501 for keys that ask for more than a text.
    """
    if markup is None:
        return None
    if "keyboard" in markup:
        return _parse_keyboard(markup)
    if _flag(markup, "remove_keyboard"):
        return ReplyKeyboardRemoval(selective=_flag(markup, "selective"))
    return None


def _parse_keyboard(markup: JSON) -> ReplyKeyboard:
    return ReplyKeyboard(
        rows=_parse_rows(markup["keyboard"]),
        resize=_flag(markup, "resize_keyboard"),
        is_persistent=_flag(markup, "is_persistent"),
        one_time=_flag(markup, "one_time_keyboard"),
        placeholder=_parse_placeholder(markup),
        selective=_flag(markup, "selective"),
    )


def _parse_rows(rows: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(rows, list):
        raise bad_request('field "keyboard" of the ReplyKeyboardMarkup must be an Array')
    if not all(isinstance(row, list) for row in rows):
        raise bad_request('field "keyboard" of the ReplyKeyboardMarkup must be an Array of Arrays')
    if not rows or not all(rows):
        raise bad_request("a reply keyboard and each of its rows need at least one key")  # our words
    if any(len(row) > limits.KEYS_PER_ROW_MAX for row in rows):
        raise bad_request(f"a row of a reply keyboard has more than {limits.KEYS_PER_ROW_MAX} keys")  # our words
    if sum(map(len, rows)) > limits.KEYS_MAX:
        raise bad_request(f"a reply keyboard has more than {limits.KEYS_MAX} keys")  # our words
    return tuple(tuple(_parse_key(key) for key in row) for row in rows)


def _parse_key(key: Any) -> str:
    if isinstance(key, str):  # [api] KeyboardButton: a String may stand for a key that sends just that
        key = {"text": key}
    if not isinstance(key, dict):
        raise bad_request("can't parse keyboard button: KeyboardButton must be a String or an Object")
    if "text" not in key:
        raise bad_request("can't parse keyboard button: Can't find field \"text\"")
    text = key["text"]
    if not isinstance(text, str):
        raise bad_request('can\'t parse keyboard button: Field "text" must be of type String')
    if not text.strip():
        raise bad_request("keyboard button text must be non-empty")
    for request in _REQUESTS:
        if key.get(request):
            raise not_emulated(f"keys with {request}")
    return text


def _parse_placeholder(markup: JSON) -> str | None:
    placeholder = markup.get("input_field_placeholder")
    if placeholder is None:
        return None
    if not isinstance(placeholder, str):
        raise bad_request('field "input_field_placeholder" must be of type String')
    if not 1 <= utf16_length(placeholder) <= limits.PLACEHOLDER_MAX:
        raise bad_request(f"input_field_placeholder must have 1-{limits.PLACEHOLDER_MAX} characters")  # our words
    return placeholder


def _flag(markup: JSON, name: str) -> bool:
    value = markup.get(name)
    if value is not None and not isinstance(value, bool):
        raise bad_request(f'field "{name}" must be of type Boolean')
    return bool(value)
