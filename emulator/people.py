"""What people do in their Telegram client, and what their client makes of it.

Both the chat page and the test harness go through this class, so that they behave alike.
"""

from __future__ import annotations

import asyncio
import mimetypes
from dataclasses import dataclass, field
from typing import Any

from emulator.accounts import Account
from emulator.chats import Chat
from emulator.entities import parse_text
from emulator.errors import JSON, UnusableError
from emulator.files import StoredFile
from emulator.media import Media
from emulator.messages import Message, Version
from emulator.methods.attachments import photo_files, preview
from emulator.pictures import compress_photo, make_sticker
from emulator.state import CallbackQuery, Telegram

_OTHER_TYPES = {
    "animation": ("animation.mp4", "video/mp4", {"width": 320, "height": 240, "duration": 3}),
    "video": ("video.mp4", "video/mp4", {"width": 640, "height": 480, "duration": 5}),
    "audio": ("audio.mp3", "audio/mpeg", {"duration": 60}),
    "voice": ("voice.ogg", "audio/ogg", {"duration": 4}),
    "video_note": ("note.mp4", "video/mp4", {"length": 240, "duration": 4}),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One file a person picked: how it is to be sent, and the file."""

    content: bytes
    kind: str = "photo"
    file_name: str | None = None
    caption: str = ""
    mime_type: str | None = None
    file_size: int | None = None  # with a size, a stand-in of so many zeros is sent instead of the content
    attributes: JSON = field(default_factory=dict)


class Client:
    """One person's Telegram client, in one chat."""

    def __init__(self, telegram: Telegram, person: Account, chat: Chat, topic: int | None = None) -> None:
        self.telegram = telegram
        self.person = person
        self.chat = chat
        self.topic = topic

    def send_text(self, text: str, reply_to: Message | None = None) -> Message:
        """Send a text; commands, mentions and links in it are recognised."""
        plain, entities = parse_text(text, None)
        if not plain:
            raise UnusableError("a client does not send an empty text")
        return self._post(Version(self.telegram.clock(), plain, entities), reply_to=reply_to)

    async def send(self, item: Item, reply_to: Message | None = None) -> Message:
        """Send one file with an optional caption."""
        return self._post(await self._version(item), reply_to=reply_to)

    async def send_album(self, items: list[Item]) -> list[Message]:
        """Send several files at once: separate messages, and updates, of one ``media_group_id``."""
        versions = [await self._version(item) for item in items]
        group = str(13_000_000_000_000_000 + self.telegram.revision)
        return [self._post(version, media_group_id=group) for version in versions]

    def send_extra(self, extra: JSON) -> Message:
        """Send something without text and media: a contact, a location, a dice."""
        return self._post(Version(self.telegram.clock()), extra=extra)

    def press_key(self, key: str) -> Message:
        """Press a key of the keyboard under the input field: that sends its text, in a group as a reply."""
        shown = self.chat.keyboard_for(self.person)
        if shown is None or key not in shown.keyboard.keys:
            raise UnusableError(f"there is no key {key!r} under the input field of {self.person.name}")
        message = self.send_text(key, None if self.chat.is_private else shown.message)
        if shown.keyboard.one_time:
            self.telegram.hide_keyboard(self.person, shown.message)
        return message

    def press(self, message: Message, data: str) -> CallbackQuery:
        """Press the button of ``message`` that carries ``data``."""
        return self.telegram.press(self.person, message, data)

    def edit_text(self, message: Message, text: str) -> None:
        """Change one's own text."""
        plain, entities = parse_text(text, None)
        self.telegram.edit(message, Version(self.telegram.clock(), plain, entities))
        self.telegram.updates.put("edited_message", message.to_json())

    def delete(self, message: Message) -> None:
        """Delete a message for both sides; the bot is not told."""
        self.telegram.delete(message)

    def block(self, *, blocked: bool) -> None:
        """Block the bot, or allow it again."""
        self.telegram.block(self.chat, self.person, blocked=blocked)

    def _post(self, version: Version, **options: Any) -> Message:
        if self.chat.blocked and self.chat.is_private:
            raise UnusableError(f"{self.person.name} blocked the bot and has to unblock it before writing to it")
        return self.telegram.post(self.chat, self.person, version, thread_id=self.topic, **options)

    async def _version(self, item: Item) -> Version:
        caption, entities = parse_text(item.caption, None)
        return Version(self.telegram.clock(), caption, entities, await self._media(item))

    async def _media(self, item: Item) -> Media:
        if item.kind == "photo":
            pictures = await asyncio.to_thread(compress_photo, item.content)
            return Media("photo", photo_files(self.telegram, pictures))
        if item.kind == "sticker":
            return await self._sticker(item)
        if item.kind == "document":
            return await self._document(item)
        if item.kind in _OTHER_TYPES:
            return self._other(item)
        raise UnusableError(f"a client cannot send a {item.kind!r}")

    async def _document(self, item: Item) -> Media:
        name = item.file_name or "file"
        guessed, _ = mimetypes.guess_type(name)
        file = self._keep(item, name, item.mime_type or guessed or "application/octet-stream")
        return Media("document", (file,), (), await preview(self.telegram, "document", item.content))

    async def _sticker(self, item: Item) -> Media:
        animated = item.attributes.get("is_animated", False) or (item.file_name or "").endswith(".tgs")
        video = item.attributes.get("is_video", False) or (item.file_name or "").endswith(".webm")
        attributes = (("type", "regular"), ("is_animated", animated), ("is_video", video), ("emoji", "🙂"))
        if animated or video:
            file = self.telegram.files.add(item.content, kind="sticker", size_wh=(512, 512))
        else:
            picture = await asyncio.to_thread(make_sticker, item.content)
            file = self.telegram.files.add(picture.content, kind="sticker", size_wh=picture.size_wh)
        return Media("sticker", (file,), attributes)

    def _other(self, item: Item) -> Media:
        name, mime_type, attributes = _OTHER_TYPES[item.kind]
        given = {**attributes, **item.attributes}
        file = self._keep(item, item.file_name or name, item.mime_type or mime_type)
        return Media(item.kind, (file,), tuple(given.items()))

    def _keep(self, item: Item, file_name: str, mime_type: str) -> StoredFile:
        return self.telegram.files.add(
            item.content,
            kind=item.kind,
            file_name=file_name,
            mime_type=mime_type,
            claimed_size=item.file_size,
        )
