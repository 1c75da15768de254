"""What the kernel says about processes: who is whose child, and how much memory they have. Linux; elsewhere nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Relative(NamedTuple):
    """A process below another one; ``depth`` 1 is a child."""

    pid: int
    depth: int


def resident_bytes(pid: int | None = None) -> int:
    """Physical memory that a process, by default this one, has at this moment; 0 where nobody can tell."""
    try:
        pages = (PROC / str(pid or "self") / "statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def descendants(pid: int) -> list[Relative]:
    """The children of a process, theirs, and so on; none where nobody can tell."""
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*"):
        if (parent := _parent_of(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found: list[Relative] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children.pop(parent, [])]
        depth = found[-1].depth + 1 if found else 1
        found += [Relative(child, depth) for child in level]
    return found


def _parent_of(entry: Path) -> int | None:
    try:  # the name, in parentheses, may have anything in it; behind it come the state and the parent
        return int((entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):  # it has just ended
        return None
