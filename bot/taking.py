"""Pictures are taken in, or refused with one sentence that says why and what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from aiogram import Bot
from aiogram.enums import ChatType
from aiogram.types import Message

from bot.captions import is_asked_for
from bot.intake import RefusalCode, owner_id, read_picture
from bot.middlewares.floods import REFUSED_AGAIN_AFTER_S, SENT_AFTER_S, Refusals
from bot.outbox import Outbox
from bot.queue import JobQueue, UnansweredError
from bot.status import Statuses
from bot.texts import BotTexts
from tasks import metrics
from tasks.logs import job_context
from tasks.messages import FINAL_STATES, Accepted, Job, Refused, RestorePhoto

# In a group people talk to each other: only what is a picture, but one we cannot take, is answered there.
ANSWERED_IN_GROUPS: frozenset[RefusalCode] = frozenset({"file_too_large"})
NO_FILE: frozenset[RefusalCode] = frozenset({"text", "unknown_command", "other"})


@dataclass(frozen=True, kw_only=True)
class Taker:
    """Takes the picture of one update, to which the answer is owed where it is a refusal."""

    bot: Bot
    texts: BotTexts
    jobs: JobQueue
    outbox: Outbox
    statuses: Statuses
    refusals: Refusals
    max_file_bytes: int
    update_id: int

    async def take(self, message: Message) -> None:
        """Take the picture of a message; in a group most that is none gets no answer."""
        found = self._read(message)
        if isinstance(found, RestorePhoto):
            await self._hand_in(found, message, asked_in=message)
        elif message.chat.type == ChatType.PRIVATE or found in ANSWERED_IN_GROUPS or is_asked_for(message):
            self._refuse_kind(found, message, asked_in=message)

    async def take_answered(self, message: Message) -> bool:
        """Take the picture that a command answers; False where it answers none.

        The job is of whoever asked, but named after the picture, which its result answers: several who ask for one
        picture get one job, and so does who asks for one that was taken when it was sent.
        """
        shown = message.reply_to_message
        if shown is None:
            return False
        found = self._read(shown)
        if not isinstance(found, RestorePhoto):
            if found not in NO_FILE:
                self._refuse_kind(found, shown, asked_in=message)
            return found not in NO_FILE
        picture = replace(found, user_id=owner_id(message), asked_in=message.message_id)
        with job_context(picture.job_id):
            if known := await self._hand_in(picture, shown, asked_in=message):
                text = self.texts.had_before() if known.state in FINAL_STATES else self.texts.already_at_work()
                self.outbox.post(message.chat.id, lambda: message.reply(text))
        return True

    def _read(self, message: Message) -> RestorePhoto | RefusalCode:
        return read_picture(message, bot_id=self.bot.id, locale=self.texts.locale, max_file_bytes=self.max_file_bytes)

    async def _hand_in(self, picture: RestorePhoto, shown: Message, *, asked_in: Message) -> Job | None:
        """Hand in the picture that ``shown`` has; gives back a job that was known and needs no status message."""
        try:
            answer = await self.jobs.submit(picture)
        except UnansweredError:  # whoever handles it asks the sender to repeat it; what turns up all the same is shown
            self.outbox.post(f"{shown.chat.id}, late", partial(self._show_late, picture, shown))
            raise
        if isinstance(answer, Refused):
            # Behind the status messages of an album it would come when it is not true any more.
            self._refuse(asked_in, answer.reason, self._words(answer), overtakes=True)
            return None
        if _lacks_status(answer, picture):
            self.statuses.post(shown, answer)
            return None
        return answer.job

    async def _show_late(self, picture: RestorePhoto, shown: Message) -> None:
        answer = await self.jobs.submitted_late(picture)
        if answer is not None and _lacks_status(answer, picture):
            self.statuses.post(shown, answer)

    def _words(self, refused: Refused) -> str:
        return self.texts.user_limit(refused.limit) if refused.reason == "user_limit" else self.texts.queue_full()

    def _refuse_kind(self, code: RefusalCode, shown: Message, *, asked_in: Message) -> None:
        """Refuse what ``shown`` has: with one sentence things of one kind, or all of them in an album."""
        metrics.count("restora_messages_refused", reason=code)
        text = self.texts.refusal(code, self.max_file_bytes)
        self._refuse(asked_in, f"{code}, {shown.content_type}, {shown.media_group_id}", text)

    def _refuse(self, message: Message, reason: str, text: str, *, overtakes: bool = False) -> None:
        again_after_s = REFUSED_AGAIN_AFTER_S if message.media_group_id else SENT_AFTER_S
        if self.refusals.may_say(owner_id(message), reason, again_after_s=again_after_s):
            self.outbox.post(message.chat.id, lambda: message.reply(text), owed_to=self.update_id, overtakes=overtakes)


def _lacks_status(answer: Accepted, picture: RestorePhoto) -> bool:
    """True for a new job, and for one whose message came again because the bot died before it could answer.

    Never for a job of somebody else, who had asked for the same picture before: its status is for that one.
    """
    if answer.job.user_id != picture.user_id:
        return False
    return answer.fresh or not (answer.job.status_message_id or answer.job.state in FINAL_STATES)
