"""Names and files of the ``restore`` command: what goes in, where it comes out, and that it appears whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def files_under(folder: Path, *, leave_out: Path) -> list[Path]:
    """Every file of a folder and its sub-folders, sorted; nothing hidden, nothing below ``leave_out``."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not _skipped(here / name, leave_out))
        found += [here / name for name in sorted(names) if not name.startswith(".") and (here / name).is_file()]
    return found


def _skipped(folder: Path, leave_out: Path) -> bool:
    return folder.name.startswith(".") or folder.resolve() == leave_out.resolve()


def looks_like_a_picture(path: Path) -> bool:
    """Whether its owner thinks it is one, going by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES


class Names:
    """Gives every result of one run a name of its own.

    Args:
        taken: files that must not be replaced, such as the input.
    """

    def __init__(self, *taken: Path) -> None:
        self._taken = {_key(path) for path in taken}

    def choose(self, folder: Path, original: Path, extension: str) -> Path:
        """``photo.jpg`` becomes ``photo.png``; if that is taken ``photo.jpg.png``, then ``photo.jpg-2.png``."""
        for candidate in self._candidates(original, extension):
            path = folder / candidate
            if _key(path) not in self._taken:
                self._taken.add(_key(path))
                return path
        raise AssertionError("counting does not end")

    @staticmethod
    def _candidates(original: Path, extension: str) -> Iterator[str]:
        numbered = (f"{original.name}-{number}.{extension}" for number in count(2))
        return chain((f"{original.stem}.{extension}", f"{original.name}.{extension}"), numbered)


def _key(path: Path) -> str:
    # Two names that differ in case only are one file on macOS and Windows.
    return str(path.resolve()).casefold()


def write_whole(path: Path, data: bytes) -> None:
    """Write beside, then rename: nobody ever sees half a file, and a failure leaves what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
