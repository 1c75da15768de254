"""Somebody who had blocked the bot lets it write again."""

from __future__ import annotations

from functools import partial

from aiogram import F, Router
from aiogram.enums import ChatMemberStatus, ChatType
from aiogram.types import ChatMemberUpdated

from bot.outbox import Outbox
from bot.queue import JobQueue


def router() -> Router:
    """The handlers of this module."""
    reopening = Router(name="reopening")
    is_back = F.new_chat_member.status == ChatMemberStatus.MEMBER
    reopening.my_chat_member.register(tell_again, F.chat.type == ChatType.PRIVATE, is_back)
    return reopening


async def tell_again(change: ChatMemberUpdated, jobs: JobQueue, outbox: Outbox) -> None:
    """Or status messages of pictures that ended meanwhile would go on promising a result."""
    outbox.post(f"{change.chat.id}, afterwards", partial(jobs.tell_again, change.from_user.id))
