"""The Cancel button under a status message."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from aiogram import Bot, F, Router
from aiogram.types import CallbackQuery, Message

from bot.outbox import Outbox
from bot.queue import JobQueue
from bot.status import Statuses
from bot.texts import BotTexts
from tasks.buttons import CANCEL_PREFIX
from tasks.messages import FINAL_STATES, Cancelled, Job, JobState
from tasks.messages import job_id as name_of_job

# A cancelled job may be met again: by a second press, or by a repeated call whose first answer got lost.
STOPPED = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLED})


def router() -> Router:
    """The handlers of this module."""
    buttons = Router(name="buttons")
    buttons.callback_query.register(cancel, F.data.startswith(CANCEL_PREFIX))
    buttons.callback_query.register(unknown_button)
    return buttons


async def cancel(
    query: CallbackQuery, bot: Bot, *, texts: BotTexts, jobs: JobQueue, outbox: Outbox, statuses: Statuses
) -> None:
    job_id = (query.data or "").removeprefix(CANCEL_PREFIX)
    met = await jobs.cancel(query.from_user.id, job_id)
    if met is None and query.message is not None:  # of somebody who speaks for the whole group
        met = await jobs.cancel(query.message.chat.id, job_id)
    pressed = query.message if isinstance(query.message, Message) else None
    if met is None and pressed is not None and (channel_id := _channel_of(pressed, job_id, bot)):
        met = await jobs.cancel(channel_id, job_id)
    if met is not None and pressed is not None and _is_stray(pressed, met):
        outbox.post(met.job.chat_id, pressed.delete)
    if met is not None and met.was in STOPPED:
        answer = texts.cancelled()
        stopped = _with_status(met.job, pressed)
        outbox.post(stopped.chat_id, partial(statuses.show_cancelled, stopped))
    elif met is not None and met.was is JobState.DELIVERING:
        answer = texts.too_late_to_cancel()
    elif met is not None:
        answer = texts.already_over()
    else:
        answer = await _why_not(query, job_id, bot, texts, jobs)
    outbox.post(query.id, lambda: query.answer(answer))  # a chat of its own: the button waits for it


async def _why_not(query: CallbackQuery, job_id: str, bot: Bot, texts: BotTexts, jobs: JobQueue) -> str:
    """Why a press stopped nothing. Of other chats it tells nothing: whoever presses may send any name."""
    if query.message is None or not job_id.startswith(f"{bot.id}:{query.message.chat.id}:"):
        return texts.unknown_button()
    job = await jobs.look(job_id)
    return texts.already_over() if job is None or job.state in FINAL_STATES else texts.not_theirs_to_stop()


def _channel_of(pressed: Message, job_id: str, bot: Bot) -> int | None:
    """In whose name the picture was sent, if the message that was pressed answers the very one of this job."""
    picture = pressed.reply_to_message
    if picture is None or picture.sender_chat is None:
        return None
    return picture.sender_chat.id if job_id == name_of_job(bot.id, pressed.chat.id, picture.message_id) else None


def _is_stray(pressed: Message, met: Cancelled) -> bool:
    """Whether this is a status message whose number got lost, and another came after it, or the end.

    A result has no button: who names theirs does not lose it.
    """
    is_over = met.was in {JobState.DONE, JobState.FAILED}
    lost_it = is_over and met.job.status_message_id == 0 and pressed.reply_markup is not None
    is_another = met.job.status_message_id not in {0, pressed.message_id}
    return _answers(pressed, met.job) and (is_another or lost_it)


def _with_status(job: Job, pressed: Message | None) -> Job:
    """The job with the one status message it has, whose number got lost and is known again now."""
    if pressed is None or job.status_message_id or not _answers(pressed, job):
        return job
    return replace(job, status_message_id=pressed.message_id)


def _answers(pressed: Message, job: Job) -> bool:
    """Whether this message answers the job's picture; who presses may name any message."""
    picture = pressed.reply_to_message
    return picture is not None and (pressed.chat.id, picture.message_id) == (job.chat_id, job.message_id)


async def unknown_button(query: CallbackQuery, texts: BotTexts, outbox: Outbox) -> None:
    outbox.post(query.id, lambda: query.answer(texts.unknown_button()))
