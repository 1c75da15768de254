"""The Cancel button under a status message."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.types import CallbackQuery, Message

from bot.outbox import Outbox
from bot.queue import JobQueue
from bot.status import show_cancelled
from bot.texts import BotTexts
from tasks.buttons import CANCEL_PREFIX
from tasks.messages import JobState

# A cancelled job may be met again: by a second press, or by a repeated call whose first answer got lost.
STOPPED = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLED})


def router() -> Router:
    """The handlers of this module."""
    buttons = Router(name="buttons")
    buttons.callback_query.register(cancel, F.data.startswith(CANCEL_PREFIX))
    buttons.callback_query.register(unknown_button)
    return buttons


async def cancel(query: CallbackQuery, bot: Bot, texts: BotTexts, jobs: JobQueue, outbox: Outbox) -> None:
    job_id = (query.data or "").removeprefix(CANCEL_PREFIX)
    met = await jobs.cancel(query.from_user.id, job_id)
    if met is None and query.message is not None:  # of somebody who speaks for the whole group
        met = await jobs.cancel(query.message.chat.id, job_id)
    pressed = query.message if isinstance(query.message, Message) else None
    if met is not None and pressed is not None and met.job.status_message_id not in {0, pressed.message_id}:
        outbox.post(
            met.job.chat_id, pressed.delete
        )  # a status message whose number got lost, and another came after it
    if met is not None and met.was in STOPPED:
        answer = texts.cancelled()
        outbox.post(met.job.chat_id, lambda: show_cancelled(bot, met.job, jobs=jobs, texts=texts))
    elif met is not None and met.was is JobState.DELIVERING:
        answer = texts.too_late_to_cancel()
    else:
        answer = texts.already_over()
    outbox.post(query.id, lambda: query.answer(answer))  # a chat of its own: the button waits for it


async def unknown_button(query: CallbackQuery, texts: BotTexts, outbox: Outbox) -> None:
    outbox.post(query.id, lambda: query.answer(texts.already_over()))
