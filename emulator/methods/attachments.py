"""Files in calls: uploads, ``attach://`` references and identifiers of files sent before."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Mapping
from typing import Any

from emulator import limits
from emulator.errors import UnusableError, bad_request, entity_too_large
from emulator.files import StoredFile
from emulator.media import Media
from emulator.methods.arguments import Arguments, Upload
from emulator.pictures import compress_photo, make_sticker, measure, thumbnail
from emulator.state import Telegram


async def media_of(
    telegram: Telegram,
    arguments: Arguments,
    kind: str,
    reference: Any,
    fields: Mapping[str, Any],
) -> Media:
    """The attachment a call describes.

    Args:
        telegram: where files are kept.
        arguments: the call, for its uploads.
        kind: "photo", "document" and so on.
        reference: a file identifier, "attach://name", or the name of an upload itself.
        fields: what else the call says: duration, title, emoji ...
    """
    upload = _upload_for(arguments, kind, reference)
    if upload is None:
        return _known(telegram, kind, reference)
    if len(upload.content) > limits.UPLOAD_MAX_BYTES:
        raise entity_too_large()
    if not upload.content:
        raise bad_request("file must be non-empty")
    if kind == "photo":
        return await _photo(telegram, upload)
    return await _single(telegram, kind, upload, fields)


def _upload_for(arguments: Arguments, kind: str, reference: Any) -> Upload | None:
    if isinstance(reference, str) and reference.startswith("attach://"):
        upload = arguments.uploads.get(reference.removeprefix("attach://"))
        if upload is None:
            raise bad_request("wrong file identifier/HTTP URL specified")
        return upload
    return arguments.uploads.get(kind) if reference is None else None


def _known(telegram: Telegram, kind: str, reference: Any) -> Media:
    if reference is None or reference == "":
        raise bad_request(f"there is no {kind} in the request")
    name = str(reference)
    if name.startswith(("http://", "https://")):
        raise bad_request("failed to get HTTP URL content")  # the emulator fetches nothing
    file = telegram.files.find(name)
    if file is None:
        raise bad_request("wrong file identifier/HTTP URL specified")
    if file.kind != kind and not {file.kind, kind} <= {"document", "animation"}:
        names = {"photo": "Photo", "document": "Document"}
        expected, found = names.get(kind, kind.title()), names.get(file.kind, file.kind.title())
        raise bad_request(f"can't use file of type {found} as {expected}")
    return Media(kind, (file,))


async def _photo(telegram: Telegram, upload: Upload) -> Media:
    size = len(upload.content)
    if size > limits.PHOTO_MAX_BYTES:
        raise bad_request(
            f"file of size {size} bytes is too big for a photo; the maximum size is {limits.PHOTO_MAX_BYTES} bytes"
        )
    try:
        width, height = measure(upload.content)
        too_large = width + height > limits.PHOTO_WIDTH_PLUS_HEIGHT_MAX
        if too_large or max(width, height) > limits.PHOTO_RATIO_MAX * min(width, height):
            raise bad_request("PHOTO_INVALID_DIMENSIONS")
        pictures = await asyncio.to_thread(compress_photo, upload.content)
    except UnusableError:
        raise bad_request("IMAGE_PROCESS_FAILED") from None
    return Media("photo", photo_files(telegram, pictures))


def photo_files(telegram: Telegram, pictures: Any) -> tuple[StoredFile, ...]:
    """Keep the sizes of a photo."""
    return tuple(telegram.files.add(picture.content, kind="photo", size_wh=picture.size_wh) for picture in pictures)


async def _single(telegram: Telegram, kind: str, upload: Upload, fields: Mapping[str, Any]) -> Media:
    content, attributes = upload.content, described(kind, fields)
    size_wh = None
    if kind == "sticker" and upload.file_name.lower().endswith((".webp", ".png")):
        try:
            sticker = await asyncio.to_thread(make_sticker, content)
        except UnusableError:
            raise bad_request("wrong type of the web page content") from None
        content, size_wh = sticker.content, sticker.size_wh
    guessed, _ = mimetypes.guess_type(upload.file_name)
    file = telegram.files.add(
        content,
        kind=kind,
        file_name=upload.file_name if kind in {"document", "animation", "video", "audio"} else None,
        mime_type=None if kind in {"sticker", "video_note"} else guessed or upload.mime_type,
        size_wh=size_wh,
    )
    return Media(kind, (file,), attributes, await preview(telegram, kind, content))


async def preview(telegram: Telegram, kind: str, content: bytes) -> StoredFile | None:
    """The thumbnail Telegram makes of a document that is a picture."""
    if kind != "document":
        return None
    picture = await asyncio.to_thread(thumbnail, content)
    if picture is None:
        return None
    return telegram.files.add(picture.content, kind="photo", size_wh=picture.size_wh)


def described(kind: str, fields: Mapping[str, Any]) -> tuple[tuple[str, object], ...]:
    """The attributes the Bot API promises for a kind, 0 where nobody gave them."""
    required: dict[str, tuple[str, ...]] = {
        "animation": ("width", "height", "duration"),
        "video": ("width", "height", "duration"),
        "audio": ("duration",),
        "voice": ("duration",),
        "video_note": ("length", "duration"),
    }
    attributes: dict[str, object] = {name: int(fields.get(name) or 0) for name in required.get(kind, ())}
    if kind == "sticker":
        flags = {"is_animated": False, "is_video": False, "type": "regular"}
        attributes = {name: fields.get(name, value) for name, value in flags.items()}
        if fields.get("emoji"):
            attributes["emoji"] = fields["emoji"]
    for name in ("title", "performer"):
        if kind == "audio" and fields.get(name):
            attributes[name] = fields[name]
    return tuple(attributes.items())
