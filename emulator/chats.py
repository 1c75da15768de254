"""Chats: the private one of every person with the bot, and groups."""

from __future__ import annotations

from dataclasses import dataclass, field

from emulator.accounts import Account
from emulator.errors import JSON
from emulator.messages import Message, Version
from emulator.reply_keyboards import ReplyKeyboard


@dataclass(frozen=True, slots=True)
class Event:
    """Something the members of a chat can see: a message, an edit, a deletion or a chat action.

    ``version`` is what the message said then, which a later edit does not change.
    """

    number: int  # counts the events of all chats
    time: float  # seconds since the epoch
    kind: str  # "message", "edit", "delete", "action"
    message: Message | None = None
    version: Version | None = None
    previous: Version | None = None
    action: str | None = None

    @property
    def changed_only_buttons(self) -> bool:
        """Whether an edit left text and media alone."""
        if self.previous is None or self.version is None:
            return False
        before, after = self.previous, self.version
        return (before.text, before.entities, before.media) == (after.text, after.entities, after.media)


@dataclass(frozen=True, slots=True)
class ShownKeyboard:
    """The keyboard under somebody's input field."""

    keyboard: ReplyKeyboard
    message: Message  # which brought it
    hidden: bool  # a one-time keyboard after its use; the person can open it again


@dataclass(eq=False, slots=True)
class Chat:
    """A chat. Message numbers start at 1 in each, so that they alone never identify a message."""

    id: int
    type: str  # "private", "group" or "supergroup"
    title: str | None = None
    members: dict[int, Account] = field(default_factory=dict)
    numbered: dict[int, Message] = field(default_factory=dict)
    timeline: list[Event] = field(default_factory=list)
    started: bool = False  # a bot cannot write first
    blocked: bool = False  # by the person, or the bot was removed from the group
    bot_is_admin: bool = False
    upgraded_to: int | None = None  # the supergroup that a group has become
    topics: set[int] = field(default_factory=set)  # of a forum; what is in none of them is in its General one
    closed_topics: set[int] = field(default_factory=set)  # bots that are no admins cannot write there
    action: str | None = None
    action_until: float = 0.0
    hidden_keyboards: set[tuple[int, int]] = field(default_factory=set)  # (message, person) of used one-time keyboards

    @property
    def messages(self) -> list[Message]:
        """What can be seen, oldest first; deleted messages are gone."""
        return [message for message in self.numbered.values() if not message.deleted]

    @property
    def name(self) -> str:
        """The title, or the name of the person."""
        if self.title:
            return self.title
        return next(member.name for member in self.members.values())

    @property
    def is_private(self) -> bool:
        """Whether only one person and the bot are in it."""
        return self.type == "private"

    def find(self, message_id: int) -> Message | None:
        """The message of this number unless it was deleted."""
        message = self.numbered.get(message_id)
        return None if message is None or message.deleted else message

    def keyboard_for(self, person: Account) -> ShownKeyboard | None:
        """What ``person`` has under the input field: the newest keyboard, unless that was removed or deleted."""
        for message in reversed(self.numbered.values()):
            keyboard = message.reply_keyboard
            if keyboard is None or (keyboard.selective and not self.is_private and not message.is_about(person)):
                continue
            if message.deleted or not isinstance(keyboard, ReplyKeyboard):
                return None
            return ShownKeyboard(keyboard, message, (message.message_id, person.id) in self.hidden_keyboards)
        return None

    def to_json(self) -> JSON:
        """The Bot API's Chat."""
        if not self.is_private:
            return {"id": self.id, "type": self.type, "title": self.title}
        person = next(iter(self.members.values())).to_json()
        names: JSON = {key: person[key] for key in ("first_name", "last_name", "username") if key in person}
        return {"id": self.id, "type": self.type, **names}
