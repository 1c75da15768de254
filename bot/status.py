"""The status message of a job, from the bot's side: shown when the job is taken, changed when it is cancelled."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import Message

from bot.keyboards import cancel_keyboard
from bot.outbox import Outbox
from bot.queue import JobQueue
from bot.texts import BotTexts
from tasks.messages import FINAL_STATES, Accepted, Job, JobState


async def show_status(message: Message, accepted: Accepted, *, jobs: JobQueue, texts: BotTexts) -> None:
    """Answer a picture with its status message, and let the job know which one it is."""
    text = texts.queued(accepted.place) if accepted.place else texts.started()
    keyboard = cancel_keyboard(accepted.job)
    status = await message.reply(text, reply_markup=keyboard, allow_sending_without_reply=True)
    state = await jobs.attach_status(accepted.job, status.message_id)
    if state in {JobState.CANCELLED, None}:  # None: its owner has had everything forgotten meanwhile
        await status.edit_text(texts.cancelled())
        await jobs.mark_told(accepted.job)
    elif state in FINAL_STATES or state is JobState.DELIVERING:
        await status.delete()  # the worker was quicker and answered with a message of its own


def post_cancelled(stopped: Iterable[Job], *, bot: Bot, texts: BotTexts, jobs: JobQueue, outbox: Outbox) -> None:
    """Have the status messages changed in no answer's way: one a second is all that Telegram takes in a chat."""
    for job in stopped:
        outbox.post(f"{job.chat_id}, afterwards", partial(show_cancelled, bot, job, jobs=jobs, texts=texts))


async def show_cancelled(bot: Bot, job: Job, *, jobs: JobQueue, texts: BotTexts) -> None:
    """Turn a job's status message into the word that it was stopped."""
    if not job.status_message_id:
        return  # show_status is still under way and will see it
    try:
        await bot.edit_message_text(texts.cancelled(), chat_id=job.chat_id, message_id=job.status_message_id)
    except TelegramBadRequest as error:
        if "message is not modified" not in error.message:
            raise
    await jobs.mark_told(job)
