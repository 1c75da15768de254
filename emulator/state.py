"""Everything the emulated Telegram knows; no HTTP, no waiting.

The bot's side (`emulator.methods`) and the people's side (`emulator.people`) both work on a `Telegram`;
who wants to know about changes subscribes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator import limits
from emulator.accounts import Account
from emulator.chats import Chat, Event
from emulator.errors import JSON, UnusableError
from emulator.files import FileStore
from emulator.messages import Message, Version
from emulator.reply_keyboards import ReplyKeyboard, ReplyKeyboardRemoval
from emulator.updates import UpdateQueue

FIRST_USER_ID = 500_000_001
FIRST_GROUP_ID = -400_000_001
FIRST_SUPERGROUP_ID = -1_000_000_000_000  # their numbers begin with -100


@dataclass(eq=False, slots=True)
class CallbackQuery:
    """A press on a button and what the bot answered to it."""

    id: str
    person: Account
    message: Message
    data: str
    time: float
    answer: JSON | None = None

    def to_json(self, chat_instance: str) -> JSON:
        """The Bot API's CallbackQuery."""
        return {
            "id": self.id,
            "from": self.person.to_json(),
            "message": self.message.to_json() if not self.message.deleted else self.message.to_inaccessible_json(),
            "chat_instance": chat_instance,
            "data": self.data,
        }


