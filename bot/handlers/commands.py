"""The commands, and the keys of the keyboard that do the same."""

from __future__ import annotations

from aiogram import F, Router
from aiogram.enums import ChatType
from aiogram.filters import Command, CommandStart, or_f
from aiogram.types import Message

from bot.captions import CarryOn
from bot.intake import owner_id
from bot.keyboards import main_keyboard
from bot.outbox import Outbox
from bot.queue import JobQueue
from bot.status import Statuses
from bot.taking import Taker
from bot.texts import BotTexts
from tasks.catalog import locales
from tasks.messages import Cancelled, Job, JobState

OVERLONG_S = 600.0  # /upscale_image stops jobs of its user that have been running for longer


def router() -> Router:
    """The handlers of this module."""
    every = [BotTexts(locale) for locale in locales()]
    commands = Router(name="commands")
    commands.message.middleware(CarryOn())
    commands.message.register(start, CommandStart())
    commands.message.register(show_help, or_f(Command("help"), F.text.in_({texts.button_help() for texts in every})))
    commands.message.register(
        upscale_image,
        F.text,  # as a caption it says what is done with a picture anyway
        or_f(Command("upscale_image"), F.text.in_({texts.button_restore() for texts in every})),
    )
    commands.message.register(
        restart, or_f(Command("restart"), F.text.in_({texts.button_restart() for texts in every}))
    )
    return commands


async def start(message: Message, texts: BotTexts, outbox: Outbox) -> None:
    name = message.from_user.first_name if message.from_user else ""
    outbox.post(
        message.chat.id, lambda: message.answer(texts.start(name), reply_markup=main_keyboard(texts, message.chat))
    )


async def show_help(message: Message, texts: BotTexts, outbox: Outbox, taker: Taker) -> None:
    text = texts.help(taker.max_file_bytes)
    outbox.post(message.chat.id, lambda: message.answer(text, reply_markup=main_keyboard(texts, message.chat)))


async def upscale_image(
    message: Message,
    *,
    texts: BotTexts,
    jobs: JobQueue,
    statuses: Statuses,
    taker: Taker,
    said_in: tuple[int, int],
) -> None:
    met = await jobs.cancel_all(owner_id(message), running_for_s=OVERLONG_S, said_in=said_in)
    stopped = _stopped(met)
    is_taken_care_of = await taker.take_answered(message)
    lines = [texts.stopped_overlong(len(stopped))] if stopped else []
    if not is_taken_care_of:
        is_private = message.chat.type == ChatType.PRIVATE
        lines.append(texts.ask_for_picture() if is_private else texts.ask_for_picture_in_group())
    if lines:
        statuses.post_cancelled(stopped, chat_id=message.chat.id, answer=lambda: message.answer("\n".join(lines)))


async def restart(
    message: Message, *, texts: BotTexts, jobs: JobQueue, statuses: Statuses, said_in: tuple[int, int]
) -> None:
    met = await jobs.cancel_all(owner_id(message), said_in=said_in)
    stopped = _stopped(met)
    text = texts.restarted(len(stopped), on_their_way=len(met) - len(stopped))
    statuses.post_cancelled(
        stopped,
        chat_id=message.chat.id,
        answer=lambda: message.answer(text, reply_markup=main_keyboard(texts, message.chat)),
    )


def _stopped(met: list[Cancelled]) -> list[Job]:
    return [one.job for one in met if one.was is not JobState.DELIVERING]
