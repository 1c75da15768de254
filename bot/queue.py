"""The queue as handlers see it: the blocking job store and broker, kept away from the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from redis import RedisError, ResponseError

from tasks import metrics
from tasks.absence import Absence
from tasks.broker import DEFAULT_QUEUE, GPU_QUEUE, Doorbell
from tasks.logs import job_context
from tasks.messages import Accepted, Cancelled, Job, JobState, Refused, RestorePhoto
from tasks.store import JobStore

logger = logging.getLogger(__name__)

# How long an update, and all behind it, wait for Redis before its sender is asked to repeat it. Twice the patience of a
# call and a pause, so that it is asked a second time: it may have carried out the first, and told nobody.
PATIENCE_S = 5.0
LATE_PATIENCE_S = 600.0  # for what Redis may still carry out although nobody waits for its answer any more
LATE_LOOKS_S = (0.0, 1.0, 4.0)  # pauses; a Redis that wakes up need not do first what it was told first
LOOKS_WHETHER_BACK_EVERY_S = 0.25
TOLD_PATIENCE_S = 8.0
STATUS_PATIENCE_S = 120.0  # a status message nobody knows of stays for ever
RETRIED_AFTER_S = 0.5
WORKERS_KNOWN_FOR_S = 5.0

T = TypeVar("T")


class QueueUnavailableError(Exception):
    """Redis did not answer for as long as we wait for it, or refused."""


class UnansweredError(QueueUnavailableError):
    """Redis was asked and did not answer; when it wakes up it may do what it was asked all the same."""


class JobQueue:
    """Takes pictures in and stops them. Every method raises ``QueueUnavailableError`` when Redis stays away.

    Handlers wait for it while nobody else's update is handled, so they do not wait for long, not one after the other,
    and not at all for a Redis that answers, but takes nothing since it is full. Answers in one chat wait for each
    other, so what they look up or note asks Redis once. Behind :meth:`tell_again` and what is called late nobody waits.
    """

    def __init__(
        self,
        store: JobStore,
        bell: Doorbell,
        *,
        user_limit: int,
        total_limit: int,
        gpu_queue_from_pixels: int,
        absence: Absence,
    ) -> None:
        """``absence`` is shared with others who wait for Redis, so that they need not do so one after the other."""
        self._store = store
        self._bell = bell
        self._user_limit = user_limit
        self._total_limit = total_limit
        self._gpu_queue_from_pixels = gpu_queue_from_pixels
        self._absence = absence
        self._has_gpu_worker = False
        self._workers_known_until = 0.0

    async def submit(self, wish: RestorePhoto) -> Accepted | Refused:
        """Take a picture in and ring for a worker; the same message twice is one job."""
        return await self._at_the_counter(lambda: self._submit(wish))

    async def submitted_late(self, wish: RestorePhoto) -> Accepted | None:
        """Wait for Redis after :meth:`submit` was not answered; None unless it took the picture in all the same.

        Not handed in anew: its sender was asked to do that.
        """
        if not await self._is_back(LATE_PATIENCE_S):
            return None
        for pause_s in LATE_LOOKS_S:
            await asyncio.sleep(pause_s)
            if await self._later(lambda: self._store.get(wish.job_id), seconds=TOLD_PATIENCE_S) is not None:
                logger.info("Redis took in late what its sender was asked to repeat")
                answer = await self._later(lambda: self._submit(wish), seconds=TOLD_PATIENCE_S)  # rings for it
                return answer if isinstance(answer, Accepted) else None
        return None

    def _submit(self, wish: RestorePhoto) -> Accepted | Refused:
        routed = replace(wish, queue=self._queue_for(wish))
        answer = self._store.submit(routed, user_limit=self._user_limit, total_limit=self._total_limit)
        # Also for a known job: this may be the second try of a call whose first answer got lost.
        if isinstance(answer, Accepted) and answer.job.state is JobState.QUEUED:
            self._bell.ring(answer.job.queue)
        _note(answer)
        return answer

    async def look(self, job_id: str) -> Job | None:
        """The record as it is by now; None where it is gone."""
        return await self._once(lambda: self._store.get(job_id))

    async def attach_status(self, job: Job, message_id: int, *, late: bool = False) -> JobState | None:
        """Note which message shows the job's status; tells where the job stands by now. ``late``: wait for Redis."""

        def attach() -> JobState | None:
            return self._store.attach_status(job.id, message_id)

        return await (self._later(attach, seconds=STATUS_PATIENCE_S) if late else self._once(attach))

    async def cancel(self, user_id: int, job_id: str) -> Cancelled | None:
        """Stop one job of this user; None when there is no such job of theirs."""
        met = await self._at_the_counter(lambda: self._store.cancel(user_id, job_id))
        _log_cancelled([met] if met else [])
        return met

    async def cancel_all(
        self, user_id: int, *, running_for_s: float = 0.0, said_in: tuple[int, int] | None = None
    ) -> list[Cancelled]:
        """Stop all open jobs of this user, or those running for at least ``running_for_s``; see the store's."""
        ids: set[str] = set()
        met = await self._at_the_counter(
            lambda: self._store.cancel_all(user_id, running_for_s=running_for_s, said_in=said_in, ids=ids)
        )
        _log_cancelled(met)
        return met

    async def mark_told(self, job: Job, *, late: bool = False) -> None:
        """Note that the owner of a cancelled job knows; else a janitor tells them. ``late``: wait for Redis."""

        def mark() -> None:
            self._store.mark_told(job)

        await (self._later(mark, seconds=TOLD_PATIENCE_S) if late else self._once(mark))

    async def tell_again(self, user_id: int) -> None:
        """Have a worker say what could not be said while the user had blocked the bot."""
        await self._later(lambda: self._store.tell_again(user_id), seconds=TOLD_PATIENCE_S)

    async def forget(self, user_id: int, *, met: list[Job], said_in: tuple[int, int] | None = None) -> list[Job]:
        """Delete everything about this user; tells the records as they were; see the store's."""
        return await self._at_the_counter(lambda: self._store.forget(user_id, met=met, said_in=said_in))

    async def forget_late(
        self, user_id: int, *, met: list[Job], said_in: tuple[int, int] | None = None
    ) -> list[Job] | None:
        """Wait for Redis and finish what :meth:`forget` had begun; None unless that knew of open jobs.

        Redis may have deleted these by then, and nobody else will ever show them as stopped.
        """
        if not met or not await self._is_back(LATE_PATIENCE_S):
            return None
        return await self._later(
            lambda: self._store.forget(user_id, met=met, said_in=said_in), seconds=STATUS_PATIENCE_S
        )

    async def _at_the_counter(self, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread while all other updates wait."""
        if self._absence.outlasts(PATIENCE_S):
            raise QueueUnavailableError("Redis still does not answer")
        began = time.monotonic()
        patience_s = PATIENCE_S - (self._absence.silent_for_s or 0.0)
        try:
            return await _patiently(call, seconds=patience_s)
        except UnansweredError as unanswered:
            if isinstance(error := unanswered.__cause__, RedisError):
                self._absence.note(error, since=began)
            raise

    async def _once(self, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread while only answers in one chat wait; not of a Redis known to be away."""
        if self._absence.lasts:
            raise QueueUnavailableError("Redis still does not answer")
        try:
            return await asyncio.to_thread(self._unless_silent, call)
        except RedisError as error:
            if isinstance(error, ResponseError):  # of silence note was taken
                self._absence.note(error, since=time.monotonic())
            raise QueueUnavailableError(str(error)) from error

    async def _later(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run a blocking call in a thread for which nobody waits, again and again until Redis has done it.

        Raises:
            QueueUnavailableError: it has not for so many seconds.
        """
        deadline = time.monotonic() + seconds
        while await self._is_back(deadline - time.monotonic()):
            try:
                return await asyncio.to_thread(self._unless_silent, call)
            except (RedisError, QueueUnavailableError) as error:
                if time.monotonic() + RETRIED_AFTER_S > deadline:
                    raise UnansweredError(str(error)) from error
                logger.warning("Redis does not answer, waiting for it: %s", error)
                await asyncio.sleep(RETRIED_AFTER_S)
        raise QueueUnavailableError("Redis still does not answer")

    def _unless_silent(self, call: Callable[[], T]) -> T:
        """Call; or not, if by the time that there is a thread for it others have found out that Redis is silent.

        Threads are few, and each that waits for a silent Redis keeps everybody from one for seconds.
        """
        if self._absence.silent_for_s is not None:
            raise QueueUnavailableError("Redis still does not answer")
        began = time.monotonic()
        try:
            return call()
        except RedisError as error:
            if not isinstance(error, ResponseError):  # who tries again and again would have it taken for away all along
                self._absence.note(error, since=began)
            raise

    async def _is_back(self, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while self._absence.silent_for_s is not None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOKS_WHETHER_BACK_EVERY_S)
        return True

    def _queue_for(self, wish: RestorePhoto) -> str:
        if wish.pixels < self._gpu_queue_from_pixels:
            return DEFAULT_QUEUE
        if time.monotonic() > self._workers_known_until:
            self._has_gpu_worker = any(GPU_QUEUE in card.queues for card in self._store.workers())
            self._workers_known_until = time.monotonic() + WORKERS_KNOWN_FOR_S
        return GPU_QUEUE if self._has_gpu_worker else DEFAULT_QUEUE


def _note(answer: Accepted | Refused) -> None:
    """What became of a picture, in the context of its job."""
    if isinstance(answer, Refused):
        metrics.count("restora_pictures_submitted", answer=answer.reason)
        logger.info("refused, %(reason)s: %(limit)d", {"reason": answer.reason, "limit": answer.limit})
        return
    metrics.count("restora_pictures_submitted", answer="fresh" if answer.fresh else "known")
    job, place = answer.job, answer.place.place if answer.place else 0
    figures = {"kind": job.kind, "pixels": job.pixels, "queue": job.queue, "place": place, "fresh": answer.fresh}
    logger.info("accepted, %(kind)s of %(pixels)d pixels for %(queue)s, place %(place)d", figures)


def _log_cancelled(met: list[Cancelled]) -> None:
    for one in met:
        with job_context(one.job.id):
            logger.info("asked to cancel, it was %(was)s", {"was": str(one.was)})


async def _patiently(call: Callable[[], T], *, seconds: float) -> T:
    """Run a blocking call in a thread, again and again while Redis does not answer; all our calls may be repeated.

    Not again where the next try would probably end after ``seconds``, since a silent Redis holds each for as long as
    its client has patience; and not where Redis answers that it will not: because it is full, may only be read, or
    cannot write to its disk.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        try:
            return await asyncio.to_thread(call)
        except RedisError as error:
            if isinstance(error, ResponseError):
                raise QueueUnavailableError(str(error)) from error
            now = time.monotonic()
            if now + RETRIED_AFTER_S + (now - began) > deadline:
                raise UnansweredError(str(error)) from error
            logger.warning("Redis does not answer, waiting for it: %s", error)
            await asyncio.sleep(RETRIED_AFTER_S)
