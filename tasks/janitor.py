"""The janitor: in every worker, every few seconds, sees to it that no job is forgotten.

Two threads. One speaks only to Redis, so that nothing holds it up: it shows that the worker lives, queues jobs of
silent workers again or fails them, rings for jobs nobody came for, and moves jobs away from queues that no worker
serves. The other speaks to Telegram: it tells owners what a dead worker could not tell them, and keeps the places shown
to waiting users true. All of it may be done by several janitors at once without harm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from redis import RedisError, ResponseError

from tasks.apology import apologise, last_word
from tasks.broker import DEFAULT_QUEUE, GPU_QUEUE
from tasks.door import Door
from tasks.health import is_deaf
from tasks.logs import job_context
from tasks.messages import FINAL_STATES, Job, JobState, WorkerCard
from tasks.store import JobStore
from tasks.telegram import TelegramError
from tasks.texts import Texts

logger = logging.getLogger(__name__)

ROUND_EVERY_S = 3.0  # a job whose worker was lost is held again after a lease of 15 s and a round
UNHEARD_AFTER_S = 10.0  # a job that waited this long while no hint is in the broker was not heard
IDLE_S = 5.0  # a worker that has nothing to do for so long, though more jobs wait than there are hints, heard too few
HINTS_AT_ONCE = 20
LEAVES_WHEN_DEAF_FOR_S = 60.0  # after which Celery would have found its way back to Redis
FORCED_AFTER_S = 30.0
LEADS_FOR_S = 10.0
TOLD_IN_A_ROUND = 20
PLACES_SHOWN = 20  # beyond that a place changes too rarely to be worth an edit


class Janitor:
    """The upkeep threads of one worker process."""

    def __init__(
        self,
        store: JobStore,
        door: Door,
        *,
        card: Callable[[], WorkerCard],
        ring: Callable[[str], object],
        lease_s: float,
        longest_run_s: float,
        leave: Callable[[bool], object] = lambda _by_force: None,
        tidy: Callable[[], object] = lambda: None,
    ) -> None:
        """The arguments are what a worker knows and can do.

        ``card`` says what it is at this moment, ``ring`` tells workers of a queue that there is work, ``leave`` ends
        it, by force if need be, as it does not hear of work any more, ``tidy`` drops what it has kept for too long.
        """
        self._card = card
        self._leave = leave
        self._tidy = tidy
        self._deaf_since: float | None = None  # monotonic, over rounds that all succeeded
        self._asked_to_leave: float | None = None  # monotonic
        self._upkeep = Upkeep(store, ring=ring, lease_s=lease_s, longest_run_s=longest_run_s)
        self._messenger = Messenger(store, door)
        self._store = store
        self._ended = threading.Event()
        pause_s = min(ROUND_EVERY_S, lease_s / 3)
        self._threads = [
            threading.Thread(target=self._repeat, args=(self._keep_house, pause_s), name="upkeep", daemon=True),
            threading.Thread(target=self._repeat, args=(self._tell, pause_s), name="messenger", daemon=True),
        ]

    def start(self) -> None:
        """Begin with a round at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the present step and take this worker's card off the board."""
        self._ended.set()
        self._threads[0].join(timeout=5.0)
        self._store.withdraw(self._card().name)

    def _keep_house(self) -> None:
        card = self._card()
        self._upkeep.make_round(card.queues)
        self._tidy()
        self._store.announce(card)  # last: a worker whose rounds fail may not look well
        self._leave_when_deaf(card)

    def _leave_when_deaf(self, card: WorkerCard) -> None:
        """End a worker whose Celery has lost its way: whoever watches over processes starts a new one."""
        now = time.monotonic()
        if not is_deaf(self._store, card):
            self._deaf_since = None
            return
        self._deaf_since = self._deaf_since or now
        if now - self._deaf_since < LEAVES_WHEN_DEAF_FOR_S:
            return
        if self._asked_to_leave is None:
            logger.critical("jobs wait and this worker does not hear of them, so it ends")
            self._asked_to_leave = now
            self._leave(False)
        elif now - self._asked_to_leave > FORCED_AFTER_S:
            logger.critical("this worker could not end by itself")
            self._leave(True)

    def _tell(self) -> None:
        card = self._card()
        self._messenger.apologise_for_others()
        if self._store.lead(card.name, for_s=LEADS_FOR_S):
            self._messenger.show_places((DEFAULT_QUEUE, GPU_QUEUE))  # for all workers, whatever its own queues are

    def _repeat(self, step: Callable[[], None], pause_s: float) -> None:
        while True:
            try:
                step()
            except RedisError as error:
                self._deaf_since = None
                logger.warning("a round was cut short, Redis does not do its part: %s", error)
            except Exception:  # the outermost boundary of this thread: a bug may not end the rounds
                logger.exception("a round failed")
            if self._ended.wait(pause_s):
                return


