"""The job store: every job's record and state in Redis, changed only by atomic scripts.

    queued ──claim──▶ running ──begin_delivery──▶ delivering ──finish──▶ done | failed
      │  ▲               │ │                          │
      │  └─release/sweep─┘ └──── finish(failed) ──────┤
      └──────────── cancel ──▶ cancelled              └─ lease ran out: queued again

A worker holds a job under a lease and names its attempt in every write, so one that was frozen, lost its lease and
wakes up again can change nothing. The scripts are in ``tasks/lua``, one per change.

Keys, all under ``restora:``: ``job:ID`` the record; ``queue:NAME`` waiting jobs in the order they will be taken;
``aside`` waiting jobs that are not due yet; ``queued`` how many wait over all; ``clock``, ``turns``, ``taken`` and
``work`` the fair clock, until when on it each user's share is given away and was used, and what the job taken last
costs; ``leases`` when each running job's lease ends; ``user:ID`` a user's open jobs; ``records:ID`` all of a user's
jobs that are remembered; ``untold`` ended jobs whose owner does not know yet; ``workers`` and ``cards`` who is alive
and what they say of themselves; ``served:NAME`` queues that somebody served lately; ``updates`` what the bot has
handled; ``leader`` which worker keeps the shown places true; ``bot`` that the bot polls; ``sequence`` numbers entries;
``ends`` and ``stats:N`` how jobs ended, counted (:mod:`tasks.stats`); ``forgotten`` how often Redis's file still has
something that was deleted on somebody's wish, ``rewriting`` that it is being written anew, ``rewritten`` that it was
lately. ``sending`` and
``silence`` belong to :mod:`tasks.budget`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from importlib import resources
from typing import Any, cast

from redis import Redis, RedisError
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry

from tasks.messages import Accepted, Cancelled, Job, JobState, QueuePlace, Refused, RestorePhoto, WorkerCard
from tasks.signature import Signer
from tasks.waiting import Picture, Running, cost_of, done_in_s, lanes_of

RECORD_LIFETIME_S = 2 * 24 * 3600  # of a job that is over
CHAT_CLOSED = "chat_closed"  # the error of a job whose owner had blocked the bot
MAX_ATTEMPTS = 3  # a picture that took its worker down this often is given up
TELL_AGAIN_AFTER_S = 60.0
LONGEST_LEASE_S = 300.0  # that settings allow
LONGEST_ASIDE_S = 3600.0
KEEPER_FIRST_S = 10.0  # a job that was aside is left to the worker that keeps its result; then it is made once more
WORKER_CARD_LIFETIME_S = 15
QUEUE_SERVED_S = 300  # a queue counts as served for so long after its last worker's card: restarts take minutes
UPDATE_REMEMBERED_S = 24 * 3600  # as long as Telegram keeps updates
JOBS_LOOKED_AT = 100  # for the expected wait; of more, as many spread over all
JOBS_AT_ONCE = 50  # changed by one script: a few milliseconds in which Redis does nothing else
SCRIPTS = resources.files("tasks") / "lua"
PART_LINE = re.compile(r"^-- with (parts/\w+\.lua)$", re.MULTILINE)
FORGOTTEN_AT_ONCE = 100  # records; a script holds everybody up
REWRITE_EVERY_S = 600  # at most: writing Redis's file anew costs memory and disk
REWRITE_REFUSED_S = 30  # after which it is tried again; one that Redis refuses costs nothing


def connect(url: str, *, timeout_s: float = 5.0) -> Redis:
    """Open a client that gives up after seconds instead of minutes, so that a caller can say so."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(3.0, timeout_s),
        socket_keepalive=True,
        health_check_interval=30,
        # A connection that Redis has closed meanwhile is opened anew. One that is silent would be as silent again.
        retry=Retry(
            ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries=1, supported_errors=(RedisConnectionError,)
        ),
    )


