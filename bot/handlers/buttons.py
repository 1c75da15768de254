"""The Cancel button under a status message."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.types import CallbackQuery

from bot.outbox import Outbox
from bot.queue import JobQueue
from bot.status import show_cancelled
from bot.texts import BotTexts
from tasks.buttons import CANCEL_PREFIX
from tasks.messages import JobState


def router() -> Router:
    """The handlers of this module."""
    buttons = Router(name="buttons")
    buttons.callback_query.register(cancel, F.data.startswith(CANCEL_PREFIX))
    buttons.callback_query.register(unknown_button)
    return buttons


async def cancel(query: CallbackQuery, bot: Bot, texts: BotTexts, jobs: JobQueue, outbox: Outbox) -> None:
    met = await jobs.cancel(query.from_user.id, (query.data or "").removeprefix(CANCEL_PREFIX))
    if met is not None and met.was in (JobState.QUEUED, JobState.RUNNING):
        answer = texts.cancelled()
        outbox.post(met.job.chat_id, lambda: show_cancelled(bot, met.job, texts=texts))
    elif met is not None and met.was is JobState.DELIVERING:
        answer = texts.too_late_to_cancel()
    else:
        answer = texts.already_over()
    outbox.post(query.from_user.id, lambda: query.answer(answer))


async def unknown_button(query: CallbackQuery, texts: BotTexts, outbox: Outbox) -> None:
    outbox.post(query.from_user.id, lambda: query.answer(texts.already_over()))
