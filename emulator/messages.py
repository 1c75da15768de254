"""Messages with their whole history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulator.accounts import Account
from emulator.entities import Entity, utf16_slice
from emulator.errors import JSON
from emulator.keyboards import Keyboard
from emulator.media import Media
from emulator.reply_keyboards import ReplyKeyboard, ReplyKeyboardRemoval

if TYPE_CHECKING:
    from emulator.chats import Chat


@dataclass(frozen=True, slots=True)
class Version:
    """What a message said at one time; ``time`` in seconds since the epoch."""

    time: float
    text: str = ""  # of a message with media: the caption
    entities: tuple[Entity, ...] = ()
    media: Media | None = None
    keyboard: Keyboard | None = None

    @property
    def buttons(self) -> tuple[str, ...]:
        """The labels under the message, row by row."""
        return tuple(button.text for button in self.keyboard.buttons) if self.keyboard else ()

    def shows_the_same_as(self, other: Version) -> bool:
        """Whether Telegram would call an edit from one to the other "not modified"."""
        return (
            self.text == other.text
            and self.entities == other.entities
            and self.media == other.media
            and _markup(self.keyboard) == _markup(other.keyboard)
        )


@dataclass(eq=False, slots=True)
class Message:
    """One message. ``history`` starts with what was sent; the last entry is what it says now."""

    message_id: int
    chat: Chat
    sender: Account
    history: list[Version]
    reply_to: Message | None = None
    media_group_id: str | None = None
    reply_keyboard: ReplyKeyboard | ReplyKeyboardRemoval | None = None  # what came with it for below the input field
    deleted: bool = False
    edited: bool = False
    extra: JSON = field(default_factory=dict)  # service messages and contacts, locations, polls

    @property
    def now(self) -> Version:
        """What the message says now."""
        return self.history[-1]

    @property
    def text(self) -> str:
        """The text, or the caption below media."""
        return self.now.text

    @property
    def caption(self) -> str:
        """The same as ``text``: the caption of a message with media."""
        return self.now.text

    @property
    def buttons(self) -> tuple[str, ...]:
        """The labels of the inline buttons, row by row."""
        return self.now.buttons

    @property
    def keyboard(self) -> Keyboard | None:
        """The inline keyboard with labels and callback data."""
        return self.now.keyboard

    @property
    def kind(self) -> str:
        """Either "text" or the kind of the media: "photo", "document", "sticker" and so on."""
        return self.now.media.kind if self.now.media else "text"

    @property
    def media(self) -> Media:
        """The attachment; AssertionError if there is none."""
        if self.now.media is None:
            raise AssertionError(f"message {self.message_id} has no media: {self.text!r}")
        return self.now.media

    @property
    def content(self) -> bytes:
        """The bytes of the attached file, of a photo those of the largest size."""
        return self.media.file.content

    @property
    def file_id(self) -> str:
        """Identifier of the attached file, of a photo that of the largest size."""
        return self.media.file.file_id

    @property
    def file_name(self) -> str | None:
        """Name of the attached file."""
        return self.media.file.file_name

    @property
    def mime_type(self) -> str | None:
        """Type of the attached file."""
        return self.media.file.mime_type

    @property
    def from_bot(self) -> bool:
        """Whether the bot wrote it."""
        return self.sender.is_bot

    def is_about(self, person: Account) -> bool:
        """Whether it answers to ``person`` or mentions them, which is who a selective keyboard is for."""
        if self.reply_to is not None and self.reply_to.sender is person:
            return True
        return person.username is not None and f"@{person.username}" in self.formatted("mention")

    def formatted(self, kind: str) -> list[str]:
        """The parts of the text that are, for instance, "bold"."""
        entities = (entity for entity in self.now.entities if entity.type == kind)
        return [utf16_slice(self.text, entity.offset, entity.length) for entity in entities]

    @property
    def thread_id(self) -> int | None:
        """The topic of a forum it is in, None for the General one and where there are none."""
        thread_id: int | None = self.extra.get("message_thread_id")
        return thread_id

    def to_json(self, *, with_reply: bool = True) -> JSON:
        """The Bot API's Message."""
        now = self.now
        message: JSON = {
            "message_id": self.message_id,
            "from": self.sender.to_json(),
            "chat": self.chat.to_json(),
            "date": int(self.history[0].time),
            **self.extra,
        }
        if self.edited:
            message["edit_date"] = int(now.time)
        if self.media_group_id:
            message["media_group_id"] = self.media_group_id
        if with_reply and self.reply_to is not None and not self.reply_to.deleted:
            message["reply_to_message"] = self.reply_to.to_json(with_reply=False)
        if now.media is not None:
            message.update(now.media.to_json())
        if now.text:
            message["caption" if now.media else "text"] = now.text
        if now.entities:
            key = "caption_entities" if now.media else "entities"
            message[key] = [entity.to_json() for entity in now.entities]
        if now.keyboard is not None:
            message["reply_markup"] = now.keyboard.markup
        return message

    def to_inaccessible_json(self) -> JSON:
        """The Bot API's InaccessibleMessage, which stands for a deleted one below a pressed button."""
        return {"message_id": self.message_id, "chat": self.chat.to_json(), "date": 0}

    def __repr__(self) -> str:
        """Short enough for a failed assertion."""
        return f"<message {self.message_id} of {self.sender.name}: {self.kind} {self.text!r} {self.buttons}>"


def _markup(keyboard: Keyboard | None) -> JSON | None:
    return keyboard.markup if keyboard else None
