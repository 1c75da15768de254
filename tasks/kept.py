"""Results that Telegram would not take yet: kept in memory for a while, so that they need not be computed again."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the worker's parent process imports this module and must stay free of torch
    from models import Restored

KEPT_FOR_S = 600.0
KEPT_BYTES = 64_000_000


class KeptResults:
    """The latest results that could not be delivered, by job; as many as fit, and none that is old."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Restored]] = {}  # the oldest first
        self._lock = Lock()

    def put(self, job_id: str, restored: Restored) -> bool:
        """Keep a result, which older ones give way to; False where it does not fit by itself."""
        with self._lock:
            self._kept.pop(job_id, None)
            self._kept[job_id] = (time.monotonic(), restored)
            while sum(len(each.data) for _, each in self._kept.values()) > KEPT_BYTES:
                self._kept.pop(next(iter(self._kept)))
            return job_id in self._kept

    def take(self, job_id: str) -> Restored | None:
        """The result of a job, which is kept no longer; None where there is none."""
        self.drop(lambda _: False)
        with self._lock:
            _, restored = self._kept.pop(job_id, (0.0, None))
        return restored

    def drop(self, is_over: Callable[[str], bool]) -> None:
        """Keep neither what is old nor results of jobs that ``is_over`` says nobody waits for."""
        since = time.monotonic() - KEPT_FOR_S
        with self._lock:
            kept = dict(self._kept)
        gone = [job_id for job_id, (at, _) in kept.items() if at <= since or is_over(job_id)]
        with self._lock:
            for job_id in gone:
                self._kept.pop(job_id, None)
