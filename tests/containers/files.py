"""Reads the container files as text: Dockerfiles, .dockerignore, docker-compose.yml."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = (REPOSITORY / "docker-compose.yml").read_text("utf-8")

Instruction = tuple[str, str]  # keyword, arguments


def service(name: str) -> str:
    """The lines of one service, with those of the anchors it builds on."""
    text = block(block(COMPOSE, "services:"), f"  {name}:")
    anchors = re.findall(r"<<: \*([\w-]+)", text)
    while anchors:
        inherited = block(COMPOSE, f"x-{anchors.pop()}:")
        anchors += re.findall(r"<<: \*([\w-]+)", inherited)
        text += inherited
    return text


def block(text: str, opening: str) -> str:
    """The line that begins with ``opening`` and everything indented below it."""
    (start,) = re.finditer(rf"^{re.escape(opening)}.*\n", text, re.MULTILINE)
    depth = len(opening) - len(opening.lstrip())
    body = re.compile(rf"(?:[ ]{{{depth + 1},}}.*\n|\n)*").match(text, start.end())
    return start[0] + (body[0] if body else "")


def instructions(dockerfile: str) -> list[Instruction]:
    """All instructions in order, continuation lines joined."""
    text = (REPOSITORY / dockerfile).read_text("utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()]


def last_stage(dockerfile: str) -> list[Instruction]:
    """The instructions of the stage that becomes the image."""
    found = instructions(dockerfile)
    return found[max(index for index, (keyword, _) in enumerate(found) if keyword == "FROM") :]


def arguments_of(keyword: str, stage: list[Instruction]) -> list[str]:
    """The arguments of every instruction of one kind."""
    return [arguments for found, arguments in stage if found == keyword]


def is_sent_to_the_engine(path: str) -> bool:
    """What .dockerignore makes of a path: the last pattern that fits it, or a folder above it, decides."""
    parts = path.split("/")
    above = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    sent = True
    for line in (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!").rstrip("/")
        if not pattern or pattern.startswith("#"):
            continue
        candidates = parts if pattern.startswith("**/") else above
        if any(fnmatch.fnmatchcase(name, pattern.removeprefix("**/")) for name in candidates):
            sent = line.startswith("!")
    return sent
