"""Names and files of the ``restore`` command: what goes in, where it comes out, and that it appears whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path
from stat import S_ISREG
from typing import IO

from models.errors import OptionsError

PICTURE_SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif",
    ".avif",
}  # fmt: skip
MAX_BEGINNING = 200_000_000  # bytes; PNG and JPEG have their recipe at the front, and no WebP of ours is longer


def is_there(path: Path) -> bool:
    """Whether there is something.

    Raises:
        OptionsError: nobody can tell: links in a circle, a name that is too long, a folder that is closed.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise OptionsError(f"cannot reach {path}: {exc.strerror}") from exc
    return True


def real(path: Path) -> str:
    """Without detours and links, but for those that lead in a circle, at which ``Path.resolve`` raises."""
    return os.path.realpath(path)


def files_under(folder: Path, *, leave_out: Path, on_closed: Callable[[OSError], None]) -> list[Path]:
    """Every file of a folder and its sub-folders, sorted; nothing hidden, nothing below ``leave_out``.

    Args:
        folder: where to look.
        leave_out: a folder.
        on_closed: told of each folder that cannot be read.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=on_closed):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not _skipped(here / name, leave_out))
        found += [here / name for name in sorted(names) if not name.startswith(".") and _is_file(here / name)]
    return found


def _is_file(path: Path) -> bool:
    """Whether it is one; what cannot be told, such as of a broken link, is: who reads it will say what is wrong."""
    try:
        return S_ISREG(path.stat().st_mode)
    except OSError:
        return looks_like_a_picture(path)


def _skipped(folder: Path, leave_out: Path) -> bool:
    return folder.name.startswith(".") or real(folder) == real(leave_out)


def looks_like_a_picture(path: Path) -> bool:
    """Whether its owner thinks it is one, going by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def never(_path: Path) -> bool:
    """Nothing that is there may be replaced."""
    return False


class Names:
    """Gives every result of one run a name of its own.

    Args:
        taken: files that must not be replaced, such as the input.
    """

    def __init__(self, *taken: Path) -> None:
        self._taken = {_key(path) for path in taken}

    def choose(
        self, folder: Path, original: Path, extension: str, *, may_replace: Callable[[Path], bool] = never
    ) -> Path:
        """``photo.jpg`` becomes ``photo.png``; if that is taken ``photo.jpg.png``, then ``photo.jpg-2.png``.

        Args:
            folder: of the result.
            original: what it was made of.
            extension: without a dot.
            may_replace: asked about names that something has already, which are taken where it says no.
        """
        for candidate in self._candidates(original, extension):
            path = folder / candidate
            if _key(path) not in self._taken and (not os.path.lexists(path) or may_replace(path)):
                self._taken.add(_key(path))
                return path
        raise AssertionError("counting does not end")

    @staticmethod
    def _candidates(original: Path, extension: str) -> Iterator[str]:
        numbered = (f"{original.name}-{number}.{extension}" for number in count(2))
        return chain((f"{original.stem}.{extension}", f"{original.name}.{extension}"), numbered)


def _key(path: Path) -> str:
    # Two names that differ in case only are one file on macOS and Windows.
    return real(path).casefold()


def beginning(path: Path) -> bytes:
    """A file, or as much of it as a recipe can be in; OptionsError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return read_most(file, MAX_BEGINNING)
    except OSError as exc:
        raise OptionsError(f"cannot read {path}: {exc.strerror}") from exc


def read_most(file: IO[bytes], most: int) -> bytes:
    """Up to so many bytes of a file that was just opened, in no more memory than they take."""
    size = os.fstat(file.fileno()).st_size  # 0 of what is no file, such as a pipe
    return file.read(min(size, most) if size else most)


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
