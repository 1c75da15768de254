"""The media of a message: a photo in several sizes, or one file with what Telegram says about it."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.errors import JSON
from emulator.files import StoredFile

KINDS = ("photo", "document", "animation", "video", "audio", "voice", "video_note", "sticker")


@dataclass(frozen=True, slots=True)
class Media:
    """One attachment; ``files`` holds a photo's sizes from the smallest to the largest, else one file."""

    kind: str
    files: tuple[StoredFile, ...]
    attributes: tuple[tuple[str, object], ...] = ()
    thumbnail: StoredFile | None = None

    @property
    def file(self) -> StoredFile:
        """The file itself, of a photo the largest size."""
        return self.files[-1]

    def to_json(self) -> JSON:
        """The fields this attachment adds to a Bot API Message."""
        if self.kind == "photo":
            return {"photo": [file.to_json() for file in self.files]}
        described = {**self.file.to_json(), **dict(self.attributes)}
        if self.thumbnail is not None:
            described["thumbnail"] = self.thumbnail.to_json()
        if self.kind == "animation":  # [api] Message.document is set as well, for old bots
            return {"animation": described, "document": described}
        return {self.kind: described}
