"""The janitor: in every worker, every few seconds, sees to it that no job is forgotten.

It queues jobs of silent workers again or fails them, rings for jobs nobody came for, moves jobs away from queues that
no worker serves, tells owners what a dead worker could not tell them, and keeps the places shown to waiting users true.
All of it may be done by several janitors at once without harm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from redis import RedisError

from tasks.apology import apologise
from tasks.broker import DEFAULT_QUEUE, GPU_QUEUE
from tasks.door import Door
from tasks.logs import job_context
from tasks.messages import Job, JobState, WorkerCard
from tasks.store import JobStore
from tasks.telegram import TelegramError
from tasks.texts import Texts

logger = logging.getLogger(__name__)

ROUND_EVERY_S = 5.0
UNHEARD_AFTER_S = 10.0  # a job that waited this long while no hint is in the broker was not heard
HINTS_AT_ONCE = 20
PLACES_EVERY_S = 10.0
PLACES_SHOWN = 20  # beyond that a place changes too rarely to be worth an edit


class Janitor:
    """A background thread of one worker process."""

    def __init__(
        self,
        store: JobStore,
        door: Door,
        *,
        card: WorkerCard,
        seconds_per_pixel: Callable[[], float],
        ring: Callable[[str], object],
        lease_s: float,
        longest_run_s: float,
    ) -> None:
        self._store = store
        self._door = door
        self._card = card
        self._seconds_per_pixel = seconds_per_pixel
        self._ring = ring
        self._lease_s = lease_s
        self._longest_run_s = longest_run_s
        self._places: dict[str, int] = {}
        self._places_due = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="janitor", daemon=True)

    def start(self) -> None:
        """Begin with a round at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present step and take this worker's card off the board."""
        self._ended.set()
        self._thread.join(timeout=5.0)
        self._store.withdraw(self._card.name)

    def _work(self) -> None:
        pause_s = min(ROUND_EVERY_S, self._lease_s / 2)
        while True:
            try:
                self.make_round()
            except RedisError as error:
                logger.warning("a round was cut short, Redis does not do its part: %s", error)
            except Exception:  # the outermost boundary of this thread: a bug may not end the rounds
                logger.exception("a round failed")
            if self._ended.wait(pause_s):
                return

    def make_round(self) -> None:
        """Do everything once.

        Raises:
            redis.RedisError: Redis does not answer; the next round does what is left.
        """
        self._store.announce(replace(self._card, seconds_per_pixel=self._seconds_per_pixel()))
        self._rescue_jobs_of_silent_workers()
        self._leave_queues_nobody_serves()
        for queue in self._card.queues:
            self._ring_for_unheard_jobs(queue)
        for job in self._store.take_untold():
            with job_context(job.id):
                apologise(self._store, self._door, job)
        if time.monotonic() >= self._places_due and self._store.lead(self._card.name, for_s=PLACES_EVERY_S):
            self._places_due = time.monotonic() + PLACES_EVERY_S
            self._show_places()

    def _rescue_jobs_of_silent_workers(self) -> None:
        if self._store.uptime_s() < self._lease_s:
            return  # leases ran out while Redis was down; give their holders the time to renew them
        requeued, failed = self._store.sweep(longest_run_s=self._longest_run_s)
        for queue in requeued:
            self._ring(queue)
        if requeued or failed:
            logger.warning("jobs of silent workers: %d queued again, %d failed", len(requeued), len(failed))

    def _leave_queues_nobody_serves(self) -> None:
        if DEFAULT_QUEUE not in self._card.queues or GPU_QUEUE in self._card.queues:
            return
        if not self._store.waiting(GPU_QUEUE):
            return
        if not any(GPU_QUEUE in card.queues for card in self._store.workers()):
            moved = self._store.reroute(GPU_QUEUE, DEFAULT_QUEUE)
            logger.warning("no GPU worker is left, %d jobs moved to the others", moved)

    def _ring_for_unheard_jobs(self, queue: str) -> None:
        head = next(iter(self._store.first_waiting(queue, 1)), None)
        if head is None or self._store.hints(queue) or self._store.age_s(head) < UNHEARD_AFTER_S:
            return
        for _ in range(min(HINTS_AT_ONCE, self._store.waiting(queue))):
            self._ring(queue)

    def _show_places(self) -> None:
        shown: dict[str, int] = {}
        for queue in self._card.queues:
            for job in self._store.first_waiting(queue, PLACES_SHOWN):
                place = self._store.place(job)
                if place is None:
                    continue
                shown[job.id] = place.place
                if self._places.get(job.id, place.place) != place.place:
                    with job_context(job.id):
                        self._show(job, Texts(job.locale).queued(place))
        self._places = shown

    def _show(self, job: Job, text: str) -> None:
        try:
            self._door.show(job, text, cancellable=True)
            now = self._store.get(job.id)
            if now is not None and now.state is JobState.CANCELLED:  # while we wrote: do not leave it looking alive
                self._door.show(now, Texts(job.locale).cancelled(), cancellable=False)
        except TelegramError as error:
            logger.info("a place could not be shown: %s", error)
