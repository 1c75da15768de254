"""One job from claim to end: fetch, restore, deliver. Knows neither Celery nor how its parts are made."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Timer
from typing import TYPE_CHECKING, Protocol

from filelock import BaseFileLock, Timeout
from redis import RedisError

from models.errors import DeviceError, ImageError, OptionsError, RestorationStopped
from models.stopping import Errands
from tasks import metrics
from tasks.door import CalledOffError, Document, Door, result_name
from tasks.endings import Endings, count_end, persist
from tasks.kept import KeptResults
from tasks.lease import Lease, StopReason
from tasks.logs import job_context
from tasks.messages import FINAL_STATES, Job, JobState
from tasks.progress import ProgressReporter
from tasks.store import CHAT_CLOSED, JobStore
from tasks.telegram import (
    ChatClosedError,
    FileTooLargeError,
    TelegramBusyError,
    TelegramError,
    TelegramRefusalError,
    TelegramUnreachableError,
    TokenRejectedError,
)
from tasks.texts import Texts

if TYPE_CHECKING:  # the worker's parent process imports this module and must stay free of torch
    from models import Restored, RestoreOptions

logger = logging.getLogger(__name__)

PASSED_ON_AFTER_S = 0.5  # or two who may not take a job would toss its hint to and fro all the time
ASIDE_S = 20.0  # until a job is tried again that Telegram had no answer for
MOST_UNKNOWN_SENDS = 3  # copies that a chat may get of a result; then the job ends, whether or not one arrived


class PictureRestorer(Protocol):
    """What ``models.Restorer`` does for a worker."""

    def restore(
        self,
        data: bytes,
        options: RestoreOptions,
        *,
        on_progress: Callable[[float], None],
        should_stop: Callable[[], bool],
    ) -> Restored: ...

    def close(self) -> None: ...


class JobFailedError(Exception):
    """The job cannot be done, and trying again would not help; ``code`` says why, see ``tasks.texts``."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


