"""The buttons under a message, checked as strictly as Telegram does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator import limits
from emulator.errors import JSON, bad_request

_ACTIONS = (
    "url",
    "callback_data",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)


@dataclass(frozen=True, slots=True)
class Button:
    """One inline button: its label and what it does."""

    text: str
    callback_data: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Keyboard:
    """The rows of an inline keyboard, and the markup as it was sent."""

    rows: tuple[tuple[Button, ...], ...]
    markup: JSON

    @property
    def buttons(self) -> tuple[Button, ...]:
        """All buttons, row by row."""
        return tuple(button for row in self.rows for button in row)


def parse_keyboard(markup: JSON | None) -> Keyboard | None:
    """The inline keyboard of a ``reply_markup``; None for none, an empty one and for the other kinds of markup.

    Raises:
        ApiError: 400, with Telegram's words where they are known.
    """
    if markup is None:
        return None
    if "inline_keyboard" not in markup:
        if markup.keys() & {"keyboard", "remove_keyboard", "force_reply"} or not markup:
            return None
        raise bad_request("object expected as reply markup")
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    parsed = tuple(tuple(_parse_button(button) for button in row) for row in rows if row)
    if sum(map(len, parsed)) > limits.BUTTONS_MAX:
        raise bad_request("reply markup is too long")
    if any(len(row) > limits.BUTTONS_PER_ROW_MAX for row in parsed):
        raise bad_request(f"a keyboard row has more than {limits.BUTTONS_PER_ROW_MAX} buttons")  # our words
    return Keyboard(parsed, {"inline_keyboard": [row for row in rows if row]}) if parsed else None


def parse_edited_keyboard(markup: JSON | None) -> Keyboard | None:
    """The inline keyboard of an edit, which may bring no other kind of markup."""
    keyboard = parse_keyboard(markup)
    if markup and "inline_keyboard" not in markup:
        raise bad_request("inline keyboard expected")
    return keyboard


def _parse_button(button: Any) -> Button:
    if not isinstance(button, dict):
        raise bad_request("can't parse inline keyboard button: InlineKeyboardButton must be an Object")
    text = button.get("text")
    if not isinstance(text, str):
        raise bad_request('can\'t parse inline keyboard button: field "text" must be of type String')
    if not text.strip():
        raise bad_request("text buttons are unallowed in the inline keyboard: button text is empty")
    if not button.keys() & set(_ACTIONS):
        raise bad_request("text buttons are unallowed in the inline keyboard")
    data, url = button.get("callback_data"), button.get("url")
    if data is not None and not 1 <= len(str(data).encode()) <= limits.CALLBACK_DATA_MAX_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")
    if url is not None and not str(url).startswith(("http://", "https://", "tg://")):
        raise bad_request(f"inline keyboard button URL '{url}' is invalid: unsupported URL protocol")
    return Button(text, data, url)
