"""Seconds per stage of one picture's way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a ``with`` block."""
        start = time.perf_counter()
        yield
        self._stages[name] = time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        """Per stage, and ``total`` since this was made."""
        return {**self._stages, "total": time.perf_counter() - self._start}
