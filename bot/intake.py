"""What a message holds, judged by what Telegram says about it; nothing is downloaded."""

from __future__ import annotations

from typing import Literal

from aiogram.types import Document, Message, PhotoSize, Sticker

from tasks.messages import PictureKind, RestorePhoto

RefusalCode = Literal[
    "file_too_large",
    "animated_sticker",
    "video_sticker",
    "animation",
    "video",
    "pdf",
    "heic",
    "document",
    "text",
    "unknown_command",
    "other",
]

# Pixels per byte, about, of the pictures people send as files; only the expected wait hangs on it.
PIXELS_PER_BYTE = {"image/jpeg": 3.0, "image/png": 0.5, "image/webp": 6.0}
TYPE_BY_EXTENSION = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
}
REFUSED_TYPES: dict[str, RefusalCode] = {
    "application/pdf": "pdf",
    "image/heic": "heic",
    "image/heif": "heic",
    "image/gif": "animation",
}


def read_picture(message: Message, *, locale: str, max_file_bytes: int) -> RestorePhoto | RefusalCode:
    """The picture of a message, or why there is none to restore."""
    if message.photo:
        largest = max(message.photo, key=lambda size: size.width * size.height)
        return _wish(message, "photo", largest, locale, pixels=largest.width * largest.height)
    if message.sticker:
        return _read_sticker(message, message.sticker, locale)
    if message.animation or message.video or message.video_note:  # before document: GIFs fill in both
        return "animation" if message.animation else "video"
    if message.document:
        return _read_document(message, message.document, locale, max_file_bytes)
    return _nothing_to_read(message.text)


def _nothing_to_read(text: str | None) -> RefusalCode:
    if not text:
        return "other"
    return "unknown_command" if text.startswith("/") else "text"


def _read_sticker(message: Message, sticker: Sticker, locale: str) -> RestorePhoto | RefusalCode:
    if sticker.is_animated:
        return "animated_sticker"
    if sticker.is_video:
        return "video_sticker"
    return _wish(message, "sticker", sticker, locale, pixels=sticker.width * sticker.height)


def _read_document(
    message: Message, document: Document, locale: str, max_file_bytes: int
) -> RestorePhoto | RefusalCode:
    media_type = _media_type(document)
    if media_type not in PIXELS_PER_BYTE:
        return REFUSED_TYPES.get(media_type) or ("video" if media_type.startswith("video/") else "document")
    if (document.file_size or 0) > max_file_bytes:
        return "file_too_large"
    pixels = round((document.file_size or 0) * PIXELS_PER_BYTE[media_type])
    return _wish(message, "document", document, locale, pixels=pixels, file_name=document.file_name or "")


def _media_type(document: Document) -> str:
    """What Telegram calls the file, else what its name says: some programs send every file as octet-stream."""
    stated = (document.mime_type or "").lower()
    if stated and stated != "application/octet-stream":
        return "image/jpeg" if stated == "image/jpg" else stated
    extension = (document.file_name or "").rpartition(".")[2].lower()
    return TYPE_BY_EXTENSION.get(extension, stated)


def _wish(
    message: Message,
    kind: PictureKind,
    file: PhotoSize | Sticker | Document,
    locale: str,
    *,
    pixels: int,
    file_name: str = "",
) -> RestorePhoto:
    user = message.from_user
    return RestorePhoto(
        chat_id=message.chat.id,
        message_id=message.message_id,
        user_id=user.id if user else message.chat.id,
        locale=locale,
        kind=kind,
        file_id=file.file_id,
        file_name=file_name,
        pixels=pixels,
    )
