"""Messages leave when the send budget lets them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import AiogramError, TelegramRetryAfter
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType

from bot.turnstile import SilenceError, Turnstile
from tasks.budget import Importance, is_counted

Question = Callable[[], Awaitable[bool]]

_is_wanted: ContextVar[Question | None] = ContextVar("is_wanted", default=None)


class CalledOffError(AiogramError):
    """When its turn had come nobody wanted the message any more, and it was not sent."""


@contextmanager
def sent_only_if(is_wanted: Question) -> Iterator[None]:
    """Ask once more about what is sent in this block when its turn has come, which may take minutes."""
    token = _is_wanted.set(is_wanted)
    try:
        yield
    finally:
        _is_wanted.reset(token)


class Sending(BaseRequestMiddleware):
    """Has every message and edit wait for its turn, and tells all processes when a chat wants silence.

    What the bot sends are first answers; what it edits was answered before.
    """

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Make the request when its turn has come.

        Raises:
            CalledOffError: see :func:`sent_only_if`.
            TelegramRetryAfter: the chat wants silence for longer than the message can wait.
        """
        name = method.__api_method__
        chat_id: Any = getattr(method, "chat_id", None)
        if not is_counted(name) or not isinstance(chat_id, int):
            return await make_request(bot, method)
        importance = Importance.REST if name.startswith("edit") else Importance.ANSWER
        try:
            await self._turnstile.let_pass(chat_id, importance)
        except SilenceError as error:
            raise TelegramRetryAfter(method, "the chat wants silence", retry_after=round(error.silence_s)) from error
        if (is_wanted := _is_wanted.get()) is not None and not await is_wanted():
            self._turnstile.give_back(chat_id)
            raise CalledOffError("it came to its turn too late")
        try:
            return await make_request(bot, method)
        except TelegramRetryAfter as error:
            await self._turnstile.silence(chat_id, error.retry_after)
            raise
