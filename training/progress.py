"""How far something is: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

LINES = 10  # where nothing says how often


class Progress:
    """Counts on stderr.

    Args:
        what: is counted.
        total: at the end.
        done: already.
        every: how much lies between two lines where there is no terminal.
    """

    def __init__(self, what: str, total: int, *, done: int = 0, every: int | None = None) -> None:
        self._what, self._total, self._done, self._before = what, total, done, done
        self._every = every or max(1, total // LINES)
        self._bar: tqdm[Any] = tqdm(total=total, initial=done, desc=what, unit="", file=sys.stderr, disable=None)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it stands."""
        self._bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Say that more is done.

        Args:
            count: how much more.
            note: figures, shown beside the count.
        """
        lines, self._done = self._done // self._every, self._done + count
        self._bar.update(count)
        if note:
            self._bar.set_postfix_str(note)
        if self._bar.disable and (self._done // self._every > lines or self._done == self._total):
            self.say(", ".join(filter(None, [f"{self._what}: {self._done} of {self._total}", note, self._left()])))

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self._bar.write(text, file=sys.stderr)

    def _left(self) -> str:
        rest = (time.monotonic() - self._began) * (self._total - self._done) / (self._done - self._before)
        return f"{tqdm.format_interval(rest)} left" if self._done < self._total else ""
