"""What a message holds, judged by what Telegram says about it; nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aiogram.enums import ContentType
from aiogram.types import Document, Message, Sticker

from tasks.messages import PictureKind, RestorePhoto

RefusalCode = Literal[
    "file_too_large",
    "animated_sticker",
    "video_sticker",
    "animation",
    "video",
    "pdf",
    "raw",
    "document",
    "text",
    "unknown_command",
    "other",
]

# Pixels per byte, about, of the pictures people send as files; the expected wait hangs on it, and the queue. Nine in
# ten of 500 photographs as JPEG have no more than 3.1 to 3.5, of 29 as PNG 0.8; drawings have several times as many.
PIXELS_PER_BYTE = {
    "image/jpeg": 3.0,
    "image/png": 0.8,
    "image/webp": 6.0,
    "image/heic": 10.0,
    "image/avif": 6.0,
    "image/bmp": 0.33,
    "image/tiff": 0.33,
}
SAME_TYPES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/jfif": "image/jpeg",
    "image/x-png": "image/png",
    "image/tif": "image/tiff",
    "image/x-tiff": "image/tiff",
    "image/heif": "image/heic",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heic",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
}
TYPE_BY_EXTENSION = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpe": "image/jpeg",
    "jfif": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heic",
    "hif": "image/heic",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "pdf": "application/pdf",
    **dict.fromkeys(
        ("3fr", "arw", "cr2", "cr3", "crw", "dng", "erf", "fff", "iiq", "mrw", "nef", "nrw", "orf", "pef", "raf", "rw2",
         "srw", "x3f"),
        "image/x-raw",
    ),
}  # fmt: skip
REFUSED_TYPES: dict[str, RefusalCode] = {
    "application/pdf": "pdf",
    "image/gif": "animation",
    "image/x-raw": "raw",  # of cameras; few programs agree on any of their types
}
# What somebody says with a message. All else is what Telegram says about the chat: that something was pinned, that its
# background is another one. Nobody expects an answer to that, and new kinds of it appear every few months.
SAID_BY_PEOPLE = frozenset(
    {
        ContentType.TEXT,
        ContentType.ANIMATION,
        ContentType.AUDIO,
        ContentType.CHECKLIST,
        ContentType.CONTACT,
        ContentType.DICE,
        ContentType.DOCUMENT,
        ContentType.GAME,
        ContentType.GIVEAWAY,
        ContentType.INVOICE,
        ContentType.LIVE_PHOTO,
        ContentType.LOCATION,
        ContentType.PAID_MEDIA,
        ContentType.PHOTO,
        ContentType.POLL,
        ContentType.RICH_MESSAGE,
        ContentType.STICKER,
        ContentType.STORY,
        ContentType.VENUE,
        ContentType.VIDEO,
        ContentType.VIDEO_NOTE,
        ContentType.VOICE,
    }
)


@dataclass(frozen=True)
class Found:
    """The picture in a message, as Telegram describes it."""

    kind: PictureKind
    file_id: str
    pixels: int
    file_name: str = ""


def owner_id(message: Message) -> int:
    """Whose jobs a message is about: its sender; a group or channel where that is who speaks."""
    if message.sender_chat:  # Telegram then names one sender for all anonymous admins of the world
        return message.sender_chat.id
    return message.from_user.id if message.from_user else message.chat.id


def read_picture(message: Message, *, bot_id: int, locale: str, max_file_bytes: int) -> RestorePhoto | RefusalCode:
    """The picture of a message, or why there is none to restore."""
    found = _find(message, max_file_bytes)
    if not isinstance(found, Found):
        return found
    return RestorePhoto(
        bot_id=bot_id,
        chat_id=message.chat.id,
        message_id=message.message_id,
        user_id=owner_id(message),
        locale=locale,
        kind=found.kind,
        file_id=found.file_id,
        file_name=found.file_name,
        pixels=found.pixels,
        thread_id=(message.is_topic_message and message.message_thread_id) or 0,
    )


def _find(message: Message, max_file_bytes: int) -> Found | RefusalCode:
    if message.photo:
        largest = max(message.photo, key=lambda size: size.width * size.height)
        return Found("photo", largest.file_id, largest.width * largest.height)
    if message.sticker:
        return _find_sticker(message.sticker)
    if message.animation or message.video or message.video_note:  # before document: GIFs fill in both
        return "animation" if message.animation else "video"
    if message.document:
        return _find_document(message.document, max_file_bytes)
    return _nothing_to_find(message.text)


def _nothing_to_find(text: str | None) -> RefusalCode:
    if not text:
        return "other"
    return "unknown_command" if text.startswith("/") else "text"


def _find_sticker(sticker: Sticker) -> Found | RefusalCode:
    if sticker.is_animated:
        return "animated_sticker"
    if sticker.is_video:
        return "video_sticker"
    return Found("sticker", sticker.file_id, sticker.width * sticker.height)


def _find_document(document: Document, max_file_bytes: int) -> Found | RefusalCode:
    media_type = _media_type(document)
    if media_type not in PIXELS_PER_BYTE:
        return REFUSED_TYPES.get(media_type) or ("video" if media_type.startswith("video/") else "document")
    size = document.file_size or 0
    if size > max_file_bytes:
        return "file_too_large"
    return Found("document", document.file_id, round(size * PIXELS_PER_BYTE[media_type]), document.file_name or "")


def _media_type(document: Document) -> str:
    """What Telegram calls the file if that says anything to us, else what its name says.

    Some programs send every file as octet-stream, and others as whatever they like; whether it is a picture is known
    when it is opened.
    """
    stated = (document.mime_type or "").partition(";")[0].strip().lower()
    stated = SAME_TYPES.get(stated, stated)
    if stated in PIXELS_PER_BYTE or stated in REFUSED_TYPES or stated.startswith("video/"):
        return stated
    extension = (document.file_name or "").rpartition(".")[2].strip().lower()
    return TYPE_BY_EXTENSION.get(extension, stated)
