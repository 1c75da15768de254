"""Says beside the work that results are there: a worker does not wait for a chat to have room for a sound."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from tasks.messages import Job

logger = logging.getLogger(__name__)

WITHIN_S = 10.0  # later than that it would only puzzle
LOOK_EVERY_S = 0.2
MOST = 50  # waiting at a time; of a crowd not everybody needs to hear it


class Announcer:
    """Tries what was handed to it, from a thread of its own, until it is done or too late. Nothing of it is kept."""

    def __init__(self, announce: Callable[[Job], bool]) -> None:
        """``announce`` tries once, at once, raises nothing, and tells whether to try no more."""
        self._announce = announce
        self._waiting: list[tuple[float, Job]] = []
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, job: Job) -> None:
        """Have it said that the result of a job is there; returns at once."""
        with self._news:
            if len(self._waiting) >= MOST:
                logger.info("the result is there, but too many others are to be told the same")
                return
            self._waiting.append((time.monotonic() + WITHIN_S, job))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="announcer", daemon=True)
                self._thread.start()
            self._news.notify()

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: bool(self._waiting))
                due = list(self._waiting)
            over = [entry for entry in due if time.monotonic() > entry[0] or self._is_done_with(entry[1])]
            with self._news:
                self._waiting = [entry for entry in self._waiting if entry not in over]
            if len(over) < len(due):
                time.sleep(LOOK_EVERY_S)

    def _is_done_with(self, job: Job) -> bool:
        try:
            return self._announce(job)
        except Exception:  # the outermost boundary of this thread: a bug may not silence all that come after
            logger.exception("saying that a result is there failed")
            return True
