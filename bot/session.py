"""The way to Telegram, which does not go deaf when Telegram has learned a word that aiogram has not.

aiogram reads an answer with all its updates as one: of one part it does not know, such as a new kind of
``forward_origin``, or one that an older self-hosted server leaves out, the whole batch fails, and is asked for again
for ever. Unknown fields and unknown kinds of update are no trouble; values are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.enums import ContentType
from aiogram.exceptions import ClientDecodeError
from aiogram.methods import GetUpdates, Response, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import Message, Update
from pydantic import ValidationError

from bot.intake import SAID_BY_PEOPLE

logger = logging.getLogger(__name__)

MOST_PARTS = 20  # left out of one answer or update; each costs one more reading of it
HOLDS_NOTHING = "restora_holds_nothing"  # put beside Telegram's own fields of a message
WHO_SPEAKS = frozenset({"from", "sender_chat"})  # without which a message would be taken for somebody else's

Read = TypeVar("Read")


def lost_what_it_held(message: Message) -> bool:
    """Whether somebody has sent what could not be read, and nothing of it is left; silence would be no answer."""
    return HOLDS_NOTHING in (message.model_extra or {})


class Session(AiohttpSession):
    """Leaves out of what Telegram says what aiogram cannot read, and that alone."""

    def check_response(
        self, bot: Bot, method: TelegramMethod[TelegramType], status_code: int, content: str
    ) -> Response[TelegramType]:
        """Read an answer.

        Raises:
            ClientDecodeError: it is no answer of the Bot API, or the part that cannot be read is all there is to it.
            TelegramAPIError: Telegram refused.
        """
        try:
            return super().check_response(bot, method, status_code, content)
        except ClientDecodeError as error:
            answer = _mended(bot, method, error.data)
            if answer is None:
                raise
            return answer


def _mended(bot: Bot, method: TelegramMethod[TelegramType], answer: Any) -> Response[TelegramType] | None:
    if not isinstance(answer, dict) or answer.get("ok") is not True:
        return None
    context = {"bot": bot}
    if not isinstance(method, GetUpdates):
        response: Any = Response[method.__returning__]  # type: ignore[name-defined]  # known at run time only
        read, left_out = _without_unreadable(answer, lambda data: response.model_validate(data, context=context))
        if read is None or read.result is None:
            return None
        logger.warning("%s: left out of the answer what cannot be read: %s", method.__api_method__, ", ".join(left_out))
        return read  # type: ignore[no-any-return]  # as above
    updates = answer.get("result")
    if not isinstance(updates, list) or not all(_is_numbered(update) for update in updates):
        return None
    read_all: Any = [_read_update(update, context) for update in updates]
    return Response(ok=True, result=read_all)


def _is_numbered(update: Any) -> bool:
    return isinstance(update, dict) and isinstance(update.get("update_id"), int)


def _read_update(data: dict[str, Any], context: dict[str, Any]) -> Update:
    """An update without what cannot be read of it; at worst its number alone, with which it can be confirmed."""
    number = data["update_id"]
    read, left_out = _without_unreadable(data, lambda data: Update.model_validate(data, context=context))
    names = ", ".join(left_out)
    if read is None:
        logger.warning("update %d is skipped, it cannot be read: %s", number, names)
        return Update(update_id=number)
    if not left_out:
        return read
    if read.message is not None and _holds_nothing(read.message, left_out):
        logger.warning("of update %d nothing is left of what was sent, it cannot be read: %s", number, names)
        marked = {**data, "message": {**data["message"], HOLDS_NOTHING: True}}
        return Update.model_validate(marked, context=context)
    logger.warning("left out of update %d what cannot be read: %s", number, names)
    return read


def _holds_nothing(message: Message, left_out: list[str]) -> bool:
    """Whether what people say with a message was in what was left out of it, and all there was."""
    of_message = {name.split(".")[1] for name in left_out if name.startswith("message.")}
    return message.content_type == ContentType.UNKNOWN and not SAID_BY_PEOPLE.isdisjoint(of_message)


def _without_unreadable(data: Any, read: Callable[[Any], Read]) -> tuple[Read | None, list[str]]:
    """What ``read`` makes of ``data`` when what it stumbles over is taken out of them, and the names of that."""
    left_out: list[str] = []
    for _ in range(MOST_PARTS):
        try:
            return read(data), left_out
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = _way_into(data, first["loc"])
        left_out.append(".".join(map(str, path)))
        if not path or (path[0] == "message" and WHO_SPEAKS.intersection(path[1:2])):
            break
        _take_out(data, path)
    return None, left_out


def _way_into(data: Any, location: tuple[int | str, ...]) -> list[int | str]:
    """As much of a validation error's location as is there: it also names the types tried, and what is missing."""
    path: list[int | str] = []
    for key in location:
        is_there = key in data if isinstance(data, dict) else isinstance(data, list) and key in range(len(data))
        if is_there:
            path.append(key)
            data = data[key]
    return path


def _take_out(data: Any, path: list[int | str]) -> None:
    for key in path[:-1]:
        data = data[key]
    del data[path[-1]]
