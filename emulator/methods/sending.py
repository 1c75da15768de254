"""sendMessage, the methods that send one file, sendMediaGroup and sendChatAction."""

from __future__ import annotations

from typing import Any

from emulator import limits
from emulator.errors import JSON, bad_request
from emulator.keyboards import Keyboard, parse_keyboard
from emulator.messages import Version
from emulator.methods.arguments import Arguments
from emulator.methods.attachments import media_of
from emulator.methods.registry import Handler, method
from emulator.methods.targets import place_of, writable_chat
from emulator.methods.texts import caption, caption_of, message_text
from emulator.reply_keyboards import ReplyKeyboard, ReplyKeyboardRemoval, parse_reply_keyboard
from emulator.state import Telegram

_ACTIONS = frozenset(
    {
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    }
)
_ALBUM_KINDS = frozenset({"photo", "video", "document", "audio"})


@method("sendMessage")
async def send_message(telegram: Telegram, arguments: Arguments) -> JSON:
    """Send a text."""
    chat = writable_chat(telegram, arguments)
    text, entities = message_text(arguments)
    keyboard, reply_keyboard = _keyboards(arguments)
    place = place_of(chat, arguments)
    version = Version(telegram.clock(), text, entities, None, keyboard)
    return telegram.post(chat, telegram.bot, version, **place, reply_keyboard=reply_keyboard).to_json()


def _sender_of(kind: str) -> Handler:
    async def send_file(telegram: Telegram, arguments: Arguments) -> JSON:
        chat = writable_chat(telegram, arguments)
        text, entities = caption(arguments) if kind not in {"sticker", "video_note"} else ("", ())
        keyboard, reply_keyboard = _keyboards(arguments)
        place = place_of(chat, arguments)
        media = await media_of(telegram, arguments, kind, arguments.values.get(kind), arguments.values)
        version = Version(telegram.clock(), text, entities, media, keyboard)
        return telegram.post(chat, telegram.bot, version, **place, reply_keyboard=reply_keyboard).to_json()

    return send_file


for _name, _kind in {
    "sendPhoto": "photo",
    "sendDocument": "document",
    "sendSticker": "sticker",
    "sendAnimation": "animation",
    "sendVideo": "video",
    "sendAudio": "audio",
    "sendVoice": "voice",
    "sendVideoNote": "video_note",
}.items():
    method(_name)(_sender_of(_kind))


@method("sendMediaGroup")
async def send_media_group(telegram: Telegram, arguments: Arguments) -> list[JSON]:
    """Send an album: all of it or nothing."""
    chat = writable_chat(telegram, arguments)
    items = arguments.sequence("media")
    if not items or not limits.ALBUM_MIN <= len(items) <= limits.ALBUM_MAX:
        raise bad_request("there must be 2-10 media in an album")  # our words
    _refuse_mixed_album(items)
    place = place_of(chat, arguments)
    versions = []
    for item in items:
        text, entities = caption_of(item)
        media = await media_of(telegram, arguments, item["type"], item.get("media"), item)
        versions.append(Version(telegram.clock(), text, entities, media))
    group = str(13_000_000_000_000_000 + telegram.revision)
    posted = [telegram.post(chat, telegram.bot, version, **place, media_group_id=group) for version in versions]
    return [message.to_json() for message in posted]


def _keyboards(arguments: Arguments) -> tuple[Keyboard | None, ReplyKeyboard | ReplyKeyboardRemoval | None]:
    """The buttons under the message, and what becomes of the keyboard under the input field."""
    markup = arguments.mapping("reply_markup")
    return parse_keyboard(markup), parse_reply_keyboard(markup)


def _refuse_mixed_album(items: list[Any]) -> None:
    kinds = {item.get("type") if isinstance(item, dict) else None for item in items}
    if not kinds <= _ALBUM_KINDS:
        raise bad_request("can't parse InputMedia: media of this type can't be sent in an album")  # our words
    for alone in ("document", "audio"):
        if alone in kinds and len(kinds) > 1:
            raise bad_request(f"{alone} can't be mixed with other media types")


@method("sendChatAction")
async def send_chat_action(telegram: Telegram, arguments: Arguments) -> bool:
    """Show that something is being prepared."""
    chat = writable_chat(telegram, arguments)
    action = arguments.text("action")
    if action not in _ACTIONS:
        raise bad_request("wrong parameter action in request")
    telegram.show_action(chat, action)
    return True
