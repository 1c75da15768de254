"""The people of a run: they send, change their minds, and keep what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from redis import RedisError

from dev.chaos.evidence import Answer, Evidence, Sent, Wish, Words
from dev.chaos.script import Cancel, Script, Send, Settings
from dev.chaos.signatures import numbered_picture, read_number
from emulator import Emulator, Message, Person
from emulator.errors import UnusableError
from emulator.messages import Version
from emulator.state import CallbackQuery
from tasks.messages import Job, JobState, job_id
from tasks.store import JobStore

LOOKS_FOR_BUTTON_S = 8.0
WAITS_FOR_WORK_S = 12.0
GLANCE_S = 0.05

Found = TypeVar("Found")


@dataclass
class Memory:
    """What was sent and wished, as it happens."""

    sent: dict[int, Message] = field(default_factory=dict)
    wishes: list[tuple[float, Message, int | None, CallbackQuery | None]] = field(default_factory=list)
    not_done: int = 0  # changes of mind that came to nothing: no button any more, or none yet


class People:
    """Everybody who writes to the bot."""

    def __init__(self, settings: Settings, telegram: Emulator, store: JobStore) -> None:
        self.memory = Memory()
        self._telegram = telegram
        self._store = store
        self._bot_id = int(telegram.token.partition(":")[0])
        self._everybody = [
            telegram.user(f"User {number}", language_code="ru" if number % 3 == 0 else "en")
            for number in range(settings.users)
        ]
        self._numbers: dict[str, int | None] = {}  # read from a file once

    async def play(self, script: Script, began: float) -> None:
        """Do everything at its time, counted from ``began`` on the monotonic clock."""
        events: list[Send | Cancel] = sorted([*script.sends, *script.cancels], key=lambda event: event.at_s)
        async with asyncio.TaskGroup() as doing:
            for event in events:
                await asyncio.sleep(max(0.0, began + event.at_s - time.monotonic()))
                doing.create_task(self._send(event) if isinstance(event, Send) else self._cancel(event))

    def job_id(self, message: Message) -> str:
        """What the job of a message is called."""
        return job_id(self._bot_id, message.chat.id, message.message_id)

    async def roll_call(self, number: int) -> None:
        """Somebody sends one more small picture."""
        await self._send(Send(at_s=0, user=0, number=number, kind="document", cell=16, file_format="PNG"))

    async def _send(self, send: Send) -> None:
        person = self._everybody[send.user]
        tint = send.user / len(self._everybody)
        content = await asyncio.to_thread(
            numbered_picture, send.number, cell=send.cell, tint=tint, file_format=send.file_format
        )
        while send.number not in self.memory.sent:
            await _unblocked(person)
            with contextlib.suppress(UnusableError):  # they have blocked the bot in this very moment
                self.memory.sent[send.number] = await _sent_by(person, send, content)

    async def _cancel(self, cancel: Cancel) -> None:
        person = self._everybody[cancel.user]
        if cancel.number is None:
            await _unblocked(person)
            message = await person.sends_text("/restart")
            self.memory.wishes.append((message.history[0].time, message, None, None))
            return
        sent = await self._until(lambda: self.memory.sent.get(cancel.number or 0), LOOKS_FOR_BUTTON_S)
        status = await self._until(lambda: _status_of(sent), LOOKS_FOR_BUTTON_S) if sent else None
        if sent is not None and cancel.when_running:
            await self._until_running(self.job_id(sent))
        if sent is None or status is None or status.deleted or status.keyboard is None or person.chat.blocked:
            self.memory.not_done += 1
            return
        query = await person.presses(status, status.keyboard.buttons[0].callback_data or "")
        self.memory.wishes.append((query.time, sent, sent.message_id, query))

    async def _until_running(self, name: str) -> None:
        deadline = time.monotonic() + WAITS_FOR_WORK_S
        while time.monotonic() < deadline:
            try:
                job = await asyncio.to_thread(self._store.get, name)
            except RedisError:
                job = None
            if job is not None and job.state is not JobState.QUEUED:
                return
            await asyncio.sleep(GLANCE_S)

    async def _until(self, look: Callable[[], Found | None], seconds: float) -> Found | None:
        deadline = time.monotonic() + seconds
        while (found := look()) is None and time.monotonic() < deadline:
            await asyncio.sleep(GLANCE_S)
        return found

    async def jobs(self) -> dict[int, Job]:
        """The records of all pictures sent so far; one that is not there is left out.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        names = {number: self.job_id(message) for number, message in self.memory.sent.items()}
        records = await asyncio.to_thread(lambda: {number: self._store.get(name) for number, name in names.items()})
        return {number: job for number, job in records.items() if job is not None}

    async def evidence(self) -> Evidence:
        """Everything that is known by now.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        jobs = await self.jobs()
        messages = [message for person in self._everybody for message in person.chat.numbered.values()]
        answers = [await self._answer(message) for message in messages if message.from_bot]
        pending = (update.get("message", {}) for update in self._telegram.pending_updates)
        closed: dict[int, tuple[float, ...]] = {}
        for call in self._telegram.calls:
            if call.error and "blocked" in call.error and call.chat_id is not None:
                closed[call.chat_id] = (*closed.get(call.chat_id, ()), call.started)
        return Evidence(
            sent=tuple(_sent(number, message) for number, message in sorted(self.memory.sent.items())),
            answers=tuple(answers),
            wishes=tuple(_wish(*wish) for wish in self.memory.wishes),
            jobs=jobs,
            closed=closed,
            unconfirmed=frozenset((update["chat"]["id"], update["message_id"]) for update in pending if update),
        )

    async def _answer(self, message: Message) -> Answer:
        return Answer(
            chat_id=message.chat.id,
            message_id=message.message_id,
            reply_to=message.reply_to.message_id if message.reply_to else None,
            history=tuple([await self._words(version) for version in tuple(message.history)]),
            deleted=message.deleted,
        )

    async def _words(self, version: Version) -> Words:
        picture = None
        if version.media is not None:
            file = version.media.file
            if file.file_id not in self._numbers:
                self._numbers[file.file_id] = await asyncio.to_thread(lambda: read_number(file.content))
            picture = self._numbers[file.file_id]
        return Words(
            at=version.time,
            text=version.text,
            is_document=version.media is not None,
            picture=picture,
            has_button=version.keyboard is not None,
        )


def _sent(number: int, message: Message) -> Sent:
    locale = "ru" if message.sender.language_code == "ru" else "en"
    return Sent(
        number=number,
        chat_id=message.chat.id,
        message_id=message.message_id,
        at=message.history[0].time,
        locale=locale,
        kind=message.kind,
    )


def _wish(at: float, message: Message, which: int | None, query: CallbackQuery | None) -> Wish:
    answer = query.answer if query is not None else None
    return Wish(chat_id=message.chat.id, at=at, message_id=which, answer=answer["text"] if answer else "")


def _status_of(picture: Message) -> Message | None:
    """The first message of the bot that answers a picture and has a button."""
    for message in picture.chat.messages:
        if message.from_bot and message.reply_to is picture and message.keyboard is not None:
            return message
    return None


async def _sent_by(person: Person, send: Send, content: bytes) -> Message:
    if send.kind == "photo":
        return await person.sends_photo(content)
    if send.kind == "sticker":
        return await person.sends_sticker(content)
    extension = send.file_format.lower()
    return await person.sends_document(f"picture {send.number}.{extension}", content, mime_type=f"image/{extension}")


async def _unblocked(person: Person) -> None:
    if person.chat.blocked:  # people who blocked the bot have to allow it again before they can write to it
        await person.unblocks_bot()