@dataclass(eq=False, slots=True)
class Profile:
    """What the bot says about itself; keys are (scope, language code)."""

    commands: dict[tuple[str, str], list[JSON]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    short_descriptions: dict[str, str] = field(default_factory=dict)
    menu_button: JSON = field(default_factory=lambda: {"type": "commands"})


class Telegram:
    """One bot, its chats, their files and the updates that wait for it."""

    def __init__(
        self,
        token: str,
        *,
        bot_name: str = "Restora",
        bot_username: str = "restora_bot",
        privacy_mode: bool = False,
        callback_lifetime_s: float = limits.CALLBACK_LIFETIME_S,
        file_path_valid_s: float = limits.FILE_PATH_VALID_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        number, _, secret = token.partition(":")
        if not (number.isdecimal() and secret):
            raise UnusableError(f"a bot token looks like 123456:ABC-DEF, not like {token!r}")
        self.token = token
        self.clock = clock
        self.privacy_mode = privacy_mode
        self.callback_lifetime_s = callback_lifetime_s
        self.bot = Account(int(number), bot_name, username=bot_username, is_bot=True)
        self.files = FileStore(self.bot.id, path_valid_s=file_path_valid_s)
        self.updates = UpdateQueue()
        self.chats: dict[int, Chat] = {}
        self.queries: dict[str, CallbackQuery] = {}
        self.file_chats: dict[str, Chat] = {}  # where a file was first seen
        self.profile = Profile()
        self.revision = 0
        self._subscribers: list[Callable[[], None]] = []

    def subscribe(self, subscriber: Callable[[], None]) -> Callable[[], None]:
        """Call ``subscriber`` after every change; returns what ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def changed(self) -> None:
        """Tell the subscribers."""
        self.revision += 1
        for subscriber in tuple(self._subscribers):
            subscriber()

    def close(self) -> None:
        """Remove temporary files."""
        self.files.close()

    # People and chats

    def add_person(
        self,
        first_name: str,
        *,
        language_code: str | None = "en",
        username: str | None = None,
        last_name: str | None = None,
    ) -> Account:
        """A new account with a private chat in which nothing was said yet."""
        number = FIRST_USER_ID + sum(chat.is_private for chat in self.chats.values())
        person = Account(number, first_name, last_name, username, language_code)
        self.chats[person.id] = Chat(person.id, "private", members={person.id: person})
        self.changed()
        return person

    def add_group(self, title: str, members: list[Account], *, type_: str = "group") -> Chat:
        """A group the bot is already a member of."""
        number = FIRST_GROUP_ID - sum(not chat.is_private for chat in self.chats.values())
        chat = Chat(number, type_, title, {member.id: member for member in members}, started=True)
        self.chats[chat.id] = chat
        self.changed()
        return chat

    def upgrade(self, group: Chat) -> Chat:
        """Make a group a supergroup: a new chat with the same members and message numbers of its own."""
        number = FIRST_SUPERGROUP_ID + group.id
        chat = Chat(number, "supergroup", group.title, dict(group.members), started=True)
        self.chats[chat.id] = chat
        group.upgraded_to = chat.id
        self.changed()
        return chat

    # Messages

    def post(
        self,
        chat: Chat,
        sender: Account,
        version: Version,
        *,
        reply_to: Message | None = None,
        media_group_id: str | None = None,
        reply_keyboard: ReplyKeyboard | ReplyKeyboardRemoval | None = None,
        extra: JSON | None = None,
        thread_id: int | None = None,
    ) -> Message:
        """Put a message into a chat, and the update of a person's message into the queue.

        An answer is in the topic of what it answers.
        """
        number = len(chat.numbered) + 1
        if thread_id is None and reply_to is not None:
            thread_id = reply_to.thread_id
        topic = {"message_thread_id": thread_id, "is_topic_message": True} if thread_id is not None else {}
        message = Message(
            number,
            chat,
            sender,
            [version],
            reply_to,
            media_group_id,
            reply_keyboard,
            extra={**(extra or {}), **topic},
        )
        chat.numbered[number] = message
        if sender.is_bot:
            chat.action = None
        else:
            chat.started = True
            self._report(message)
        self._note(chat, "message", message=message, version=version)
        return message

    def edit(self, message: Message, version: Version) -> None:
        """Let the message say something else from now on."""
        previous = message.now
        message.history.append(version)
        message.edited = True
        self._note(message.chat, "edit", message=message, version=version, previous=previous)

    def delete(self, message: Message) -> None:
        """Take a message out of everybody's sight."""
        message.deleted = True
        self._note(message.chat, "delete", message=message, version=message.now)

    def show_action(self, chat: Chat, action: str) -> None:
        """Show "typing" and the like for a few seconds."""
        chat.action, chat.action_until = action, self.clock() + limits.CHAT_ACTION_S
        self._note(chat, "action", action=action)

    def block(self, chat: Chat, person: Account, *, blocked: bool) -> None:
        """Let a person block the bot (or remove it from a group), or take it back."""
        if chat.blocked == blocked:
            return
        chat.blocked = blocked
        absent = "kicked" if chat.is_private else "left"
        statuses = ("member", absent) if blocked else (absent, "member")
        old, new = (self._membership(status) for status in statuses)
        self.updates.put(
            "my_chat_member",
            {
                "chat": chat.to_json(),
                "from": person.to_json(),
                "date": int(self.clock()),
                "old_chat_member": old,
                "new_chat_member": new,
            },
        )
        self.changed()

    def _membership(self, status: str) -> JSON:
        member: JSON = {"status": status, "user": self.bot.to_json()}
        return {**member, "until_date": 0} if status == "kicked" else member

    # Buttons

    def press(self, person: Account, message: Message, data: str) -> CallbackQuery:
        """A person presses a button; the bot gets an update and ought to answer."""
        query = CallbackQuery(str(10**18 + len(self.queries)), person, message, data, self.clock())
        self.queries[query.id] = query
        self.updates.put("callback_query", query.to_json(str(message.chat.id * 7919)))
        self.changed()
        return query

    def hide_keyboard(self, person: Account, message: Message) -> None:
        """Put the one-time keyboard that ``message`` brought out of a person's sight."""
        message.chat.hidden_keyboards.add((message.message_id, person.id))
        self.changed()

    def _report(self, message: Message) -> None:
        chat = message.chat
        if chat.blocked or (self.privacy_mode and not chat.is_private and not self._is_for_bot(message)):
            return
        self.updates.put("message", message.to_json())

    def _is_for_bot(self, message: Message) -> bool:
        """What privacy mode lets through: commands, mentions and replies to the bot."""
        if message.reply_to is not None and message.reply_to.sender is self.bot:
            return True
        if any(entity.type == "bot_command" for entity in message.now.entities):
            return True
        return f"@{self.bot.username}" in message.formatted("mention")

    def _note(
        self,
        chat: Chat,
        kind: str,
        *,
        message: Message | None = None,
        version: Version | None = None,
        previous: Version | None = None,
        action: str | None = None,
    ) -> None:
        for file in version.media.files if version and version.media else ():
            self.file_chats.setdefault(file.file_id, chat)
        number = self.revision + 1
        chat.timeline.append(Event(number, self.clock(), kind, message, version, previous, action))
        self.changed()
