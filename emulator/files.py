"""The files in the chats: kept in memory, beyond a budget in a temporary folder removed at exit."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from emulator import limits
from emulator.errors import JSON

MEMORY_BUDGET = 512 * limits.MIB  # bytes of all files; what comes after goes to the disk

_FOLDERS = {
    "photo": "photos",
    "sticker": "stickers",
    "animation": "animations",
    "video": "videos",
    "video_note": "video_notes",
    "voice": "voice",
    "audio": "music",
}


class Body(Protocol):
    """Where the bytes of a file are."""

    def read(self) -> bytes:
        """All of them."""


@dataclass(frozen=True, slots=True)
class _InMemory:
    content: bytes

    def read(self) -> bytes:
        return self.content


@dataclass(frozen=True, slots=True)
class _OnDisk:
    path: Path

    def read(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class _Sparse:
    """As many zeros as the file claims to have; nobody has to hold them."""

    size: int

    def read(self) -> bytes:
        return bytes(self.size)


@dataclass(frozen=True, slots=True, eq=False)
class StoredFile:
    """A file as Telegram knows it; ``width`` and ``height`` in pixels where it has any."""

    number: int
    file_id: str
    file_unique_id: str
    kind: str
    size: int
    body: Body
    file_name: str | None = None
    mime_type: str | None = None
    width: int | None = None
    height: int | None = None

    @property
    def content(self) -> bytes:
        """The bytes; of an oversized stand-in, as many zeros."""
        return self.body.read()

    def to_json(self) -> JSON:
        """The fields all file types of the Bot API share."""
        optional = {
            "file_name": self.file_name,
            "mime_type": self.mime_type,
            "width": self.width,
            "height": self.height,
        }
        given = {key: value for key, value in optional.items() if value is not None}
        identity = {"file_id": self.file_id, "file_unique_id": self.file_unique_id}
        return {**identity, "file_size": self.size, **given}


class FileStore:
    """All files of one bot. Another bot's identifiers mean nothing here."""

    def __init__(
        self,
        bot_id: int,
        *,
        path_valid_s: float = limits.FILE_PATH_VALID_S,
        memory_budget: int = MEMORY_BUDGET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bot_id = bot_id
        self._path_valid_s = path_valid_s
        self._memory_left = memory_budget
        self._clock = clock
        self._files: dict[str, StoredFile] = {}
        self._paths: dict[str, tuple[StoredFile, float]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def add(
        self,
        content: bytes,
        *,
        kind: str = "document",
        file_name: str | None = None,
        mime_type: str | None = None,
        size_wh: tuple[int, int] | None = None,
        claimed_size: int | None = None,
    ) -> StoredFile:
        """Keep ``content``; with ``claimed_size`` instead a stand-in of that many bytes."""
        number = len(self._files)
        body: Body = self._keep(content, number) if claimed_size is None else _Sparse(claimed_size)
        width, height = size_wh or (None, None)
        file = StoredFile(
            number=number,
            file_id=self._identifier("file", number, 54),
            file_unique_id=self._identifier("unique", number, 11),
            kind=kind,
            size=len(content) if claimed_size is None else claimed_size,
            body=body,
            file_name=file_name,
            mime_type=mime_type,
            width=width,
            height=height,
        )
        self._files[file.file_id] = file
        return file

    def find(self, file_id: str) -> StoredFile | None:
        """The file with this identifier, if it is one of this bot."""
        return self._files.get(file_id)

    def outgrow(self, file_id: str) -> None:
        """Let a file be larger from now on than bots may download; people keep what they have."""
        file = self._files.get(file_id)
        if file is not None:
            size = limits.GET_FILE_MAX_BYTES + 1
            self._files[file_id] = replace(file, size=size, body=_Sparse(size))

    def open_path(self, file: StoredFile) -> str:
        """A path under which ``file`` can be downloaded for a while; the same one while it is valid."""
        suffix = Path(file.file_name or "").suffix or _SUFFIXES.get(file.kind, "")
        path = f"{_FOLDERS.get(file.kind, 'documents')}/file_{file.number}{suffix}"
        self._paths[path] = (file, self._clock() + self._path_valid_s)
        return path

    def at_path(self, path: str) -> StoredFile | None:
        """The file of a path that was opened and has not run out."""
        file, valid_until = self._paths.get(path, (None, 0.0))
        return file if self._clock() < valid_until else None

    def close(self) -> None:
        """Remove what lies on the disk."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _keep(self, content: bytes, number: int) -> Body:
        if len(content) <= self._memory_left:
            self._memory_left -= len(content)
            return _InMemory(content)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="telegram-emulator-")
        path = Path(self._folder.name) / str(number)
        path.write_bytes(content)
        return _OnDisk(path)

    def _identifier(self, purpose: str, number: int, length_bytes: int) -> str:
        seed = f"{purpose}:{self._bot_id}:{number}".encode()
        return base64.urlsafe_b64encode(hashlib.shake_128(seed).digest(length_bytes)).decode().rstrip("=")


_SUFFIXES = {
    "photo": ".jpg",
    "sticker": ".webp",
    "animation": ".mp4",
    "video": ".mp4",
    "video_note": ".mp4",
    "voice": ".oga",
    "audio": ".mp3",
}
