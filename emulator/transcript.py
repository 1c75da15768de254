"""A chat as text, for a terminal and for failed expectations."""

from __future__ import annotations

import time
from collections.abc import Iterable

from emulator.chats import Chat
from emulator.media import Media
from emulator.messages import Message, Version
from emulator.reply_keyboards import ReplyKeyboard

_INDENT = 10


def transcript(chat: Chat) -> str:
    """Everything that was said in ``chat``, one block per message, edits as a chain."""
    width = max((len(message.sender.name) for message in chat.numbered.values()), default=0)
    title = f"── {chat.name} ({chat.type} chat {chat.id}) " + ("── bot blocked " if chat.blocked else "")
    keyboards = _keyboard_lines(chat)
    blocks = [_block(message, width, keyboards.get(message.message_id)) for message in chat.numbered.values()]
    return "\n".join([title.ljust(72, "─"), *(blocks or ["   (nothing was said)"])])


def _keyboard_lines(chat: Chat) -> dict[int, str]:
    """What changed under the input field, by the number of the message that changed it."""
    lines: dict[int, str] = {}
    present: ReplyKeyboard | None = None
    for message in chat.numbered.values():
        if message.reply_keyboard is None:
            continue
        keyboard = message.reply_keyboard if isinstance(message.reply_keyboard, ReplyKeyboard) else None
        if keyboard != present:
            lines[message.message_id] = f"[keyboard: {' | '.join(keyboard.keys)}]" if keyboard else "[keyboard removed]"
        present = keyboard
    return lines


def _block(message: Message, width: int, keyboard_line: str | None) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(message.history[0].time))
    head = f"{clock}  {message.sender.name:<{width}}  "
    marks = f"#{message.message_id}"
    if message.reply_to is not None:
        marks += f" in reply to #{message.reply_to.message_id}"
    if message.media_group_id:
        marks += " in an album"
    lines = _steps(message.history)
    if message.extra:
        lines.append(f"({', '.join(message.extra)})")
    if keyboard_line is not None:
        lines.append(keyboard_line)
    if message.deleted:
        lines.append("(deleted)")
    indent = "\n" + " " * len(head)
    body = indent.join(part for line in lines for part in line.splitlines())
    return f"{head}{body}  {marks}"


def _steps(history: Iterable[Version]) -> list[str]:
    """One line per version that shows something new."""
    lines: list[str] = []
    for version in history:
        line = describe(version)
        if not lines or lines[-1].removeprefix("→ ") != line:
            lines.append(f"→ {line}" if lines else line)
    return lines


def describe(version: Version) -> str:
    """Media, text and buttons of one version, in a line."""
    buttons = [f"[{label}]" for label in version.buttons]
    return "  ".join(part for part in (_media(version.media), version.text, *buttons) if part)


def _media(media: Media | None) -> str:
    if media is None:
        return ""
    file = media.file
    size = f"{file.width}×{file.height}, " if file.width and file.height else ""
    name = f" {file.file_name}" if file.file_name else ""
    return f"<{media.kind}{name}: {size}{human_size(file.size)}>"


def human_size(size: int) -> str:
    """Bytes for people: 950 B, 12 kB, 3.4 MB."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
