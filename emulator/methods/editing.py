"""The editMessage... methods. An edit that changes nothing is refused, as Telegram does."""

from __future__ import annotations

from dataclasses import replace

from emulator.errors import JSON, bad_request, not_modified
from emulator.keyboards import parse_edited_keyboard
from emulator.media import KINDS
from emulator.messages import Message, Version
from emulator.methods.arguments import Arguments
from emulator.methods.attachments import media_of
from emulator.methods.registry import method
from emulator.methods.targets import message_to_edit
from emulator.methods.texts import caption, caption_of, message_text
from emulator.state import Telegram

_EDITABLE_MEDIA = frozenset(KINDS) & {"photo", "document", "animation", "video", "audio"}


@method("editMessageText")
async def edit_text(telegram: Telegram, arguments: Arguments) -> JSON:
    """Replace the text of a text message."""
    message = message_to_edit(telegram, arguments)
    text, entities = message_text(arguments)
    if message.now.media is not None:
        raise bad_request("there is no text in the message to edit")
    return _edit(telegram, message, arguments, replace(message.now, text=text, entities=entities))


@method("editMessageCaption")
async def edit_caption(telegram: Telegram, arguments: Arguments) -> JSON:
    """Replace the caption of a message with media."""
    message = message_to_edit(telegram, arguments)
    text, entities = caption(arguments)
    if message.now.media is None:
        raise bad_request("there is no caption in the message to edit")
    return _edit(telegram, message, arguments, replace(message.now, text=text, entities=entities))


@method("editMessageReplyMarkup")
async def edit_markup(telegram: Telegram, arguments: Arguments) -> JSON:
    """Replace or remove the buttons."""
    message = message_to_edit(telegram, arguments)
    return _edit(telegram, message, arguments, message.now)


@method("editMessageMedia")
async def edit_media(telegram: Telegram, arguments: Arguments) -> JSON:
    """Replace the media of a message, or turn a text message into one with media."""
    message = message_to_edit(telegram, arguments)
    item = arguments.mapping("media")
    if item is None:
        raise bad_request("media is not specified")
    kind = item.get("type")
    if kind not in _EDITABLE_MEDIA:
        raise bad_request("can't parse InputMedia: unsupported type specified")
    if message.kind not in _EDITABLE_MEDIA | {"text"}:
        raise bad_request("message can't be edited")
    if message.media_group_id and kind != message.kind:
        raise bad_request("message content type can't be changed in an album")  # our words
    text, entities = caption_of(item)
    media = await media_of(telegram, arguments, kind, item.get("media"), item)
    return _edit(telegram, message, arguments, Version(0, text, entities, media))


def _edit(telegram: Telegram, message: Message, arguments: Arguments, version: Version) -> JSON:
    # [api] every edit sets the buttons anew: without reply_markup they disappear
    keyboard = parse_edited_keyboard(arguments.mapping("reply_markup"))
    version = replace(version, time=telegram.clock(), keyboard=keyboard)
    if version.shows_the_same_as(message.now):
        raise not_modified()
    if message.deleted:  # while the upload was under way
        raise bad_request("message to edit not found")
    telegram.edit(message, version)
    return message.to_json()
