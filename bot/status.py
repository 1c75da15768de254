"""The status message of a job, from the bot's side: shown when the job is taken, changed when it is cancelled."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramMigrateToChat
from aiogram.types import Message

from bot.keyboards import cancel_keyboard
from bot.middlewares.sending import CalledOffError, sent_only_if
from bot.outbox import Outbox
from bot.queue import JobQueue, QueueUnavailableError
from bot.texts import BotTexts
from tasks.messages import FINAL_STATES, Accepted, Job, JobState

logger = logging.getLogger(__name__)

SHOWN = frozenset({JobState.QUEUED, JobState.RUNNING})  # states that have something to show


@dataclass(frozen=True, kw_only=True)
class Statuses:
    """Posts status messages, and what becomes of them, in one language."""

    bot: Bot
    texts: BotTexts
    jobs: JobQueue
    outbox: Outbox

    def post(self, picture: Message, accepted: Accepted) -> None:
        """Have a picture answered with its status message."""
        self.outbox.post(picture.chat.id, lambda: self._show(picture, accepted))

    async def _show(self, picture: Message, accepted: Accepted) -> None:
        """Answer a picture with its status message, and let the job know which one it is.

        Not one that was stopped or is done by now, here or when the message has its turn: it would come after the word
        about that, make a sound for nothing and hold up the answers behind it.
        """
        job = await self._if_it_lacks_status(accepted.job)
        if job is None:
            return
        is_queued = job.state is JobState.QUEUED
        text = self.texts.queued(accepted.place) if accepted.place and is_queued else self.texts.started()
        try:
            with sent_only_if(lambda: self._lacks_status(job)):
                status = await picture.reply(text, reply_markup=cancel_keyboard(job))
        except CalledOffError:
            return
        if status.chat.id != job.chat_id:
            return  # the group became a supergroup: workers would take the number for one of the old chat
        try:
            await self._attach(job, status)
        except QueueUnavailableError:
            self._post_note(job, partial(self._attach, job, status, late=True))

    async def _attach(self, job: Job, status: Message, *, late: bool = False) -> None:
        state = await self.jobs.attach_status(job, status.message_id, late=late)
        if state in {JobState.CANCELLED, None}:  # None: its owner has had everything forgotten meanwhile
            self._post_shown_as_cancelled(replace(job, status_message_id=status.message_id))
        elif state in FINAL_STATES or state is JobState.DELIVERING:
            await status.delete()  # the worker was quicker and answered with a message of its own

    async def _if_it_lacks_status(self, job: Job) -> Job | None:
        """The job as it stands; None where a status message would come too late or second."""
        try:
            now = await self.jobs.look(job.id)
        except QueueUnavailableError:  # then nobody knows, and a word too many is better than none
            return job
        lacks_it = now is not None and now.state in SHOWN and not now.status_message_id
        return now if lacks_it else None

    async def _lacks_status(self, job: Job) -> bool:
        return await self._if_it_lacks_status(job) is not None

    def post_cancelled(self, stopped: list[Job], *, chat_id: int, answer: Callable[[], Awaitable[object]]) -> None:
        """Have a wish answered that stopped these jobs, wherever they were sent, and their messages changed.

        These are in no answer's way: one a second is all that Telegram takes in a chat. Of a job without one its owner
        knows when the answer has left; where it never does a janitor says it.
        """
        shown = [job for job in stopped if job.status_message_id]
        unshown = [job for job in stopped if not job.status_message_id]

        async def answer_for_them() -> None:
            await answer()
            for job in unshown:
                await self._mark_told(job)

        self.outbox.post(chat_id, answer_for_them)
        for job in shown:
            self._post_shown_as_cancelled(job)

    def _post_shown_as_cancelled(self, job: Job) -> None:
        self.outbox.post(f"{job.chat_id}, afterwards", partial(self.show_cancelled, job))

    async def show_cancelled(self, job: Job) -> None:
        """Turn a job's status message into the word that it was stopped, where it can still be changed."""
        if not job.status_message_id:
            return  # it is still on its way and will be changed then, or a janitor says it
        try:
            await self.bot.edit_message_text(
                self.texts.cancelled(), chat_id=job.chat_id, message_id=job.status_message_id
            )
        except TelegramBadRequest as error:
            if "message is not modified" not in error.message:
                raise
        except TelegramMigrateToChat:
            logger.info(
                "a group became a supergroup, the status message of a stopped job stays as it was in the old one"
            )
        await self._mark_told(job)

    async def _mark_told(self, job: Job) -> None:
        try:
            await self.jobs.mark_told(job)
        except QueueUnavailableError:
            self._post_note(job, partial(self.jobs.mark_told, job, late=True))

    def _post_note(self, job: Job, note: Callable[[], Awaitable[object]]) -> None:
        """Have Redis told when it is back, while the chat's next answers leave."""
        self.outbox.post(f"{job.chat_id}, noted", note)
