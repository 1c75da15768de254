"""No log of any process names a person, a file or a secret, or has a piece of a picture: every town is searched."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emulator import Emulator

RARE_LENGTH = 8  # characters of a name that cannot stand in a log by chance, as "Max" and "photo.png" do


def give_everybody_a_rare_name(telegram: Emulator) -> None:
    """Let every person of this emulator have a last and a user name that stand nowhere else."""
    make = telegram.user

    def make_with_rare_name(first_name: str, **options: Any) -> Any:
        number = len(telegram.people)
        names = {"last_name": f"Ünüsual-{number} '\"%s", "username": f"rare_username_{number}"}
        return make(first_name, **{**names, **options})

    telegram.user = make_with_rare_name  # type: ignore[method-assign]  # of this one


def log_files(folder: Path) -> list[Path]:
    """Everything that processes wrote there, but Redis's data."""
    return [path for path in folder.rglob("*") if path.is_file() and "appendonly" not in str(path)]


def indiscretions(town: Any) -> list[str]:
    """What logs say that they should not: which file, and what."""
    logs = [(path, path.read_bytes()) for path in log_files(town.stack.folder)]
    marks = [*marks_of(town.telegram)]
    return [f"{path.name} has {what}: {mark!r}" for path, log in logs for what, mark in marks if mark in log]


def marks_of(telegram: Emulator) -> Iterator[tuple[str, bytes]]:
    """What may be in no log, with what it is."""
    yield "the token", telegram.token.encode()
    yield "the token's secret", telegram.token.partition(":")[2].encode()
    for person in telegram.people:
        names = (person.account.first_name, person.account.last_name, person.account.username)
        for name in filter(None, names):
            yield from in_all_spellings("a name", name)
        yield "the number of a person", str(person.id).encode()
    for chat in telegram.state.chats.values():
        yield "the number of a chat", str(chat.id).encode()
    for file in telegram.state.files._files.values():  # there is no other way to all of them
        yield "a file's id", file.file_id.encode()
        yield "a file's other id", file.file_unique_id.encode()
        yield from in_all_spellings("a file's name", file.file_name or "")
        if file.size < 10**7:
            yield from pieces_of(file.content)


def in_all_spellings(what: str, name: str) -> Iterator[tuple[str, bytes]]:
    """As it is, and as ``repr`` and JSON write it."""
    if len(name) >= RARE_LENGTH:
        spellings = {name, repr(name)[1:-1], ascii(name)[1:-1]}
        yield from ((what, spelling.encode()) for spelling in spellings)


def pieces_of(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Its beginning and its middle: raw, as ``repr`` writes bytes, in hexadecimal and in base64."""
    for start in (0, len(content) // 6 * 3):  # of a whole group of base64
        piece = content[start : start + 24]
        if len(set(piece)) > 12:  # else it says nothing, as rows of zeros do
            yield "a piece of a picture", piece
            yield "a piece of a picture as text", repr(piece)[2:-1].encode()
            yield "a piece of a picture in hexadecimal", piece.hex().encode()
            yield "a piece of a picture in base64", base64.b64encode(piece)
