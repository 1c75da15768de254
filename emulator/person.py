"""A person in a test: sends, presses buttons, waits for what the bot does.

Times out with AssertionError and the transcript; see `emulator.harness` for the read position.
"""
# ruff: noqa: ASYNC109 - "timeout" is part of what a test expects, not of how it waits

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from emulator.accounts import Account
from emulator.chats import Chat, Event
from emulator.keyboards import Button
from emulator.messages import Message, Version
from emulator.people import Client, Item
from emulator.state import CallbackQuery, Telegram
from emulator.transcript import describe, transcript
from emulator.waiting import wait_until

TIMEOUT_S = 10.0
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What the bot answered to a pressed button: nothing, a notice, or an alert to be closed."""

    text: str
    show_alert: bool


class Person:
    """One account in one chat; `at` gives the same account in another."""

    def __init__(self, telegram: Telegram, account: Account, chat: Chat, topic: int | None = None) -> None:
        self.account = account
        self.chat = chat
        self._telegram = telegram
        self._client = Client(telegram, account, chat, topic)
        self._position = len(chat.timeline)

    @property
    def id(self) -> int:
        """The account's number."""
        return self.account.id

    @property
    def name(self) -> str:
        """First and last name."""
        return self.account.name

    def at(self, group: Chat, *, topic: int | None = None) -> Person:
        """The same person in a group, or in a topic of it that is there from then on, reading from now on."""
        group.members.setdefault(self.account.id, self.account)
        if topic is not None:
            group.topics.add(topic)
        return Person(self._telegram, self.account, group, topic)

    # Sending

    async def sends_text(self, text: str, *, reply_to: Message | None = None) -> Message:
        """Send a text or a command."""
        return self._client.send_text(text, reply_to)

    async def sends_photo(self, content: bytes, *, caption: str = "", reply_to: Message | None = None) -> Message:
        """Send a picture as a photo: the client recompresses it to a JPEG of at most 1280 px."""
        return await self._client.send(Item(content, "photo", caption=caption), reply_to)

    async def sends_document(
        self,
        file_name: str,
        content: bytes = b"",
        *,
        caption: str = "",
        mime_type: str | None = None,
        file_size: int | None = None,
        reply_to: Message | None = None,
    ) -> Message:
        """Send a file as it is; with ``file_size`` a stand-in that only claims to have that many bytes."""
        item = Item(content, "document", file_name, caption, mime_type, file_size)
        return await self._client.send(item, reply_to)

    async def sends_sticker(
        self, content: bytes = b"\x1f\x8b", *, is_animated: bool = False, is_video: bool = False
    ) -> Message:
        """Send a sticker: of a picture a WebP of 512 px, animated and video ones as they are."""
        attributes = {"is_animated": is_animated, "is_video": is_video}
        return await self._client.send(Item(content, "sticker", attributes=attributes))

    async def sends_animation(self, content: bytes = b"animation", **options: Any) -> Message:
        """Send a GIF, which Telegram turns into a silent video; ``options`` are those of `Item`."""
        return await self._client.send(Item(content, "animation", **options))

    async def sends_video(self, content: bytes = b"video", **options: Any) -> Message:
        """Send a video."""
        return await self._client.send(Item(content, "video", **options))

    async def sends_voice(self, content: bytes = b"voice", **options: Any) -> Message:
        """Send a voice message."""
        return await self._client.send(Item(content, "voice", **options))

    async def sends_audio(self, content: bytes = b"audio", **options: Any) -> Message:
        """Send a piece of music."""
        return await self._client.send(Item(content, "audio", **options))

    async def sends_video_note(self, content: bytes = b"note", **options: Any) -> Message:
        """Send a round video."""
        return await self._client.send(Item(content, "video_note", **options))

    async def sends_location(self, latitude: float = 55.75, longitude: float = 37.62) -> Message:
        """Send a place."""
        return self._client.send_extra({"location": {"latitude": latitude, "longitude": longitude}})

    async def sends_contact(self, phone_number: str = "+10000000000") -> Message:
        """Send a contact."""
        return self._client.send_extra({"contact": {"phone_number": phone_number, "first_name": "Bob"}})

    async def sends_album(self, items: list[bytes | Item], *, caption: str = "") -> list[Message]:
        """Send several pictures at once, plain bytes as photos; ``caption`` goes below the first."""
        album = [item if isinstance(item, Item) else Item(item) for item in items]
        if caption and album:
            first = album[0]
            album[0] = Item(first.content, first.kind, first.file_name, caption, first.mime_type)
        return await self._client.send_album(album)

    # Doing

    async def clicks(self, button: str, *, on: Message | None = None, timeout: float = TIMEOUT_S) -> CallbackAnswer:
        """Press a button, found by label, part of a label or callback data, and wait for the bot's answer.

        Without ``on`` it is looked for in the newest message that has it, for ``timeout`` seconds.
        """
        message, found = await self._until(lambda: self._find_button(button, on), timeout, f"a button {button!r}")
        if found.callback_data is None:
            raise AssertionError(f"the button {found.text!r} opens {found.url}, it asks the bot nothing")
        query = self._client.press(message, found.callback_data)
        return await self._until(lambda: _answer(query), timeout, f"an answer to the button {found.text!r}")

    @property
    def keyboard(self) -> tuple[tuple[str, ...], ...]:
        """The keys under the input field, row by row; empty if there are none or they are hidden."""
        shown = self.chat.keyboard_for(self.account)
        return () if shown is None or shown.hidden else shown.keyboard.rows

    async def presses_key(self, key: str, *, timeout: float = TIMEOUT_S) -> Message:
        """Press a key under the input field, found by its text or a part of it: sends the text and returns that.

        The key is waited for ``timeout`` seconds, as the keyboard may still be on its way.
        """
        found = await self._until(lambda: self._find_key(key), timeout, f"a key {key!r} under the input field")
        return self._client.press_key(found)

    async def presses(self, message: Message, data: str) -> CallbackQuery:
        """Press a button by its data, even one that is no longer shown, without waiting for the answer."""
        return self._client.press(message, data)

    async def blocks_bot(self) -> None:
        """Block the bot: it can send nothing any more."""
        self._client.block(blocked=True)

    async def unblocks_bot(self) -> None:
        """Allow the bot to write again."""
        self._client.block(blocked=False)

    async def deletes_message(self, message: Message) -> None:
        """Delete a message for both sides; the bot learns nothing of it."""
        self._client.delete(message)

    async def edits_text(self, message: Message, text: str) -> None:
        """Change one's own message; the bot gets an ``edited_message``."""
        self._client.edit_text(message, text)

    # Waiting

    async def receives_message(self, containing: str | None = None, *, timeout: float = TIMEOUT_S) -> Message:
        """The next new message of the bot, of whatever kind; edits do not count."""
        return await self._receives("a message", lambda event: event.kind == "message", containing, timeout)

    async def receives_text(self, containing: str | None = None, *, timeout: float = TIMEOUT_S) -> Message:
        """The next new text, or the next edit that changed text; edits of buttons do not count."""
        return await self._receives("a text", _is_text, containing, timeout)

    async def receives_edit(self, containing: str | None = None, *, timeout: float = TIMEOUT_S) -> Message:
        """The next edit, of whatever kind."""
        return await self._receives("an edit", lambda event: event.kind == "edit", containing, timeout)

    async def receives_document(self, containing: str | None = None, *, timeout: float = TIMEOUT_S) -> Message:
        """The next document, sent or edited into a message; ``containing`` looks at its caption."""
        return await self._receives("a document", _is_new("document"), containing, timeout)

    async def receives_documents(self, count: int, *, timeout: float = TIMEOUT_S) -> list[Message]:
        """The next ``count`` documents, in the order in which they came."""
        deadline = time.monotonic() + timeout
        return [await self.receives_document(timeout=max(deadline - time.monotonic(), 0.001)) for _ in range(count)]

    async def receives_photo(self, containing: str | None = None, *, timeout: float = TIMEOUT_S) -> Message:
        """The next photo, sent or edited into a message."""
        return await self._receives("a photo", _is_new("photo"), containing, timeout)

    async def receives_nothing(self, *, for_s: float) -> None:
        """Nothing new and no edit for ``for_s`` seconds from now."""
        start = len(self.chat.timeline)
        await asyncio.sleep(for_s)
        news = [event for event in self.chat.timeline[start:] if _is_from_bot(event)]
        if news:
            raise AssertionError(self._failure(f"{self.name} expected {for_s:g} s of silence, got {_quote(news[0])}"))

    async def sees(
        self, message: Message, containing: str, *, button: str | None = None, timeout: float = TIMEOUT_S
    ) -> Message:
        """Wait until ``message`` says this (and shows the button); an edit that was overwritten since counts too."""
        seen = len(message.history) - 1

        def find() -> Message | None:
            fits = any(
                containing in version.text and (button is None or button in version.buttons)
                for version in message.history[seen:]
            )
            return message if fits and not message.deleted else None

        what = f"message #{message.message_id} to say {containing!r}"
        return await self._until(find, timeout, what + (f" with the button {button!r}" if button else ""))

    async def sees_deleted(self, message: Message, *, timeout: float = TIMEOUT_S) -> None:
        """Wait until ``message`` is gone."""
        what = f"message #{message.message_id} to be deleted"
        await self._until(lambda: message.deleted or None, timeout, what)

    async def sees_action(self, action: str, *, timeout: float = TIMEOUT_S) -> None:
        """Wait until the bot shows a chat action such as "upload_document", now or after the read position."""

        def find() -> bool | None:
            return any(event.action == action for event in self.chat.timeline[self._position :]) or None

        await self._until(find, timeout, f"the action {action!r}")

    def reads_all(self) -> None:
        """Move the read position to the end: only what comes from now on will be received."""
        self._position = len(self.chat.timeline)

    async def _receives(
        self, what: str, fits: Callable[[Event], bool], containing: str | None, timeout: float
    ) -> Message:
        def wanted(event: Event) -> bool:
            return _is_from_bot(event) and fits(event) and _says(event.version, containing)

        def find() -> Message | None:
            for index in range(self._position, len(self.chat.timeline)):
                event = self.chat.timeline[index]
                if wanted(event):
                    self._position = index + 1
                    return event.message
            return None

        described = what + (f" containing {containing!r}" if containing is not None else "")
        start = self._position

        def hint() -> str:
            earlier = [event for event in self.chat.timeline[:start] if wanted(event)]
            if not earlier:
                return ""
            return f"; {_quote(earlier[-1])} would do, but lies before the read position"

        return await self._until(find, timeout, described, hint)

    async def _until(
        self,
        find: Callable[[], Found | None],
        timeout: float,
        what: str,
        hint: Callable[[], str] = str,
    ) -> Found:
        return await wait_until(
            self._telegram,
            find,
            timeout_s=timeout,
            failure=lambda: self._failure(f"{self.name} waited {timeout:g} s for {what}{hint()}"),
        )

    def _find_button(self, button: str, on: Message | None) -> tuple[Message, Button] | None:
        for message in [on] if on is not None else reversed(self.chat.messages):
            buttons = message.keyboard.buttons if message.keyboard else ()
            for fits in (_is_exactly, _is_part_of):
                for candidate in buttons:
                    if fits(button, candidate):
                        return message, candidate
        return None

    def _find_key(self, wanted: str) -> str | None:
        keys = [key for row in self.keyboard for key in row]
        return wanted if wanted in keys else next((key for key in keys if wanted in key), None)

    def _failure(self, reason: str) -> str:
        return f"{reason}\n\n{transcript(self.chat)}\n"


def _is_exactly(wanted: str, button: Button) -> bool:
    return wanted in {button.text, button.callback_data}


def _is_part_of(wanted: str, button: Button) -> bool:
    return wanted in button.text


def _is_from_bot(event: Event) -> bool:
    return event.message is not None and event.message.from_bot and event.kind in {"message", "edit"}


def _is_text(event: Event) -> bool:
    is_text = event.version is not None and event.version.media is None
    return is_text and not (event.kind == "edit" and event.changed_only_buttons)


def _is_new(kind: str) -> Callable[[Event], bool]:
    """Whether an event brings media of this kind, rather than changing what is said about them."""

    def is_new(event: Event) -> bool:
        media = event.version.media if event.version else None
        before = event.previous.media if event.previous else None
        return media is not None and media.kind == kind and media != before

    return is_new


def _says(version: Version | None, containing: str | None) -> bool:
    return containing is None or (version is not None and containing in version.text)


def _answer(query: CallbackQuery) -> CallbackAnswer | None:
    if query.answer is None:
        return None
    return CallbackAnswer(query.answer["text"], query.answer["show_alert"])


def _quote(event: Event) -> str:
    number = event.message.message_id if event.message else 0
    return f"#{number} ({describe(event.version)})" if event.version else f"#{number}"
