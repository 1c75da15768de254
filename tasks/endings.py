"""How a worker lets go of a job: given back, put aside, failed with an apology, or dropped as not its own any more."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from threading import Thread
from typing import TypeVar

from redis import RedisError

from tasks import metrics
from tasks.apology import apologise
from tasks.door import Door
from tasks.kept import KEPT_FOR_S
from tasks.lease import Lease
from tasks.messages import Job, JobState
from tasks.store import LONGEST_ASIDE_S, MAX_ATTEMPTS, JobStore
from tasks.telegram import TelegramError, TokenRejectedError
from tasks.texts import Texts

logger = logging.getLogger(__name__)

STORE_PATIENCE_S = 60.0  # how long a finished result waits for Redis to come back
LONGEST_SPREAD_S = 10.0  # between those who were put aside together, up to half of what each waits
OTHER_BOTS_ASIDE_S = 600.0  # until a job is looked at again that belongs to another bot
GIVEN_UP_AFTER_S = 24 * 3600.0
LAST_EDIT_S = 5.0  # what progress that is still being shown may hold up the last word

T = TypeVar("T")


class Endings:
    """The ends that a job can come to in a worker's hands, all but the good one."""

    def __init__(self, store: JobStore, door: Door, *, ring: Callable[[str], object]) -> None:
        self._store = store
        self._door = door
        self._ring = ring

    def hand_back(self, lease: Lease) -> None:
        """Let others do it, for this worker was told to leave."""
        try:
            self._release(lease, blameless=True)
        except RedisError as error:  # must not take the place of the order to leave
            logger.warning("left to the janitor, Redis does not answer: %s", error)
        else:
            count_end("handed_back")
            logger.info("handed back, this worker is leaving")

    def hand_back_rejected(self, lease: Lease, error: TokenRejectedError) -> None:
        """Let those do it who have the right token: nothing is wrong with the job."""
        persist(lambda: self._release(lease, blameless=True, unsent=not lease.unknown_tries))
        count_end("handed_back")
        logger.warning("handed back: %s", error)

    def leave_to_its_bot(self, job: Job) -> None:
        """Put a job aside that another bot has taken in: its file and its messages mean nothing to ours."""
        logger.warning("this job is another bot's, whose workers share our Redis or are gone")
        if _is_given_up(job):
            persist(lambda: self._store.finish(job, JobState.FAILED, error="telegram"))
            persist(lambda: self._store.stop_telling(job))  # nobody here could; the numbers are of other chats
        else:
            aside_s = _spread(OTHER_BOTS_ASIDE_S)
            persist(lambda: self._store.release(job, blameless=True, aside_s=aside_s))

    def put_aside(self, lease: Lease, seconds: float) -> bool:
        """Free the worker for other chats while Telegram is not to be had; not the job's fault, but not for ever.

        Returns:
            Whether the job will be tried again.
        """
        job, unsent = lease.job, not lease.unknown_tries
        if _is_given_up(job):
            self.fail(lease, "telegram", unsent=unsent)
            return False
        aside_s = min(_spread(seconds), LONGEST_ASIDE_S)  # what is due later counts as written by a wrong clock
        if not persist(lambda: self._release(lease, blameless=True, aside_s=aside_s, unsent=unsent)):
            return False  # it was cancelled or forgotten meanwhile
        count_end("aside")
        logger.warning("put aside for %(aside_s).0f s", {"aside_s": aside_s})
        return True

    def try_again_or_fail(self, lease: Lease, code: str) -> None:
        """Blame the job, as long as it has an attempt left to do better."""
        if lease.job.tries >= MAX_ATTEMPTS:
            self.fail(lease, code)
        elif persist(lambda: self._release(lease, blameless=False)):
            count_end("again")
            self._ring(lease.job.queue)

    def fail(self, lease: Lease, code: str, *, unsent: bool = False) -> None:
        """End the job and tell its owner. ``unsent``: nothing of a result can have arrived in this attempt."""
        job, resent = lease.job, lease.flag_is_due
        if code == "telegram" and lease.unknown_sends:
            code = "unconfirmed"  # or people would read below a copy that Telegram did not take it
        if not persist(lambda: self._store.finish(job, JobState.FAILED, error=code, unsent=unsent, resent=resent)):
            return
        count_end(code)
        failed = self._store.get(job.id)
        if failed is None:
            return
        if not lease.telling.acquire(timeout=LAST_EDIT_S):  # or that edit would replace what we say now
            logger.info("progress is still being shown: a janitor tells the owner")
            return
        try:
            apologise(self._store, self._door, failed)
        finally:
            lease.telling.release()

    def drop(self, job: Job, lease: Lease) -> int:
        """Leave a job that must not be delivered; the owner of a cancelled one sees that it has really stopped.

        Returns:
            When it was cancelled, in ms by the clock of Redis; 0 where it was not.
        """
        # Where nothing is stored any more the owner asked to be forgotten: what we still know serves for the last word.
        stored = self._store.get(job.id) or replace(
            job, state=JobState.CANCELLED, status_message_id=lease.status_message_id
        )
        if stored.state is not JobState.CANCELLED:
            count_end("lost")
            logger.warning("dropped, the lease was lost")
            return 0
        count_end("cancelled")
        logger.info("cancelled")
        # Beside the next job: Telegram may take its time, and the bot has said it already unless we spoke over it.
        Thread(target=copy_context().run, args=(self._settle, stored, lease), name="settle", daemon=True).start()
        return stored.ended_ms

    def _settle(self, job: Job, lease: Lease) -> None:
        try:
            with lease.telling:
                self._door.settle(job, Texts(job.locale).cancelled())
        except TelegramError as error:
            logger.info("the cancellation could not be shown: %s", error)
        else:
            if job.status_message_id:
                with suppress(RedisError):  # then a janitor says it once more
                    self._store.mark_told(job)

    def _release(self, lease: Lease, *, blameless: bool, aside_s: float = 0.0, unsent: bool = False) -> bool:
        return self._store.release(
            lease.job,
            blameless=blameless,
            aside_s=aside_s,
            unsent=unsent and not lease.flag_is_due,
            unknown_sends=lease.unknown_sends,
            kept=lease.result_is_kept and aside_s < KEPT_FOR_S,
        )


def persist(change: Callable[[], T]) -> T:
    """Make a change of state outlast a restart of Redis: minutes of work hang on it."""
    deadline = time.monotonic() + STORE_PATIENCE_S
    while True:
        try:
            return change()
        except RedisError as error:
            if time.monotonic() > deadline:
                raise
            logger.warning("Redis does not answer, waiting for it: %s", error)
            time.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - not all at once


def count_end(end: str) -> None:
    """Note for ``/metrics`` how this worker let go of a job."""
    metrics.count("restora_worker_jobs", end=end)


def _is_given_up(job: Job) -> bool:
    return time.time() - job.queued_ms / 1000 > GIVEN_UP_AFTER_S


def _spread(seconds: float) -> float:
    """Not earlier, and not all who were put aside for the same reason in the same moment."""
    return seconds + random.uniform(0.0, min(LONGEST_SPREAD_S, seconds / 2))  # noqa: S311 - nobody gains by foreseeing