@dataclass(kw_only=True)
class Workshop:
    """Everything a worker process needs to do jobs; made once, after the fork."""

    store: JobStore
    door: Door
    restorer: PictureRestorer
    options: RestoreOptions
    device_lock: BaseFileLock  # children that share a device restore one after the other
    ring: Callable[[str], object]  # says that a queue has work
    worker: str
    queues: tuple[str, ...]
    lease_s: float
    job_timeout_s: float
    idle_since: float | None = field(default_factory=time.monotonic)
    cancelled_ms: int = 0  # when the job that is being dropped was cancelled, by the clock of Redis
    errands: Errands = field(default_factory=lambda: Errands("fetch"))
    _kept: KeptResults = field(default_factory=KeptResults, init=False)
    _endings: Endings = field(init=False)
    _next_ring: Timer | None = field(default=None, init=False)
    _rejected: bool = field(default=False, init=False)  # whether Telegram has said that it does not know us

    def __post_init__(self) -> None:
        self._endings = Endings(self.store, self.door, ring=self.ring)

    def run_next(self) -> bool:
        """Claim the next job of the queues and bring it to an end; False when there is none, or Telegram rejects us.

        Raises:
            redis.RedisError: the claim did not reach Redis; nothing was claimed as far as anybody knows.
        """
        if self._rejected:  # this worker is ending; nothing that it took could succeed
            return False
        job = self.store.claim(self.queues, worker=self.worker, lease_s=self.lease_s)
        if job is None:
            self._pass_hint_on()
            return False
        self.idle_since = None
        with job_context(job.id):
            self._note_claim(job)
            began = time.monotonic()
            try:
                self._run(job)
            finally:
                self.idle_since = time.monotonic()
                self._note_free(began)
                logger.info("free for the next job")
        return True

    def _pass_hint_on(self) -> None:
        """Ring once more where jobs wait that are left to another worker: it was not the one that heard of them."""
        queue = next((name for name in self.queues if self.store.waiting(name)), None)
        if queue is None or (self._next_ring is not None and self._next_ring.is_alive()):
            return
        self._next_ring = Timer(PASSED_ON_AFTER_S, self.ring, [queue])
        self._next_ring.daemon = True
        self._next_ring.start()

    def _note_claim(self, job: Job) -> None:
        waited_s = round((job.started_ms - job.queued_ms) / 1000, 1)
        logger.info(
            "claimed, attempt %(attempt)d, %(kind)s, %(waited_s).1f s after it was taken in",
            {"attempt": job.attempt, "kind": job.kind, "waited_s": waited_s, "queue": job.queue, "pixels": job.pixels},
        )
        if job.attempt == 1:
            metrics.observe("restora_job_waiting_seconds", waited_s)

    def _note_free(self, began: float) -> None:
        metrics.observe("restora_job_stage_seconds", time.monotonic() - began, stage="job")
        cancelled_ms, self.cancelled_ms = self.cancelled_ms, 0
        if cancelled_ms:
            with suppress(RedisError):
                metrics.observe("restora_cancel_seconds", max(0.0, self.store.elapsed_s(cancelled_ms)))

    def tidy(self) -> None:
        """Drop results that wait to be delivered once more, of jobs that nobody waits for any more."""

        def is_over(job_id: str) -> bool:
            job = self.store.get(job_id)
            return job is None or job.state in FINAL_STATES

        self._kept.drop(is_over)

    def close(self) -> None:
        """End what the restorer keeps running beside this process."""
        self.restorer.close()

    @property
    def idle_s(self) -> float:
        """Seconds since this worker finished its last job; 0 while it has one."""
        return 0.0 if self.idle_since is None else time.monotonic() - self.idle_since

    def _run_under_lease(self, job: Job, lease: Lease) -> None:
        with lease:
            try:
                self._fetch_restore_deliver(job, lease)
            except SystemExit:  # told to leave; or over Celery's hard limit, which starts like that
                if not lease.is_overdue():
                    self._endings.hand_back(lease)
                elif lease.is_delivering:  # no fault of the picture's, but a delivery that hangs may not go on for ever
                    self._endings.try_again_or_fail(lease, "telegram")
                else:
                    self._endings.fail(lease, "timeout")
                raise

    def _run(self, job: Job) -> None:
        try:
            if self.store.is_ours(job):
                self._run_to_its_end(job)
            else:
                self._endings.leave_to_its_bot(job)
        except RedisError as error:
            self._kept.take(job.id)
            logger.warning("left to the janitor, Redis does not answer: %s", error)

    def _run_to_its_end(self, job: Job) -> None:
        lease = Lease(self.store, job, lease_s=self.lease_s, timeout_s=self.job_timeout_s)
        try:
            self._run_under_lease(job, lease)
        except JobFailedError as failure:
            logger.warning("failed, %(code)s: %(reason)s", {"code": failure.code, "reason": failure.reason})
            self._endings.fail(lease, failure.code, unsent=not lease.unknown_tries)
        except ChatClosedError:
            logger.info("the chat is closed to us")
            self._endings.fail(lease, CHAT_CLOSED, unsent=not lease.unknown_tries)
        except TokenRejectedError as error:
            self._rejected = True
            self._endings.hand_back_rejected(lease, error)
        except TelegramBusyError as busy:
            self._put_aside(lease, busy.retry_after_s)
        except TelegramError as error:
            logger.warning("Telegram does not answer: %s", error)
            self._put_aside(lease, ASIDE_S)
        except DeviceError as error:
            logger.warning("the device failed: %s", error)
            self._endings.try_again_or_fail(lease, error.code)
        except RedisError:
            raise
        except Exception:  # the outermost boundary of a job: it is reported, and the worker lives on
            logger.exception("failed unexpectedly")
            self._endings.try_again_or_fail(lease, "internal")

    def _fetch_restore_deliver(self, job: Job, lease: Lease) -> None:
        self._check_signature(job)
        try:
            restored = self._kept.take(job.id) or self._made(job, lease)
        except RestorationStopped:
            self._drop(job, lease)
            return
        delivering = persist(lambda: self.store.begin_delivery(job, lease_s=self.lease_s))
        if delivering is None:  # cancelled or lost in the very last moment
            self._drop(job, lease)
            return
        lease.is_delivering = True
        self._check_signature(delivering)  # which was read anew
        try:
            with _timed("deliver"):
                silent = self._deliver(delivering, restored, lease)
        except (TelegramBusyError, TelegramUnreachableError):  # it comes back soon, and to this worker first
            lease.result_is_kept = self._kept.put(job.id, restored)
            raise
        except CalledOffError:
            self._drop(delivering, lease)
            return
        if not persist(lambda: self.store.finish(delivering, JobState.DONE, resent=lease.flag_is_due)):
            count_end("lost")
            logger.warning("delivered, although the lease was lost meanwhile")
            return
        if silent:
            self.door.announce(delivering)
        _note_done(restored)

    def _check_signature(self, job: Job) -> None:
        if not self.store.is_genuine(job):
            raise JobFailedError("not_genuine", "the record is not as the bot wrote it")

    def _made(self, job: Job, lease: Lease) -> Restored:
        with _timed("fetch"):
            data = self._fetch(job, lease)
        return self._restore(job, lease, data)

    def _fetch(self, job: Job, lease: Lease) -> bytes:
        try:
            # A server that is silent holds a connection for half a minute, and nothing can interrupt that.
            return self.errands.run(lambda: self.door.fetch(job, should_stop=lease.should_stop), lease.should_stop)
        except FileTooLargeError as error:
            raise JobFailedError("file_too_large", str(error)) from error
        except ChatClosedError:
            raise
        except TelegramRefusalError as error:
            raise JobFailedError("file_gone", str(error)) from error
        except TelegramError:
            if lease.should_stop():
                raise RestorationStopped("stopped while fetching") from None
            raise

    def _restore(self, job: Job, lease: Lease, data: bytes) -> Restored:
        texts = Texts(job.locale)

        def show(fraction: float) -> None:
            with lease.telling:
                if not (lease.should_stop() or reporter.ended.is_set()):
                    current = replace(job, status_message_id=lease.status_message_id)
                    self.door.show(current, texts.running(fraction), cancellable=True)

        def on_progress(fraction: float) -> None:
            lease.progress = fraction
            reporter.report(fraction)

        try:
            with ProgressReporter(show, is_group=job.chat_id < 0) as reporter, self._turn_on_device(lease):
                return self.restorer.restore(
                    data, wishes_of(job, self.options), on_progress=on_progress, should_stop=lease.should_stop
                )
        except ImageError as error:
            raise JobFailedError(error.code, str(error)) from error
        except OptionsError as error:  # a wish of the job's that this picture or this worker cannot meet
            raise JobFailedError("internal", str(error)) from error

    @contextmanager
    def _turn_on_device(self, lease: Lease) -> Iterator[None]:
        with _timed("device"):
            while True:
                try:
                    self.device_lock.acquire(timeout=0.2)
                except Timeout:
                    if lease.should_stop():
                        raise RestorationStopped("stopped while waiting for the device") from None
                else:
                    break
        lease.restart_clock()
        try:
            yield
        finally:
            self.device_lock.release()

    def _deliver(self, job: Job, restored: Restored, lease: Lease) -> bool:
        width_in, width_out = restored.size_in_wh[0], restored.size_out_wh[0]
        document = Document(
            name=result_name(job, scale=round(width_out / width_in, 1), extension=restored.extension),
            content=restored.data,
            mime=restored.mime,
            caption=Texts(job.locale).done(
                size_in_wh=restored.size_in_wh,
                size_out_wh=restored.size_out_wh,
                model=restored.model,
                seconds=restored.seconds["total"],
                notices=restored.notices,
                faces_restored=restored.faces_restored,
                faces_left=restored.faces_left,
            ),
        )
        try:
            return self.door.deliver(
                job,
                document,
                on_unknown=lambda may_double: self._note_unknown(job, lease, may_double=may_double),
                should_stop=lease.is_lost,
            )
        except ChatClosedError:
            raise
        except TelegramRefusalError as error:
            raise JobFailedError("result_too_large" if error.status == 413 else "telegram", str(error)) from error

    def _note_unknown(self, job: Job, lease: Lease, *, may_double: bool) -> None:
        """Remember a try of which nobody knows whether the result arrived; after too many that may double it, end."""
        lease.unknown_tries += 1
        if not may_double:
            return
        lease.unknown_sends += 1
        try:
            self.store.mark_resent(job, unknown_sends=lease.unknown_sends)
        except RedisError as error:
            logger.warning("the result may come twice, to be noted when Redis is back: %s", error)
            lease.flag_is_due = True
        if lease.unknown_sends >= MOST_UNKNOWN_SENDS:
            raise JobFailedError("unconfirmed", f"{lease.unknown_sends} sends without an answer")

    def _put_aside(self, lease: Lease, seconds: float) -> None:
        if not self._endings.put_aside(lease, seconds):
            self._kept.take(lease.job.id)  # it is over: nobody will ask for the result

    def _drop(self, job: Job, lease: Lease) -> None:
        if lease.reason is StopReason.TIMEOUT and not lease.is_lost():
            raise JobFailedError("timeout", f"took longer than {self.job_timeout_s:g} s")
        self.cancelled_ms = self._endings.drop(job, lease)