class Upkeep:
    """The rounds through Redis."""

    def __init__(self, store: JobStore, *, ring: Callable[[str], object], lease_s: float, longest_run_s: float) -> None:
        self._store = store
        self._ring = ring
        self._lease_s = lease_s
        self._longest_run_s = longest_run_s
        self._last_round = float("-inf")
        self._last_clock = 0.0
        self._sweep_from = float("inf")

    def make_round(self, queues: tuple[str, ...]) -> None:
        """Do everything once.

        Raises:
            redis.RedisError: Redis does not do its part; the next round does what is left.
        """
        self._rescue_jobs_of_silent_workers()
        self._leave_queues_nobody_serves(queues)
        for queue in queues:
            self._ring_for_unheard_jobs(queue)
        self._forget_for_good()

    def _rescue_jobs_of_silent_workers(self) -> None:
        clock, now = self._store.clock_s(), time.monotonic()
        set_by_s = (clock - self._last_clock) - (now - self._last_round)
        if now - self._last_round > self._lease_s or abs(set_by_s) > self._lease_s / 2:
            # The first round, or the first one after Redis was away or its clock was set: leases may have run out
            # while nobody could renew them. Their holders get one lease of time to do so.
            self._sweep_from = now + self._lease_s
        self._last_round, self._last_clock = now, clock
        if now < self._sweep_from:
            return
        requeued, failed = self._store.sweep(longest_run_s=self._longest_run_s, lease_s=self._lease_s)
        for queue in requeued:
            self._ring(queue)
        if requeued or failed:
            logger.warning("%d jobs queued again, %d failed: their workers fell silent", len(requeued), len(failed))

    def _leave_queues_nobody_serves(self, queues: tuple[str, ...]) -> None:
        if DEFAULT_QUEUE not in queues or not self._store.waiting(GPU_QUEUE) or self._store.is_served(GPU_QUEUE):
            return
        moved = self._store.reroute(GPU_QUEUE, DEFAULT_QUEUE)
        logger.warning("no GPU worker has been there for minutes, %d jobs moved to the others", moved)

    def _ring_for_unheard_jobs(self, queue: str) -> None:
        unheard = self._store.waiting(queue) - self._store.hints(queue)
        if unheard > 0 and (self._somebody_idles(queue) or self._head_is_old(queue)):
            for _ in range(min(HINTS_AT_ONCE, unheard)):
                self._ring(queue)

    def _somebody_idles(self, queue: str) -> bool:
        """Whether a worker could take a job: where short ones keep coming the head is always young."""
        return any(queue in card.queues and card.idle_s >= IDLE_S for card in self._store.workers())

    def _head_is_old(self, queue: str) -> bool:
        head = next(iter(self._store.first_waiting(queue, 1)), None)
        return head is not None and not self._store.hints(queue) and self._store.age_s(head) >= UNHEARD_AFTER_S

    def _forget_for_good(self) -> None:
        try:
            if self._store.rewrite_log():
                logger.info("Redis writes its file anew, without what was forgotten")
        except ResponseError as error:
            logger.warning("Redis's file still has what was forgotten: %s", error)


class Messenger:
    """What has to be said in chats, and nobody else is there to say."""

    def __init__(self, store: JobStore, door: Door) -> None:
        self._store = store
        self._door = door
        self._places: dict[str, int] = {}

    def apologise_for_others(self) -> None:
        """Tell the owners of failed and cancelled jobs what nobody else could tell them."""
        for _ in range(TOLD_IN_A_ROUND):
            due = self._store.take_untold()  # one at a time: telling takes its time, and others tell meanwhile
            if not due:
                return
            if not self._store.is_ours(due[0]):
                continue  # it stays due, for its own bot
            with job_context(due[0].id):
                apologise(self._store, self._door, due[0])

    def show_places(self, queues: tuple[str, ...]) -> None:
        """Edit the status messages of waiting jobs whose place is not the one that they show, for all we know."""
        shown: dict[str, int] = {}
        for queue in queues:
            first = self._store.first_waiting(queue, PLACES_SHOWN)
            # Shorter work may pass: who was among the first and is not any more should not go on believing it.
            passed = self._places.keys() - {job.id for job in first}
            jobs = (self._store.get(job_id) for job_id in sorted(passed)[:PLACES_SHOWN])
            for job in [*first, *(job for job in jobs if job is not None and job.queue == queue)]:
                place = self._store.place(job) if self._store.is_ours(job) else None
                if place is None:
                    continue
                # A job that came back is still said to be worked on; any other was told its place when it was taken in.
                known = self._places.get(job.id, 0 if job.attempt else place.place)
                if known != place.place:
                    with job_context(job.id):
                        is_shown = self._show(job, Texts(job.locale).queued(place))
                    known = place.place if is_shown else known
                shown[job.id] = known
        self._places = shown

    def _show(self, job: Job, text: str) -> bool:
        """Tells whether the status message says so now."""
        try:
            is_shown = self._door.show(job, text, cancellable=True)
            now = self._store.get(job.id)
            if now is None:  # forgotten while we wrote
                now = replace(job, state=JobState.CANCELLED)
            if now.state in FINAL_STATES:  # it ended while we wrote: do not leave it looking alive
                self._door.settle(now, last_word(now))
        except TelegramError as error:
            logger.info("a place could not be shown: %s", error)
            return False
        return is_shown
