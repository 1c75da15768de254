"""Pictures become jobs; everything else gets one sentence that says why not and what to do."""

from __future__ import annotations

from dataclasses import replace

from aiogram import Bot, F, Router
from aiogram.enums import ChatType
from aiogram.types import Message, Update

from bot.captions import ForUs, is_asked_for
from bot.intake import SAID_BY_PEOPLE, RefusalCode, owner_id, read_picture
from bot.middlewares.floods import REFUSED_AGAIN_AFTER_S, SENT_AFTER_S, Refusals
from bot.outbox import Outbox
from bot.queue import JobQueue, UnansweredError
from bot.session import lost_what_it_held
from bot.status import show_status
from bot.texts import BotTexts
from tasks import metrics
from tasks.logs import job_context
from tasks.messages import FINAL_STATES, Accepted, Refused, RestorePhoto

# In a group people talk to each other: only what is a picture, but one we cannot take, is answered there.
ANSWERED_IN_GROUPS: frozenset[RefusalCode] = frozenset({"file_too_large"})
NO_FILE: frozenset[RefusalCode] = frozenset({"text", "unknown_command", "other"})


def router() -> Router:
    """The handlers of this module."""
    pictures = Router(name="pictures")
    pictures.message.register(accept, F.chat.type != ChatType.CHANNEL, F.content_type.in_(SAID_BY_PEOPLE), ForUs())
    pictures.message.register(accept, F.chat.type != ChatType.CHANNEL, lost_what_it_held, ForUs())
    return pictures


async def accept(
    message: Message,
    bot: Bot,
    event_update: Update,
    *,
    texts: BotTexts,
    jobs: JobQueue,
    outbox: Outbox,
    refusals: Refusals,
    max_file_bytes: int,
) -> None:
    picture = read_picture(message, bot_id=bot.id, locale=texts.locale, max_file_bytes=max_file_bytes)
    if not isinstance(picture, RestorePhoto):
        if message.chat.type == ChatType.PRIVATE or picture in ANSWERED_IN_GROUPS or is_asked_for(message):
            metrics.count("restora_messages_refused", reason=picture)
            _refuse(message, _kind(picture, message), texts.refusal(picture), refusals, outbox, owed_to=event_update)
        return
    answer = await _submit(message, bot, picture, texts=texts, jobs=jobs, outbox=outbox)
    if isinstance(answer, Refused):
        _refuse(message, answer.reason, _words(answer, texts), refusals, outbox, owed_to=event_update)
    elif _lacks_status(answer, picture):
        outbox.post(
            message.chat.id,
            lambda: show_status(message, answer, bot=bot, jobs=jobs, texts=texts, outbox=outbox),
        )


async def accept_asked(
    message: Message,
    bot: Bot,
    event_update: Update,
    *,
    texts: BotTexts,
    jobs: JobQueue,
    outbox: Outbox,
    refusals: Refusals,
    max_file_bytes: int,
) -> bool:
    """Take the picture that a command answers; False where it answers none.

    The job is of whoever asked, but named after the picture, which its result answers: several who ask for one picture
    get one job, and so does who asks for one that was taken when it was sent.
    """
    shown = message.reply_to_message
    if shown is None:
        return False
    found = read_picture(shown, bot_id=bot.id, locale=texts.locale, max_file_bytes=max_file_bytes)
    if not isinstance(found, RestorePhoto):
        if found not in NO_FILE:
            metrics.count("restora_messages_refused", reason=found)
            _refuse(message, _kind(found, shown), texts.refusal(found), refusals, outbox, owed_to=event_update)
        return found not in NO_FILE
    picture = replace(found, user_id=owner_id(message), asked_in=message.message_id)
    with job_context(picture.job_id):
        answer = await _submit(shown, bot, picture, texts=texts, jobs=jobs, outbox=outbox)
        if isinstance(answer, Refused):
            _refuse(message, answer.reason, _words(answer, texts), refusals, outbox, owed_to=event_update)
        elif _lacks_status(answer, picture):
            outbox.post(
                message.chat.id,
                lambda: show_status(shown, answer, bot=bot, jobs=jobs, texts=texts, outbox=outbox),
            )
        else:
            text = texts.had_before() if answer.job.state in FINAL_STATES else texts.already_at_work()
            outbox.post(message.chat.id, lambda: message.reply(text))
    return True


async def _submit(
    message: Message, bot: Bot, picture: RestorePhoto, *, texts: BotTexts, jobs: JobQueue, outbox: Outbox
) -> Accepted | Refused:
    """Hand in the picture of this message."""
    try:
        return await jobs.submit(picture)
    except UnansweredError:  # whoever handles it asks the sender to repeat it; what turns up all the same is shown
        outbox.post(
            f"{message.chat.id}, late", lambda: _show_late(message, bot, picture, texts=texts, jobs=jobs, outbox=outbox)
        )
        raise


async def _show_late(
    message: Message, bot: Bot, picture: RestorePhoto, *, texts: BotTexts, jobs: JobQueue, outbox: Outbox
) -> None:
    answer = await jobs.submitted_late(picture)
    if answer is not None and _lacks_status(answer, picture):
        outbox.post(
            message.chat.id,
            lambda: show_status(message, answer, bot=bot, jobs=jobs, texts=texts, outbox=outbox),
        )


def _words(refused: Refused, texts: BotTexts) -> str:
    return texts.user_limit(refused.limit) if refused.reason == "user_limit" else texts.queue_full()


def _lacks_status(answer: Accepted, picture: RestorePhoto) -> bool:
    """True for a new job, and for one whose message came again because the bot died before it could answer.

    Never for a job of somebody else, who had asked for the same picture before: its status is for that one.
    """
    if answer.job.user_id != picture.user_id:
        return False
    return answer.fresh or not (answer.job.status_message_id or answer.job.state in FINAL_STATES)


def _kind(code: RefusalCode, message: Message) -> str:
    """What is refused with one sentence: things of one kind, or all of them in an album."""
    return f"{code}, {message.content_type}, {message.media_group_id}"


def _refuse(message: Message, reason: str, text: str, refusals: Refusals, outbox: Outbox, *, owed_to: Update) -> None:
    again_after_s = REFUSED_AGAIN_AFTER_S if message.media_group_id else SENT_AFTER_S
    if refusals.may_say(owner_id(message), reason, again_after_s=again_after_s):
        outbox.post(
            message.chat.id,
            lambda: message.reply(text),
            owed_to=owed_to.update_id,
        )
