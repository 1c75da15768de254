"""Progress in the status message: as often as Telegram likes it, never in the way of the work.

Edits count as messages, and a chat that gets too many is closed to the bot for minutes, which would delay the result.
So: the latest text wins, edits keep their distance, a text that says nothing new is not sent, and a 429 silences the
chat until its ``retry_after`` has passed. Cadence from reports about bots that edited more often; see
docs/architecture.md, "Edits".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType

from tasks.beside import Beside
from tasks.telegram import TelegramError

logger = logging.getLogger(__name__)

FIRST_EDIT_AFTER_S = 1.5
PRIVATE_INTERVAL_S = 3.0
GROUP_INTERVAL_S = 6.0  # about 20 messages a minute are allowed in a group, by all
SLOW_AFTER_S = 60.0
LONGEST_INTERVAL_S = 15.0
SLOW_CALL_S = 0.5  # what an edit still under way may hold up the end of the work


def edit_interval_s(*, is_group: bool, running_s: float) -> float:
    """Seconds between two edits of a job that has been running for ``running_s``."""
    interval_s = GROUP_INTERVAL_S if is_group else PRIVATE_INTERVAL_S
    doublings = int(running_s // SLOW_AFTER_S)
    return min(LONGEST_INTERVAL_S, interval_s * 2.0 ** min(doublings, 10))


class ProgressReporter(Beside):
    """Sends the latest progress from a thread of its own until the block ends."""

    def __init__(self, send: Callable[[float], None], *, is_group: bool) -> None:
        """``send`` shows a fraction in the chat; it may be slow and may raise ``TelegramError``."""
        super().__init__("progress")
        self._send = send
        self._is_group = is_group
        self._latest = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, without sitting out a call that Telegram is slow to answer: the result is more important."""
        self.ended.set()
        self._thread.join(SLOW_CALL_S)

    def report(self, fraction: float) -> None:
        """Note how far the work is; returns at once."""
        self._latest = fraction

    def work(self) -> None:
        """Show the latest progress now and then."""
        began = time.monotonic()
        wait_s = FIRST_EDIT_AFTER_S
        shown_percent = -1
        while not self.ended.wait(wait_s):
            percent = round(self._latest * 100)
            if percent != shown_percent:
                try:
                    self._send(self._latest)
                except TelegramError as error:
                    logger.info("progress could not be shown: %s", error)
                shown_percent = percent
            wait_s = edit_interval_s(is_group=self._is_group, running_s=time.monotonic() - began)
