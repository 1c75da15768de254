"""Pictures become jobs; everything else gets one sentence that says why not and what to do."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.enums import ChatType
from aiogram.types import Message

from bot.intake import RefusalCode, read_picture
from bot.outbox import Outbox
from bot.queue import JobQueue
from bot.status import show_status
from bot.texts import BotTexts
from tasks import metrics
from tasks.messages import FINAL_STATES, Accepted, Refused, RestorePhoto

# In a group people talk to each other: only what is a picture, but one we cannot take, is answered there.
ANSWERED_IN_GROUPS: frozenset[RefusalCode] = frozenset({"file_too_large"})


def router() -> Router:
    """The handlers of this module."""
    pictures = Router(name="pictures")
    pictures.message.register(accept, F.chat.type != ChatType.CHANNEL)
    return pictures


async def accept(
    message: Message, bot: Bot, *, texts: BotTexts, jobs: JobQueue, outbox: Outbox, max_file_bytes: int
) -> None:
    picture = read_picture(message, bot_id=bot.id, locale=texts.locale, max_file_bytes=max_file_bytes)
    if isinstance(picture, RestorePhoto):
        await _take(message, picture, texts, jobs, outbox)
    elif message.chat.type == ChatType.PRIVATE or picture in ANSWERED_IN_GROUPS:
        metrics.count("restora_messages_refused", reason=picture)
        outbox.post(message.chat.id, lambda: message.reply(texts.refusal(picture), allow_sending_without_reply=True))


async def _take(message: Message, wish: RestorePhoto, texts: BotTexts, jobs: JobQueue, outbox: Outbox) -> None:
    answer = await jobs.submit(wish)
    if isinstance(answer, Refused):
        text = texts.user_limit(answer.limit) if answer.reason == "user_limit" else texts.queue_full()
        _reply(message, text, outbox)
    elif _lacks_status(answer):
        outbox.post(message.chat.id, lambda: show_status(message, answer, jobs=jobs, texts=texts))


def _lacks_status(answer: Accepted) -> bool:
    """True for a new job, and for one whose message came again because the bot died before it could answer."""
    return answer.fresh or not (answer.job.status_message_id or answer.job.state in FINAL_STATES)


def _reply(message: Message, text: str, outbox: Outbox) -> None:
    outbox.post(message.chat.id, lambda: message.reply(text, allow_sending_without_reply=True))
