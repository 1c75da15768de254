"""answerCallbackQuery."""

from __future__ import annotations

from emulator import limits
from emulator.entities import utf16_length
from emulator.errors import bad_request
from emulator.methods.arguments import Arguments
from emulator.methods.registry import method
from emulator.state import Telegram


@method("answerCallbackQuery")
async def answer_callback_query(telegram: Telegram, arguments: Arguments) -> bool:
    """Stop the spinner on a button, with or without a notice."""
    query = telegram.queries.get(arguments.text("callback_query_id") or "")
    text = arguments.text("text") or ""
    if utf16_length(text) > limits.CALLBACK_ANSWER_MAX:
        raise bad_request("MESSAGE_TOO_LONG")
    if query is None or query.answer is not None or telegram.clock() - query.time > telegram.callback_lifetime_s:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    query.answer = {
        "text": text,
        "show_alert": arguments.boolean("show_alert"),
        "url": arguments.text("url") or "",
    }
    telegram.changed()
    return True