class JobStore:
    """All jobs of all users. Blocking; safe to share between threads.

    Every method raises ``redis.RedisError`` when Redis cannot be reached, refuses or does not answer. One that did not
    answer may have done what it was asked, or do so yet; and of a method that asks several times some may be done.
    """

    def __init__(self, redis: Redis, *, secret: str = "", bot_id: int | None = None) -> None:
        """``secret``, the bot's token, signs what is handed in; a worker knows it, too. ``bot_id``: see is_ours."""
        self.redis = redis
        self._bot_id = bot_id
        self._signer = Signer(secret)
        texts = {file.name: file.read_text("utf-8") for file in SCRIPTS.iterdir() if file.name.endswith(".lua")}
        self._scripts = {
            name.removesuffix(".lua"): redis.register_script(_with_parts(text)) for name, text in texts.items()
        }

    def _run(self, script: str, *args: object) -> Any:
        return self._scripts[script](args=[_text(arg) for arg in args])

    def submit(self, wish: RestorePhoto, *, user_limit: int, total_limit: int) -> Accepted | Refused:
        """Take a picture in, unless its message was handed in before or somebody has too many."""
        record = {**asdict(wish), "id": wish.job_id, "signature": self._signer.of(wish)}
        flat = [item for pair in record.items() for item in pair]
        cost = cost_of(wish.pixels)
        (answer,) = self._run("submit", wish.job_id, wish.user_id, wish.queue, user_limit, total_limit, cost, *flat)
        if answer == "user_limit":
            return Refused(reason="user_limit", limit=user_limit)
        if answer == "queue_full":
            return Refused(reason="queue_full", limit=total_limit)
        job = self.get(wish.job_id)
        if job is None:  # a known record whose lifetime ended between the two calls
            raise RedisError(f"the record of {wish.job_id} is gone")
        return Accepted(job=job, fresh=answer == "fresh", place=self.place(job))

    def is_ours(self, job: Job) -> bool:
        """Whether the bot of this store took the job in; the numbers of another bot's jobs name none of our messages.

        A Redis is one bot's, but may have jobs of the one before. Without a ``bot_id`` all are ours.
        """
        return job.is_of(self._bot_id)

    @property
    def _our_prefix(self) -> str:
        return "" if self._bot_id is None else f"{self._bot_id}:"

    def attach_status(self, job_id: str, status_message_id: int) -> JobState | None:
        """Note which message shows the job's status; tells where the job stands by now."""
        state = self._run("attach", job_id, status_message_id)
        return JobState(state) if state else None

    def cancel(self, user_id: int, job_id: str) -> Cancelled | None:
        """Cancel one job, if it is this user's and still there."""
        return next(iter(self._cancel(user_id, 0, None, [job_id])), None)

    def cancel_all(
        self,
        user_id: int,
        *,
        running_for_s: float = 0.0,
        said_in: tuple[int, int] | None = None,
        ids: set[str] | None = None,
    ) -> list[Cancelled]:
        """Cancel every open job of a user, or only those running for at least ``running_for_s``.

        ``said_in`` is the chat and message of the wish: pictures sent or asked for there after it are left alone, since
        a bot that died before it could confirm the wish meets it again. A job in state ``delivering`` is in the answer
        but goes on: its result is already on its way. Jobs of another bot are stopped, but not in the answer.

        ``ids`` is added to: whoever tries again after an error goes on with the same set. Then the answer has what the
        call before had cancelled, too, though it is not open any more; that ``was`` cancelled.
        """
        ids = set() if ids is None else ids
        ids |= cast("set[str]", self.redis.smembers(f"restora:user:{user_id}"))
        known, for_ms = sorted(ids), round(running_for_s * 1000)
        parts = (known[first : first + JOBS_AT_ONCE] for first in range(0, len(known), JOBS_AT_ONCE))
        met = [one for part in parts for one in self._cancel(user_id, for_ms, said_in, part)]
        return [one for one in met if one.was not in {JobState.DONE, JobState.FAILED}]  # by themselves, meanwhile

    def _cancel(
        self, user_id: int, running_for_ms: int, said_in: tuple[int, int] | None, job_ids: Sequence[str]
    ) -> list[Cancelled]:
        place, tell_after_ms = said_in or ("", ""), _ms(TELL_AGAIN_AFTER_S)
        known = (running_for_ms, RECORD_LIFETIME_S, *place, tell_after_ms, self._our_prefix)
        answer = self._run("cancel", user_id, *known, *job_ids)
        met = zip(self._get_all(answer[::2]), answer[1::2], strict=True)
        return [Cancelled(job=job, was=JobState(was)) for job, was in met if job and self.is_ours(job)]

    def forget(
        self, user_id: int, *, met: list[Job] | None = None, said_in: tuple[int, int] | None = None
    ) -> list[Job]:
        """Delete everything about a user; tells the records as they were.

        ``met`` is added to as records go: whoever tries again after an error goes on with the same list. ``said_in``
        is the chat and message of the wish; pictures sent or asked for there after it are left alone, see
        :meth:`cancel_all`.

        Open jobs are over with that: whoever works on one learns at the next renewal that it is not theirs any more,
        and can write nothing. What is in state ``delivering`` may still arrive.
        """
        met = [] if met is None else met
        # An answer that gets lost takes records along that nobody else will ever show as stopped.
        known = {job.id for job in met}
        met += [job for job in self.open_jobs(user_id) if job.id not in known and not self._is_spared(job, said_in)]
        passed_over, place = 0, said_in or ("", "")
        while True:
            looked_at, spared, records = self._run(
                "forget", user_id, FORGOTTEN_AT_ONCE, passed_over, *place, self._our_prefix
            )
            passed_over += spared
            as_they_were = {job.id: job for job in map(_job, records) if job is not None}
            met[:] = [as_they_were.pop(job.id, job) for job in met] + list(as_they_were.values())
            if not looked_at:
                return met

    def _is_spared(self, job: Job, said_in: tuple[int, int] | None) -> bool:
        return said_in is not None and self.is_ours(job) and job.chat_id == said_in[0] and job.wished_in > said_in[1]

    def rewrite_log(self) -> bool:
        """Have Redis write its append-only file anew when it still has what was forgotten; tells whether it began.

        At most once in ``REWRITE_EVERY_S``, however often somebody asks to be forgotten and whether or not it succeeds.

        What was forgotten is noted until a later call finds that Redis has finished, and that nobody was forgotten
        since it began: it may fail for want of memory or disk long after it said that it had begun.

        Raises:
            redis.ResponseError: it does not do so now, or not for us, or has failed; it will be asked again.
            redis.RedisError: nobody knows whether it began; it will be asked again, too.
        """
        if self._is_rewriting_log():
            return False
        forgotten = self.redis.get("restora:forgotten")
        if forgotten is None or not self.redis.set("restora:rewritten", 1, nx=True, ex=REWRITE_EVERY_S):
            return False
        try:
            self.redis.bgrewriteaof()
        except ResponseError:
            self.redis.expire("restora:rewritten", REWRITE_REFUSED_S)
            raise
        self.redis.set("restora:rewriting", f"{self._run_of_redis()} {int(forgotten)}")
        return True

    def _is_rewriting_log(self) -> bool:
        """Whether a rewrite that was begun still goes on; notes one that is over."""
        begun = cast("str | None", self.redis.get("restora:rewriting"))
        if begun is None:
            return False
        now = self.redis.info("persistence")
        if now["aof_rewrite_in_progress"] or now["aof_rewrite_scheduled"]:
            return True
        run, _, forgotten = begun.partition(" ")
        # A Redis that was started anew since then knows nothing of a failure, and has not finished either.
        is_done = now["aof_last_bgrewrite_status"] == "ok" and run == self._run_of_redis()
        self._run("rewritten", begun, forgotten if is_done else "", REWRITE_EVERY_S)
        if not is_done:
            raise ResponseError("it could not be written anew")
        return False

    def _run_of_redis(self) -> str:
        return str(self.redis.info("server")["run_id"])

    def claim(self, queues: Iterable[str], *, worker: str, lease_s: float) -> Job | None:
        """Take the next job of these queues under a lease, or nothing.

        Jobs that were aside and whose result another worker keeps (:meth:`release`) are passed over while that one
        lives, for ``KEEPER_FIRST_S``.
        """
        return _job(self._run("claim", _ms(lease_s), worker, _ms(KEEPER_FIRST_S), *queues))

    def is_genuine(self, job: Job) -> bool:
        """Whether a record that was claimed is about the picture and the chat it was handed in for."""
        return self._signer.fits(job)

    def renew(self, job: Job, *, lease_s: float, progress: float) -> tuple[JobState | None, int]:
        """Keep the lease of a job.

        Returns:
            ``(None, status_message_id)`` while the job is this attempt's; else ``(state, 0)`` with the state somebody
            else brought it to: ``cancelled``, or ``queued`` and beyond when the lease had run out.
        """
        held, detail = self._run("renew", job.id, job.attempt, _ms(lease_s), progress)
        return (None, int(detail)) if held else (JobState(detail or JobState.CANCELLED), 0)

    def begin_delivery(self, job: Job, *, lease_s: float) -> Job | None:
        """Announce that the result goes out now; None when the job was cancelled or lost meanwhile."""
        return _job(self._run("deliver", job.id, job.attempt, _ms(lease_s)))

    def finish(self, job: Job, state: JobState, *, error: str = "", unsent: bool = False, resent: bool = False) -> bool:
        """End a job as done or failed; False when it is not this attempt's any more.

        One that is ``resent`` is flagged, and one that fails in state ``delivering``, since its result may have arrived
        all the same, unless it is ``unsent``: Telegram has said that it did not take the result.

        The owner of a failed job has to be told (:meth:`mark_told`): by its worker or, failing that, by a janitor.
        """
        tell_after_ms = _ms(TELL_AGAIN_AFTER_S) if state is JobState.FAILED else -1
        known = (unsent, resent)
        return bool(self._run("finish", job.id, job.attempt, state, error, tell_after_ms, RECORD_LIFETIME_S, *known))

    def mark_resent(self, job: Job, *, unknown_sends: int = 1) -> None:
        """Note that the result may have been sent twice, and how many sends there were of which nobody knows."""
        self._run("resent", job.id, job.attempt, unknown_sends)

    def release(
        self,
        job: Job,
        *,
        blameless: bool,
        aside_s: float = 0.0,
        unsent: bool = False,
        unknown_sends: int = 0,
        kept: bool = False,
    ) -> bool:
        """Give a job back to its place in the queue, after ``aside_s`` if that is not zero.

        A ``blameless`` attempt does not count towards the limit. A job in state ``delivering`` may have been delivered,
        and is flagged, unless it is ``unsent``: Telegram has said that it did not take the result. Where the result is
        ``kept`` by its worker, that one may take a job that was aside before all others.
        """
        known = (unsent, unknown_sends, kept)
        return bool(self._run("release", job.id, job.attempt, blameless, _ms(aside_s), *known))

    def sweep(self, *, longest_run_s: float, lease_s: float = LONGEST_LEASE_S) -> tuple[list[str], list[str]]:
        """Queue jobs of silent workers again, fail those that had enough attempts or time; bring back what is due.

        A lease that ends later than any can, since Redis's clock was put back, ends in ``lease_s`` unless renewed.

        Returns:
            The queues that jobs came back to, one entry a job, and the ids of the jobs that failed.
        """
        longest = (_ms(LONGEST_LEASE_S), _ms(lease_s), _ms(LONGEST_ASIDE_S))
        requeued, failed = self._run("sweep", MAX_ATTEMPTS, _ms(longest_run_s), RECORD_LIFETIME_S, *longest)
        return requeued, failed

    def reroute(self, source: str, target: str) -> int:
        """Move every waiting job from one queue to another; tells how many."""
        moved = 0
        while part := int(self._run("reroute", source, target, JOBS_AT_ONCE)):
            moved += part
        return moved

    def take_untold(self, most: int = 1) -> list[Job]:
        """Ended jobs whose owner is due to be told; until :meth:`mark_told` they come up again every minute."""
        due = cast("list[str]", self._run("untold", _ms(TELL_AGAIN_AFTER_S), most))
        found = {job_id: self.get(job_id) for job_id in due}
        for job_id in (job_id for job_id, job in found.items() if job is None):
            self.redis.zrem("restora:untold", job_id)
        return [job for job in found.values() if job is not None]

    def mark_told(self, job: Job) -> None:
        """Note that the owner of a failed or cancelled job knows."""
        self._run("told", job.id)

    def stop_telling(self, job: Job) -> None:
        """Note that the owner of an ended job cannot be told now; :meth:`tell_again` may bring it up once more."""
        self.redis.zrem("restora:untold", job.id)

    def tell_again(self, user_id: int) -> int:
        """Have a user told how jobs ended while their chat was closed to us; tells how many.

        Those that the user was told of are left out, and so is what is due already.
        """
        ids = cast("list[str]", self.redis.zrange(f"restora:records:{user_id}", 0, -1))
        found = [job for job in self._get_all(ids) if job and self.is_ours(job)]
        due = [job.id for job in found if job.state in {JobState.FAILED, JobState.CANCELLED} and not job.told]
        return cast("int", self.redis.zadd("restora:untold", dict.fromkeys(due, 0), nx=True)) if due else 0

    def get(self, job_id: str) -> Job | None:
        """Read one record."""
        stored = cast("dict[str, str]", self.redis.hgetall(f"restora:job:{job_id}"))
        return Job.from_hash(stored) if "state" in stored else None

    def _get_all(self, job_ids: Sequence[str]) -> list[Job | None]:
        with self.redis.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hgetall(f"restora:job:{job_id}")
            records = cast("list[dict[str, str]]", pipeline.execute())
        return [Job.from_hash(stored) if "state" in stored else None for stored in records]

    def place(self, job: Job) -> QueuePlace | None:
        """Where a queued job stands and how long it will take, its own run included; None once it is not queued.

        The wait counts the pictures before it in its queue and what is left of those being restored.
        """
        answer = self._run("place", job.id, JOBS_LOOKED_AT)
        if not answer:
            return None
        rank, own_pixels, looked_at, running = answer
        before = [Picture.sent_as(*each) for each in zip(looked_at[::2], map(int, looked_at[1::2]), strict=True)]
        held = [
            Running(
                worker=worker,
                picture=Picture.sent_as(kind, int(pixels)),
                progress=float(progress),
                left_s=int(left_ms) / 1000 if int(left_ms) >= 0 else None,
            )
            for worker, kind, pixels, progress, left_ms in zip(*(running[field::5] for field in range(5)), strict=True)
        ]
        lanes = lanes_of((card for card in self.workers() if job.queue in card.queues), held)
        each_stands_for = rank / len(before) if before else 1.0
        own = Picture.sent_as(job.kind, int(own_pixels))
        wait_s, longest_s = (
            done_in_s(picture, before=before, lanes=lanes, each_stands_for=each_stands_for)
            for picture in (own, replace(own, longest=True))
        )
        return QueuePlace(place=rank + 1, wait_s=wait_s, longest_s=None if longest_s == wait_s else longest_s)

    def waiting(self, queue: str) -> int:
        """How many jobs wait in one queue."""
        return int(self.redis.zcard(f"restora:queue:{queue}"))

    def hints(self, queue: str) -> int:
        """How many of Celery's messages lie in the broker for one queue."""
        return int(self.redis.llen(queue))

    def age_s(self, job: Job) -> float:
        """How long a job has been in its present queue."""
        return self.elapsed_s(job.since_ms)

    def elapsed_s(self, since_ms: int) -> float:
        """Seconds since a moment that Redis noted, by its own clock."""
        return self.clock_s() - since_ms / 1000

    def clock_s(self) -> float:
        """Redis's clock, in seconds since 1970."""
        seconds, microseconds = self.redis.time()
        return float(seconds + microseconds / 1e6)

    def lead(self, worker: str, *, for_s: float) -> bool:
        """Whether this worker is, for the next moments, the one of all that does what one is enough for."""
        if self.redis.set("restora:leader", worker, nx=True, px=_ms(for_s * 2)):
            return True
        if self.redis.get("restora:leader") != worker:
            return False
        return bool(self.redis.pexpire("restora:leader", _ms(for_s * 2)))

    def first_waiting(self, queue: str, count: int) -> list[Job]:
        """The next jobs of one queue, in the order they will be taken."""
        entries = cast("list[str]", self.redis.zrange(f"restora:queue:{queue}", 0, count - 1))
        jobs = (self.get(entry.split("|", 1)[1]) for entry in entries)
        return [job for job in jobs if job is not None]

    def open_jobs(self, user_id: int) -> list[Job]:
        """A user's queued, running and delivering jobs."""
        ids = cast("set[str]", self.redis.smembers(f"restora:user:{user_id}"))
        return [job for job in map(self.get, sorted(ids)) if job is not None]

    def announce(self, card: WorkerCard) -> None:
        """Say that a worker is alive and what it can do; forgotten after ``WORKER_CARD_LIFETIME_S``."""
        self._run("announce", card.name, card.to_json(), _ms(WORKER_CARD_LIFETIME_S), QUEUE_SERVED_S, *card.queues)

    def withdraw(self, worker: str) -> None:
        """Say that a worker has left."""
        self.redis.zrem("restora:workers", worker)
        self.redis.hdel("restora:cards", worker)

    def workers(self) -> list[WorkerCard]:
        """The workers that are alive."""
        return [WorkerCard.from_json(text) for text in cast("list[str]", self._run("workers"))]

    def is_served(self, queue: str) -> bool:
        """Whether a worker of this queue was there in the last minutes."""
        return bool(self.redis.exists(f"restora:served:{queue}"))

    def was_handled(self, update: str) -> bool:
        """Whether the bot has handled this update."""
        return self.redis.zscore("restora:updates", update) is not None

    def mark_handled(self, update: str) -> None:
        """Remember that the bot has handled this update."""
        self._run("handled", update, UPDATE_REMEMBERED_S)

    def announce_bot(self) -> None:
        """Say that the bot is polling."""
        self.redis.set("restora:bot", "1", ex=WORKER_CARD_LIFETIME_S)

    def bot_is_alive(self) -> bool:
        """Whether the bot has been polling lately."""
        return bool(self.redis.exists("restora:bot"))


def _with_parts(script: str) -> str:
    """A script behind the parts it names in lines such as ``-- with parts/tally.lua``."""
    return "".join((SCRIPTS / name).read_text("utf-8") for name in PART_LINE.findall(script)) + script


def _job(flat: Sequence[str]) -> Job | None:
    return Job.from_hash(dict(zip(flat[::2], flat[1::2], strict=True))) if flat else None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
