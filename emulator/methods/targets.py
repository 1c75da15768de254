"""Which chat and which message a call is about."""

from __future__ import annotations

from typing import Any

from emulator import limits
from emulator.chats import Chat
from emulator.errors import bad_request, forbidden, upgraded
from emulator.messages import Message
from emulator.methods.arguments import Arguments
from emulator.state import Telegram


def find_chat(telegram: Telegram, arguments: Arguments) -> Chat:
    """The chat of ``chat_id``: only numbers exist here."""
    given = arguments.values.get("chat_id")
    if given is None or given == "":
        raise bad_request("chat_id is empty")
    name = str(given)
    # "@name" means public channels and supergroups, of which there are none here
    chat = telegram.chats.get(int(name)) if name.removeprefix("-").isdecimal() else None
    if chat is None:
        raise bad_request("chat not found")
    if chat.upgraded_to is not None:
        raise upgraded(chat.upgraded_to)
    return chat


def writable_chat(telegram: Telegram, arguments: Arguments) -> Chat:
    """The chat of ``chat_id``, if the bot may write there."""
    chat = find_chat(telegram, arguments)
    if chat.blocked and chat.is_private:
        raise forbidden("bot was blocked by the user")
    if chat.blocked:
        raise forbidden(f"bot was kicked from the {chat.type} chat")
    if not chat.started:
        raise forbidden("bot can't initiate conversation with a user")
    return chat


def message_to_edit(telegram: Telegram, arguments: Arguments) -> Message:
    """The bot's own message of ``chat_id`` and ``message_id``."""
    if "inline_message_id" in arguments:
        raise bad_request("MESSAGE_ID_INVALID")  # the emulator has no inline mode
    chat = writable_chat(telegram, arguments)
    message_id = arguments.integer("message_id")
    if message_id is None:
        raise bad_request("message identifier is not specified")
    message = chat.find(message_id)
    if message is None:
        raise bad_request("message to edit not found")
    # [api] "Updating messages": only those without reply_markup or with inline keyboards can be edited
    if message.sender is not telegram.bot or message.reply_keyboard is not None:
        raise bad_request("message can't be edited")
    return message


def message_to_delete(telegram: Telegram, chat: Chat, message_id: int) -> Message:
    """A message the bot may delete: younger than 48 hours, its own, in a private chat or where it is admin."""
    message = chat.find(message_id)
    if message is None:
        raise bad_request("message to delete not found")
    too_old = telegram.clock() - message.history[0].time > limits.DELETE_AGE_MAX_S
    allowed = message.sender is telegram.bot or chat.is_private or chat.bot_is_admin
    if too_old or not allowed:
        raise bad_request("message can't be deleted")
    return message


def replied_message(chat: Chat, arguments: Arguments) -> Message | None:
    """What the new message answers to; 400 if that is gone, unless the bot allowed it to be."""
    parameters = arguments.mapping("reply_parameters")
    if parameters is None:  # the arguments of before Bot API 7.0, read only where the new one is not given
        given, lenient = arguments.integer("reply_to_message_id"), arguments.boolean("allow_sending_without_reply")
    else:
        given, lenient = parameters.get("message_id"), parameters.get("allow_sending_without_reply") is True
    if given is None:
        return None
    message = chat.find(int(given)) if str(given).isdecimal() else None
    if message is None and not lenient:
        raise bad_request("message to be replied not found")
    return message


def place_of(chat: Chat, arguments: Arguments) -> dict[str, Any]:
    """What the new message answers to, and the topic it goes to; 400 if one of them is gone or the topic is closed.

    An answer that names no topic goes to that of what it answers, with the same right to be there.
    """
    reply_to = replied_message(chat, arguments)
    thread_id = arguments.integer("message_thread_id")
    if thread_id is not None and thread_id not in chat.topics:
        raise bad_request("message thread not found")
    goes_to = reply_to.thread_id if thread_id is None and reply_to is not None else thread_id
    if goes_to in chat.closed_topics and not chat.bot_is_admin:
        raise bad_request("TOPIC_CLOSED")
    return {"reply_to": reply_to, "thread_id": thread_id}
