"""The queue as handlers see it: the blocking job store and broker, kept away from the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from redis import RedisError

from tasks import metrics
from tasks.broker import DEFAULT_QUEUE, GPU_QUEUE, Doorbell
from tasks.logs import job_context
from tasks.messages import Accepted, Cancelled, Job, JobState, Refused, RestorePhoto
from tasks.store import JobStore

logger = logging.getLogger(__name__)

PATIENCE_S = 8.0  # how long a message waits for Redis before its sender is asked to repeat it
STATUS_PATIENCE_S = 120.0  # nobody waits for this one but its own chat, and a status nobody knows of stays for ever
WORKERS_KNOWN_FOR_S = 5.0

T = TypeVar("T")


class QueueUnavailableError(Exception):
    """Redis did not answer for as long as we wait for it."""


class JobQueue:
    """Takes pictures in and stops them. Every method raises ``QueueUnavailableError`` when Redis stays away."""

    def __init__(
        self, store: JobStore, bell: Doorbell, *, user_limit: int, total_limit: int, gpu_queue_from_pixels: int
    ) -> None:
        self._store = store
        self._bell = bell
        self._user_limit = user_limit
        self._total_limit = total_limit
        self._gpu_queue_from_pixels = gpu_queue_from_pixels
        self._has_gpu_worker = False
        self._workers_known_until = 0.0

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

        return await _patiently(submit)

    async def attach_status(self, job: Job, message_id: int) -> JobState | None:
        """Note which message shows the job's status; tells where the job stands by now."""
        return await _patiently(lambda: self._store.attach_status(job.id, message_id), seconds=STATUS_PATIENCE_S)

    async def cancel(self, user_id: int, job_id: str) -> Cancelled | None:
        """Stop one job of this user; None when there is no such job of theirs."""
        met = await _patiently(lambda: self._store.cancel(user_id, job_id))
        _log_cancelled([met] if met else [])
        return met

    async def cancel_all(
        self, user_id: int, *, running_for_s: float = 0.0, said_in: tuple[int, int] | None = None
    ) -> list[Cancelled]:
        """Stop all open jobs of this user, or those running for at least ``running_for_s``; see the store's."""
        met = await _patiently(lambda: self._store.cancel_all(user_id, running_for_s=running_for_s, said_in=said_in))
        _log_cancelled(met)
        return met

    async def mark_told(self, job: Job) -> None:
        """Note that the owner of a cancelled job knows; else a janitor tells them."""
        await _patiently(lambda: self._store.mark_told(job))

    async def forget(self, user_id: int, *, said_in: tuple[int, int] | None = None) -> list[Job]:
        """Delete everything about this user; tells the records as they were; see the store's."""
        met: list[Job] = []
        return await _patiently(lambda: self._store.forget(user_id, met=met, said_in=said_in))

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


async def _patiently(call: Callable[[], T], *, seconds: float = PATIENCE_S) -> T:
    """Run a blocking call in a thread, again and again while Redis does not answer; all our calls may be repeated."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await asyncio.to_thread(call)
        except RedisError as error:
            if time.monotonic() > deadline:
                raise QueueUnavailableError(str(error)) from error
            logger.warning("Redis does not answer, waiting for it: %s", error)
            await asyncio.sleep(0.5)
