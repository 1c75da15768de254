"""The Telegram Bot API on localhost: strict as Telegram, with a chat page and people for tests.

Never imported by the bot or a worker, which speak to it as they speak to Telegram: over HTTP.
"""

from __future__ import annotations

from emulator.chats import Chat
from emulator.faults import (
    BadGateway,
    Blocked,
    FileTooBig,
    Hang,
    MessageGone,
    Reset,
    ResetAfter,
    ResetDuringUpload,
    RetryAfter,
    ServerError,
    Slow,
)
from emulator.harness import TOKEN, Emulator
from emulator.messages import Message
from emulator.people import Item
from emulator.person import CallbackAnswer, Person

__all__ = [
    "TOKEN",
    "BadGateway",
    "Blocked",
    "CallbackAnswer",
    "Chat",
    "Emulator",
    "FileTooBig",
    "Hang",
    "Item",
    "Message",
    "MessageGone",
    "Person",
    "Reset",
    "ResetAfter",
    "ResetDuringUpload",
    "RetryAfter",
    "ServerError",
    "Slow",
]
