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
from tasks.broker import DEFAULT_QUEUE, GPU_QUEUE, Doorbell
from tasks.logs import job_context
from tasks.messages import Accepted, Cancelled, Job, JobState, Refused, RestorePhoto
from tasks.store import JobStore

logger = logging.getLogger(__name__)

PATIENCE_S = 4.0  # how long an update, and all behind it, wait for Redis before its sender is asked to repeat it
PROBED_FOR_S = 0.1  # after such a wait was in vain: how long the next ones wait for a sign of life, and how often
TOLD_PATIENCE_S = 8.0
STATUS_PATIENCE_S = 120.0  # nobody waits for this one but its own chat, and a status nobody knows of stays for ever
RETRIED_AFTER_S = 0.5
WORKERS_KNOWN_FOR_S = 5.0

T = TypeVar("T")


class QueueUnavailableError(Exception):
    """Redis did not answer for as long as we wait for it, or refused."""


class _UnansweredError(QueueUnavailableError):
    """Redis did not answer."""


class JobQueue:
    """Takes pictures in and stops them. Every method raises ``QueueUnavailableError`` when Redis stays away.

    Handlers wait for it while nobody else's update is handled, so they do not wait for long, not one after the other,
    and not at all for a Redis that answers, but takes nothing since it is full. :meth:`attach_status` and
    :meth:`mark_told` are for the background.
    """

    def __init__(
        self,
        store: JobStore,
        bell: Doorbell,
        *,
        user_limit: int,
        total_limit: int,
        gpu_queue_from_pixels: int,
        on_silence: Callable[[], object] = lambda: None,
    ) -> None:
        """``on_silence`` is called when Redis does not answer, so that others need not find that out by waiting."""
        self._store = store
        self._bell = bell
        self._user_limit = user_limit
        self._total_limit = total_limit
        self._gpu_queue_from_pixels = gpu_queue_from_pixels
        self._on_silence = on_silence
        self._has_gpu_worker = False
        self._workers_known_until = 0.0
        self._is_silent = False
        self._probe: asyncio.Future[object] | None = None
        self._probed_at = 0.0

    async def submit(self, wish: RestorePhoto) -> Accepted | Refused:
        """Take a picture in and ring for a worker; the same message twice is one job."""

        def submit() -> Accepted | Refused:
            routed = replace(wish, queue=self._queue_for(wish))
            answer = self._store.submit(routed, user_limit=self._user_limit, total_limit=self._total_limit)
            # Also for a known job: this may be the second try of a call whose first answer got lost.
            if isinstance(answer, Accepted) and answer.job.state is JobState.QUEUED:
                self._bell.ring(answer.job.queue)
            _note(answer)
            return answer

        return await self._at_the_counter(submit)

    async def attach_status(self, job: Job, message_id: int) -> JobState | None:
        """Note which message shows the job's status; tells where the job stands by now."""
        return await _patiently(lambda: self._store.attach_status(job.id, message_id), seconds=STATUS_PATIENCE_S)

    async def cancel(self, user_id: int, job_id: str) -> Cancelled | None:
        """Stop one job of this user; None when there is no such job of theirs."""
        met = await self._at_the_counter(lambda: self._store.cancel(user_id, job_id))
        _log_cancelled([met] if met else [])
        return met

    async def cancel_all(
        self, user_id: int, *, running_for_s: float = 0.0, said_in: tuple[int, int] | None = None
    ) -> list[Cancelled]:
        """Stop all open jobs of this user, or those running for at least ``running_for_s``; see the store's."""
        met = await self._at_the_counter(
            lambda: self._store.cancel_all(user_id, running_for_s=running_for_s, said_in=said_in)
        )
        _log_cancelled(met)
        return met

    async def mark_told(self, job: Job) -> None:
        """Note that the owner of a cancelled job knows; else a janitor tells them."""
        await _patiently(lambda: self._store.mark_told(job), seconds=TOLD_PATIENCE_S)

    async def forget(self, user_id: int, *, said_in: tuple[int, int] | None = None) -> list[Job]:
        """Delete everything about this user; tells the records as they were; see the store's."""
        met: list[Job] = []
        return await self._at_the_counter(lambda: self._store.forget(user_id, met=met, said_in=said_in))

    async def _at_the_counter(self, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread while all other updates wait."""
        if self._is_silent and not await self._answers_again():
            raise QueueUnavailableError("Redis still does not answer")
        try:
            return await _patiently(call, seconds=PATIENCE_S, takes_no_for_an_answer=True)
        except _UnansweredError:
            self._is_silent = True
            self._on_silence()
            raise

    async def _answers_again(self) -> bool:
        """Whether Redis is back; it is asked beside the updates, since a silent one keeps whoever asks for seconds."""
        if self._probe is None and time.monotonic() - self._probed_at > PROBED_FOR_S:
            probe: asyncio.Future[object] = asyncio.ensure_future(asyncio.to_thread(self._store.redis.ping))
            probe.add_done_callback(self._note_probe)
            self._probe = probe
            await asyncio.wait([probe], timeout=PROBED_FOR_S)
        return not self._is_silent

    def _note_probe(self, probe: asyncio.Future[object]) -> None:
        self._is_silent = probe.cancelled() or probe.exception() is not None
        self._probe, self._probed_at = None, time.monotonic()

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


async def _patiently(call: Callable[[], T], *, seconds: float, takes_no_for_an_answer: bool = False) -> T:
    """Run a blocking call in a thread, again and again while Redis does not answer; all our calls may be repeated.

    Not again where the next try would probably end after ``seconds``, since a silent Redis holds each for as long as
    its client has patience; and, with ``takes_no_for_an_answer``, not where Redis answers that it will not: because it
    is full, may only be read, or cannot write to its disk.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        try:
            return await asyncio.to_thread(call)
        except RedisError as error:
            if takes_no_for_an_answer and isinstance(error, ResponseError):
                raise QueueUnavailableError(str(error)) from error
            now = time.monotonic()
            if now + RETRIED_AFTER_S + (now - began) > deadline:
                raise _UnansweredError(str(error)) from error
            logger.warning("Redis does not answer, waiting for it: %s", error)
            await asyncio.sleep(RETRIED_AFTER_S)
