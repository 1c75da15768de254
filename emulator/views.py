"""What the chat page shows, as JSON."""

from __future__ import annotations

from typing import Any

from emulator.accounts import Account
from emulator.chats import Chat
from emulator.errors import JSON
from emulator.files import StoredFile
from emulator.media import Media
from emulator.messages import Message
from emulator.state import Telegram


def bot_view(telegram: Telegram, language_code: str | None, *, connected: bool) -> JSON:
    """The bot's name and the command menu of a language, or else the general one; whether it is running."""
    menus = telegram.profile.commands
    commands = menus.get(("default", language_code or "")) or menus.get(("default", ""), [])
    names, descriptions = telegram.profile.names, telegram.profile.descriptions
    return {
        "name": names.get(language_code or "") or names.get("") or telegram.bot.first_name,
        "username": telegram.bot.username,
        "description": descriptions.get(language_code or "") or descriptions.get("") or "",
        "commands": commands,
        "connected": connected,
    }


def person_view(person: Account, chat: Chat) -> JSON:
    """One person in the list of people."""
    return {
        "id": person.id,
        "name": person.name,
        "language_code": person.language_code,
        "blocked": chat.blocked,
    }


def keyboard_view(person: Account, chat: Chat) -> JSON | None:
    """The keyboard under the input field; the number of its message tells it from the same keyboard sent anew."""
    shown = chat.keyboard_for(person)
    if shown is None:
        return None
    keyboard = shown.keyboard
    return {
        "message_id": shown.message.message_id,
        "rows": keyboard.rows,
        "resize": keyboard.resize,
        "persistent": keyboard.is_persistent,
        "placeholder": keyboard.placeholder,
        "hidden": shown.hidden,
    }


def message_view(message: Message) -> JSON:
    """One message as it is now."""
    now = message.now
    reply = message.reply_to
    return {
        "id": message.message_id,
        "from_bot": message.from_bot,
        "sender": message.sender.name,
        "time": message.history[0].time,
        "edited": message.edited,
        "versions": len(message.history),
        "deleted": message.deleted,
        "text": now.text,
        "entities": [entity.to_json() for entity in now.entities],
        "media": media_view(now.media) if now.media else None,
        "extra": sorted(message.extra),
        "album": message.media_group_id,
        "reply_to": {"id": reply.message_id, "text": reply.text, "kind": reply.kind} if reply else None,
        "buttons": _buttons(message),
    }


def media_view(media: Media) -> JSON:
    """An attachment with the addresses of its file and of its preview."""
    attributes: dict[str, Any] = dict(media.attributes)
    file = media.file
    return {
        "kind": media.kind,
        "name": file.file_name,
        "mime_type": file.mime_type,
        "size": file.size,
        "width": file.width,
        "height": file.height,
        "url": _address(file),
        "preview": _address(media.thumbnail) if media.thumbnail else None,
        "moves": bool(attributes.get("is_animated") or attributes.get("is_video")),
    }


def _address(file: StoredFile) -> str:
    return f"/emulator/files/{file.file_id}"


def _buttons(message: Message) -> list[list[JSON]]:
    rows = message.keyboard.rows if message.keyboard else ()
    return [[{"text": button.text, "data": button.callback_data, "url": button.url} for button in row] for row in rows]
