"""Results that Telegram would not take yet: kept in memory for a while, so that they need not be computed again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the worker's parent process imports this module and must stay free of torch
    from models import Restored

KEPT_FOR_S = 600.0
KEPT_BYTES = 64_000_000


class KeptResults:
    """The latest results that could not be delivered, by job; as many as fit, and none that is old."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Restored]] = {}  # the oldest first

    def put(self, job_id: str, restored: Restored) -> None:
        """Keep a result; older ones give way."""
        self._kept.pop(job_id, None)
        self._kept[job_id] = (time.monotonic(), restored)
        while sum(len(each.data) for _, each in self._kept.values()) > KEPT_BYTES:
            self._kept.pop(next(iter(self._kept)))

    def take(self, job_id: str) -> Restored | None:
        """The result of a job, which is kept no longer; None where there is none. Forgets what is old."""
        since = time.monotonic() - KEPT_FOR_S
        self._kept = {name: kept for name, kept in self._kept.items() if kept[0] > since}
        _, restored = self._kept.pop(job_id, (0.0, None))
        return restored
