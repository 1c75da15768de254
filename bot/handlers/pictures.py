"""Pictures become jobs; everything else gets one sentence that says why not and what to do."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.enums import ChatType
from aiogram.types import Message

from bot.intake import SAID_BY_PEOPLE, RefusalCode, owner_id, read_picture
from bot.middlewares.floods import REFUSED_AGAIN_AFTER_S, TYPED_AFTER_S, Refusals
from bot.outbox import Outbox
from bot.queue import JobQueue, UnansweredError
from bot.status import show_status
from bot.texts import BotTexts
from tasks import metrics
from tasks.messages import FINAL_STATES, Accepted, Refused, RestorePhoto

# In a group people talk to each other: only what is a picture, but one we cannot take, is answered there.
ANSWERED_IN_GROUPS: frozenset[RefusalCode] = frozenset({"file_too_large"})


def router() -> Router:
    """The handlers of this module."""
    pictures = Router(name="pictures")
    pictures.message.register(accept, F.chat.type != ChatType.CHANNEL, F.content_type.in_(SAID_BY_PEOPLE))
    return pictures


async def accept(
    message: Message,
    bot: Bot,
    *,
    texts: BotTexts,
    jobs: JobQueue,
    outbox: Outbox,
    refusals: Refusals,
    max_file_bytes: int,
) -> None:
    picture = read_picture(message, bot_id=bot.id, locale=texts.locale, max_file_bytes=max_file_bytes)
    if not isinstance(picture, RestorePhoto):
        if message.chat.type == ChatType.PRIVATE or picture in ANSWERED_IN_GROUPS:
            metrics.count("restora_messages_refused", reason=picture)
            _refuse(message, picture, texts.refusal(picture), refusals, outbox)
        return
    try:
        answer = await jobs.submit(picture)
    except UnansweredError:  # whoever handles it asks the sender to repeat it; what turns up all the same is shown
        outbox.post(
            f"{message.chat.id}, late", lambda: _show_late(message, picture, texts=texts, jobs=jobs, outbox=outbox)
        )
        raise
    if isinstance(answer, Refused):
        text = texts.user_limit(answer.limit) if answer.reason == "user_limit" else texts.queue_full()
        _refuse(message, answer.reason, text, refusals, outbox)
    elif _lacks_status(answer):
        outbox.post(message.chat.id, lambda: show_status(message, answer, jobs=jobs, texts=texts))


async def _show_late(
    message: Message, picture: RestorePhoto, *, texts: BotTexts, jobs: JobQueue, outbox: Outbox
) -> None:
    answer = await jobs.submitted_late(picture)
    if answer is not None and _lacks_status(answer):
        outbox.post(message.chat.id, lambda: show_status(message, answer, jobs=jobs, texts=texts))


def _lacks_status(answer: Accepted) -> bool:
    """True for a new job, and for one whose message came again because the bot died before it could answer."""
    return answer.fresh or not (answer.job.status_message_id or answer.job.state in FINAL_STATES)


def _refuse(message: Message, reason: str, text: str, refusals: Refusals, outbox: Outbox) -> None:
    again_after_s = REFUSED_AGAIN_AFTER_S if message.text is None else TYPED_AFTER_S
    if refusals.may_say(owner_id(message), reason, again_after_s=again_after_s):
        outbox.post(message.chat.id, lambda: message.reply(text, allow_sending_without_reply=True))
