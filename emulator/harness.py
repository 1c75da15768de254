"""Telegram for tests and the demo: people who send, press and wait.

    async with Emulator.running(token=TOKEN) as telegram:
        ann = telegram.user("Ann")
        photo = await ann.sends_photo(jpeg)
        status = await ann.receives_message()
        await ann.sees(status, containing="queue")
        document = await ann.receives_document(timeout=60)
        assert document.reply_to is photo

The server runs in the caller's event loop; a bot reaches it at ``telegram.api_url``.

**Read position.** Every person has one in every chat. ``receives_...`` returns the first fitting event after it
and moves it behind that event, so what lies in between was skipped and no event is received twice.
``sees`` waits for what a message says and moves nothing. An expectation that is not met raises
AssertionError with the transcript of the chat.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from emulator.chats import Chat
from emulator.errors import JSON
from emulator.faults import Fault, Rule
from emulator.journal import Call
from emulator.person import Person
from emulator.server import Server
from emulator.state import Telegram
from emulator.transcript import transcript
from emulator.waiting import wait_until

TOKEN = "123456789:AAEmulated-token_of_no_bot_at_Telegram0"  # noqa: S105 - opens nothing


class Emulator:
    """A running emulator and everybody in it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.state = server.telegram
        self.people: list[Person] = []

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        token: str = TOKEN,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        flood_limits: bool = False,
        **options: Any,
    ) -> AsyncIterator[Emulator]:
        """An emulator on a free port until the end of the block; ``options`` are those of `Telegram`."""
        server = Server(Telegram(token, **options), host=host, port=port, flood_limits=flood_limits)
        await server.start()
        try:
            yield cls(server)
        finally:
            await server.stop()

    @property
    def api_url(self) -> str:
        """The base address for ``TelegramAPIServer.from_base`` and TELEGRAM_API_URL."""
        return self.server.url

    @property
    def token(self) -> str:
        """The bot's token."""
        return self.state.token

    def user(
        self,
        first_name: str,
        *,
        language_code: str | None = "en",
        username: str | None = None,
        last_name: str | None = None,
    ) -> Person:
        """A new person who has not written to the bot yet."""
        account = self.state.add_person(first_name, language_code=language_code, username=username, last_name=last_name)
        person = Person(self.state, account, self.state.chats[account.id])
        self.people.append(person)
        return person

    def group(self, title: str, members: list[Person], *, type: str = "group") -> Chat:  # noqa: A002 - Telegram's word
        """A group chat; ``person.at(group)`` is a member writing there."""
        return self.state.add_group(title, [member.account for member in members], type_=type)

    def upgrades(self, group: Chat) -> Chat:
        """A group becomes a supergroup, which is another chat: calls to the old one are refused and name it."""
        return self.state.upgrade(group)

    # Misbehaviour

    def misbehaves(
        self,
        method: str,
        fault: Fault,
        *,
        times: int | None = 1,
        chat: Person | Chat | None = None,
        skip: int = 0,
        probability: float = 1.0,
        seed: int = 0,
    ) -> Rule:
        """Let calls of ``method`` ("*": of any but getUpdates, "download") fail; ``rule.struck`` counts how often."""
        rule = Rule(fault, method, _chat_id(chat), times, skip, probability, seed)
        return self.server.api.faults.add(rule)

    def behaves(self) -> None:
        """End all misbehaviour."""
        self.server.api.faults.clear()

    # The account

    @property
    def calls(self) -> list[Call]:
        """Every call except getUpdates, in order."""
        return self.server.api.journal.calls

    def calls_of(self, method: str, *, chat: Person | Chat | None = None) -> list[Call]:
        """The calls of one method, of one chat if given."""
        return self.server.api.journal.of(method, _chat_id(chat))

    @property
    def pending_updates(self) -> list[JSON]:
        """Updates the bot has not confirmed."""
        return self.state.updates.take()

    def delivers_again(self, update: JSON) -> None:
        """Let the bot receive an update a second time, under its old number."""
        self.state.updates.put_again(update)
        self.state.changed()

    def commands(self, language_code: str = "", scope: str = "default") -> dict[str, str]:
        """The command menu: description by command."""
        menu = self.state.profile.commands.get((scope, language_code), [])
        return {entry["command"]: entry["description"] for entry in menu}

    async def is_polled(self, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - part of the expectation
        """Wait until a bot polls."""
        await wait_until(
            self.state,
            lambda: self.server.api.poll.waiting or None,
            timeout_s=timeout,
            failure=lambda: f"no bot polled {self.api_url} within {timeout:g} s",
        )

    def transcript(self, chat: Person | Chat | None = None) -> str:
        """One chat, or all in which something was said, as text."""
        if isinstance(chat, Person):
            chat = chat.chat
        chats = [chat] if chat else [each for each in self.state.chats.values() if each.numbered]
        return "\n\n".join(transcript(each) for each in chats)


def _chat_id(chat: Person | Chat | None) -> int | None:
    if isinstance(chat, Person):
        return chat.chat.id
    return chat.id if chat is not None else None