@contextmanager
def _timed(stage: str) -> Iterator[None]:
    """Note how long a ``with`` block takes that comes to its end."""
    began = time.monotonic()
    yield
    metrics.observe("restora_job_stage_seconds", time.monotonic() - began, stage=stage)


def _note_done(restored: Restored) -> None:
    count_end("done")
    metrics.count("restora_pictures_restored", model=restored.model)
    for stage, seconds in restored.seconds.items():
        if stage != "total":
            metrics.observe("restora_job_stage_seconds", seconds, stage=stage)
    logger.info("%s", restored.choice)
    figures = {
        "estimate_s": round(restored.estimate_s, 2),
        "stages": {stage: round(seconds, 2) for stage, seconds in restored.seconds.items()},
        "model": restored.model,
        "megapixels_in": round(math.prod(restored.size_in_wh) / 1e6, 3),
        "megapixels_out": round(math.prod(restored.size_out_wh) / 1e6, 3),
        "result_bytes": len(restored.data),
        "faces_restored": restored.faces_restored,
    }
    logger.info("done, expected in %(estimate_s).2f s: %(stages)s", figures)


def wishes_of(job: Job, options: RestoreOptions) -> RestoreOptions:
    """The worker's options with what the owner of a job wishes otherwise.

    Raises:
        JobFailedError: the record says something that no option can be.
    """
    try:
        left_out = tuple(int(number) for number in job.faces_left_out.split(",") if number)
        is_open = job.faces >= 0 and options.faces != 0  # a worker that restores no faces cannot be asked to
        return replace(options, faces=job.faces if is_open else options.faces, faces_left_out=left_out)
    except (ValueError, OptionsError) as error:
        raise JobFailedError("internal", f"faces={job.faces!r:.20}, left out {job.faces_left_out!r:.40}") from error
