"""Tells a chat page what changes, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from emulator.accounts import Account
from emulator.api import BotApi
from emulator.chats import Chat
from emulator.errors import JSON
from emulator.state import Telegram
from emulator.views import bot_view, keyboard_view, message_view, person_view

HEARTBEAT_S = 3.0  # so that a page that left is noticed, and a bot that stopped


class Feed:
    """What one page has been told about one chat so far."""

    def __init__(self, api: BotApi, person: Account, chat: Chat) -> None:
        self._api = api
        self._telegram = api.telegram
        self._person = person
        self._chat = chat
        self._position = 0
        self._told: dict[str, Any] = {}

    async def events(self) -> AsyncIterator[bytes]:
        """The whole chat first, then every change, until the emulator stops."""
        changed = asyncio.Event()
        unsubscribe = self._telegram.subscribe(changed.set)
        try:
            self._position = len(self._chat.timeline)
            yield _event("chat", [message_view(message) for message in self._chat.messages])
            while not self._api.stopping.is_set():
                changed.clear()
                for event in self._news():
                    yield event
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), HEARTBEAT_S)
                if not changed.is_set():
                    yield b": still here\n\n"
        finally:
            unsubscribe()

    def _news(self) -> list[bytes]:
        return [
            *self._if_new("bot", self._bot()),
            *self._if_new("people", people_view(self._telegram)),
            *self._timeline(),
            *self._if_new("keyboard", keyboard_view(self._person, self._chat)),
        ]

    def _bot(self) -> JSON:
        return bot_view(self._telegram, self._person.language_code, connected=self._api.poll.connected)

    def _if_new(self, kind: str, told: Any) -> list[bytes]:
        if kind in self._told and self._told[kind] == told:
            return []
        self._told[kind] = told
        return [_event(kind, told)]

    def _timeline(self) -> list[bytes]:
        """Each message that changed once, as it is now, and the newest chat action."""
        events = self._chat.timeline[self._position :]
        self._position = len(self._chat.timeline)
        changed = {event.message.message_id: event.message for event in events if event.message}
        news = [_event("message", message_view(message)) for message in changed.values()]
        if events and events[-1].action:
            news.append(_event("action", {"action": events[-1].action}))
        return news


def people_view(telegram: Telegram) -> list[JSON]:
    """Everybody with a private chat."""
    return [person_view(next(iter(chat.members.values())), chat) for chat in telegram.chats.values() if chat.is_private]


def _event(kind: str, data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
