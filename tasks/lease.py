"""Holding a job: the lease is renewed, and the news read, from a thread of its own while the network works."""

from __future__ import annotations

import logging
import threading
import time
from enum import StrEnum

from redis import RedisError

from tasks.beside import Beside
from tasks.messages import Job, JobState
from tasks.store import JobStore

logger = logging.getLogger(__name__)

RENEWALS_PER_S = 2.0  # also how often a cancellation is looked for


class StopReason(StrEnum):
    """Why a worker has to drop the job it holds."""

    CANCELLED = "cancelled"
    LOST = "lost"  # the lease ran out and the job is somebody else's
    TIMEOUT = "timeout"


class Lease(Beside):
    """Keeps a claimed job until the block ends; ``should_stop`` turns true when the job must be dropped.

    While Redis does not answer the work goes on: nobody else can claim the job then either, and the janitors wait one
    lease after Redis is back.
    """

    def __init__(self, store: JobStore, job: Job, *, lease_s: float, timeout_s: float) -> None:
        super().__init__("lease")
        self.job = job
        self.progress = 0.0
        self.status_message_id = job.status_message_id
        self.reason: StopReason | None = None
        self.telling = threading.Lock()  # one status text at a time: the last word comes last
        self.unknown_tries = 0  # to deliver the result, in this attempt, of which nobody knows whether they arrived
        self.unknown_sends = job.unknown_sends  # those of them, in all attempts, that would put it into the chat twice
        self.flag_is_due = False  # the store could not be told that the result may have been sent twice
        self.is_delivering = False  # the result is there, and may be in the chat
        self.result_is_kept = False  # in this process, to be delivered once more
        self._store = store
        self._lease_s = lease_s
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._dropped = threading.Event()
        self._lost = False
        self._news_from = time.monotonic()

    def restart_clock(self) -> None:
        """Let the time limit begin now: waiting for a turn on the device was not the job's fault."""
        self._deadline = time.monotonic() + self._timeout_s

    def is_overdue(self) -> bool:
        """Whether the time limit has passed."""
        return time.monotonic() > self._deadline

    def should_stop(self) -> bool:
        """Whether to drop the job; cheap enough to ask between two layers of a network."""
        return self._dropped.is_set()

    def is_lost(self) -> bool:
        """Whether the job is not ours any more, cancelled or somebody else's; running out of time is not that.

        Asks Redis itself where the news is old, as after the whole process was frozen.
        """
        if time.monotonic() - self._news_from > self._lease_s / 2:
            self._renew()
        return self._lost

    def work(self) -> None:
        """Renew the lease and read the news."""
        while not self.ended.wait(1 / RENEWALS_PER_S):
            if self.is_overdue():
                self._drop(StopReason.TIMEOUT)
            self._renew()
            if self._lost:
                return

    def _renew(self) -> None:
        asked_at = time.monotonic()
        try:
            state, status_message_id = self._store.renew(self.job, lease_s=self._lease_s, progress=self.progress)
        except RedisError as error:
            logger.warning("the lease could not be renewed, working on: %s", error)
            self._news_from = asked_at
            return
        if state is not None:
            self._lost = True
            self._drop(StopReason.CANCELLED if state is JobState.CANCELLED else StopReason.LOST)
            return
        self._news_from = asked_at
        self.status_message_id = status_message_id

    def _drop(self, reason: StopReason) -> None:
        if self.reason is None:
            self.reason = reason
            self._dropped.set()
