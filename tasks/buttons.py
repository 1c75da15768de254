"""The Cancel button, which the bot puts under a status message and the worker keeps there."""

from __future__ import annotations

from tasks.messages import Job
from tasks.texts import Texts

CANCEL_PREFIX = "cancel:"  # of the callback data, of which Telegram takes 64 bytes


def cancel_markup(job: Job) -> dict[str, object]:
    """The Cancel button of a job, as the Bot API's InlineKeyboardMarkup."""
    button = {"text": Texts(job.locale).cancel_button(), "callback_data": CANCEL_PREFIX + job.id}
    return {"inline_keyboard": [[button]]}
