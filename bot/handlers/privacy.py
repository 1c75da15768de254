"""What is kept about somebody, and how they have it forgotten."""

from __future__ import annotations

from aiogram import Bot, Router
from aiogram.filters import Command
from aiogram.types import Message

from bot.captions import CarryOn
from bot.intake import owner_id
from bot.outbox import Outbox
from bot.queue import JobQueue, UnansweredError
from bot.status import Statuses
from bot.texts import BotTexts
from tasks.messages import FINAL_STATES, Job, JobState


def router() -> Router:
    """The handlers of this module."""
    privacy = Router(name="privacy")
    privacy.message.middleware(CarryOn())
    privacy.message.register(explain, Command("privacy"))
    privacy.message.register(forget, Command("forget"))
    return privacy


async def explain(message: Message, texts: BotTexts, outbox: Outbox) -> None:
    outbox.post(message.chat.id, lambda: message.answer(texts.privacy()))


async def forget(
    message: Message,
    bot: Bot,
    *,
    texts: BotTexts,
    jobs: JobQueue,
    outbox: Outbox,
    statuses: Statuses,
    said_in: tuple[int, int],
) -> None:
    owner = owner_id(message)
    met: list[Job] = []

    def say() -> None:
        ours = [job for job in met if job.is_of(bot.id)]  # of another bot's we know no messages
        on_their_way = [job for job in ours if job.state is JobState.DELIVERING]
        stopped = [job for job in ours if job.state not in {*FINAL_STATES, JobState.DELIVERING}]
        text = texts.forgotten(len(met), stopped=len(stopped), on_their_way=len(on_their_way))
        statuses.post_cancelled(stopped, chat_id=message.chat.id, answer=lambda: message.answer(text))

    async def finish_late() -> None:
        if await jobs.forget_late(owner, met=met, said_in=said_in) is not None:
            say()

    try:
        await jobs.forget(owner, met=met, said_in=said_in)
    except UnansweredError:
        outbox.post(f"{message.chat.id}, late", finish_late)
        raise
    say()
