"""Every metric of bot and workers, and how a figure gets to where it is served. Loads nothing heavy.

Code notes figures with :func:`count` and :func:`observe`, which do nothing until a process has said where
they go. In the bot that is the registry itself (:mod:`tasks.exposition`). In a worker it is a pipe: children write
lines into it, their parent reads and serves them. prometheus_client's own way for several processes, files in a shared
folder, keeps one set of files for every process that ever was, so a worker whose children are replaced would fill its
disk; a pipe leaves nothing behind, and the totals outlive the children.

Label values come from short lists of our own: never ids, names or texts of people.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

logger = logging.getLogger(__name__)

Kind = Literal["counter", "gauge", "histogram"]
Operation = Literal["add", "observe"]
Sink = Callable[[Operation, str, float, dict[str, str]], None]

LONGEST_LINE = 2048  # bytes; far below PIPE_BUF, up to which writes of several processes stay whole
LONGEST_LABEL = 64
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
LONG_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
SHORT_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
PAUSES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0, 300.0, 3600.0)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What one metric is; docs/operations.md has the same table."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


# Figures that a process notes; a counter is served with "_total" behind its name.
NOTED: dict[str, Metric] = {
    "restora_updates": Metric(kind="counter", help="Updates that the bot handled, by kind", labels=("kind",)),
    "restora_pictures_submitted": Metric(
        kind="counter",
        help="Pictures handed in: fresh, known (the same message again), user_limit, queue_full",
        labels=("answer",),
    ),
    "restora_messages_refused": Metric(
        kind="counter", help="Messages that hold no picture we take, by reason", labels=("reason",)
    ),
    "restora_telegram_errors": Metric(
        kind="counter",
        help="Calls Telegram did not carry out: busy, refused, rejected (token), closed, unreachable; unchanged: none",
        labels=("method", "kind"),
    ),
    "restora_telegram_retry_after_seconds": Metric(
        kind="histogram", help="Silence that Telegram asked for", buckets=PAUSES
    ),
    "restora_job_waiting_seconds": Metric(
        kind="histogram", help="From taking a picture in until a worker took it", buckets=LONG_SECONDS
    ),
    "restora_job_stage_seconds": Metric(
        kind="histogram",
        help="What a worker spent on one picture: fetch, device, decode, plan, upscale, colours, faces, encode, "
        "deliver, and job for the whole",
        labels=("stage",),
        buckets=SECONDS,
    ),
    "restora_worker_jobs": Metric(
        kind="counter",
        help="Jobs that this worker let go of: done, cancelled, lost, aside, handed_back, again, or the code of a "
        "failure",
        labels=("end",),
    ),
    "restora_pictures_restored": Metric(kind="counter", help="Pictures delivered, by model", labels=("model",)),
    "restora_cancel_seconds": Metric(
        kind="histogram", help="From a cancellation until the worker was free for the next job", buckets=SHORT_SECONDS
    ),
    "restora_worker_starts": Metric(kind="counter", help="Processes of this worker that loaded their models"),
    "restora_worker_recycled": Metric(kind="counter", help="Processes replaced because they kept too much memory"),
    "restora_worker_start_seconds": Metric(
        kind="histogram", help="From the fork of a worker's process until its models were loaded", buckets=SECONDS
    ),
}

# Figures that are looked up when somebody asks; by the bot unless said otherwise.
LOOKED_UP: dict[str, Metric] = {
    "restora_queue_jobs": Metric(kind="gauge", help="Jobs waiting, by queue", labels=("queue",)),
    "restora_aside_jobs": Metric(kind="gauge", help="Jobs put aside until Telegram is to be had again"),
    "restora_held_jobs": Metric(kind="gauge", help="Jobs that workers hold"),
    "restora_workers": Metric(
        kind="gauge", help="Workers alive, by queues and device", labels=("queues", "device", "dtype")
    ),
    "restora_jobs": Metric(
        kind="counter",
        help="Jobs that ended, of all workers: done, failed (with its code), cancelled",
        labels=("outcome", "reason"),
    ),
    "restora_redis_up": Metric(kind="gauge", help="1 while Redis answers"),
    "restora_redis_memory_bytes": Metric(kind="gauge", help="What Redis uses"),
    "restora_redis_memory_limit_bytes": Metric(kind="gauge", help="What Redis may use; 0: no limit"),
    "restora_last_poll_seconds": Metric(kind="gauge", help="Since Telegram last answered the bot's polling"),
    "restora_memory_bytes": Metric(
        kind="gauge",
        help="Resident memory, by process: bot; parent, child and decoder of a worker (several added up)",
        labels=("process",),
    ),
    "restora_model_loaded": Metric(
        kind="gauge",
        help="1 for each model that a worker has loaded, on its device",
        labels=("model", "device", "dtype"),
    ),
}


def _nowhere(_operation: Operation, _name: str, _value: float, _labels: dict[str, str]) -> None:
    pass


class _Process:
    sink: Sink = staticmethod(_nowhere)


def send_to(sink: Sink) -> None:
    """Say where the figures of this process go from now on."""
    _Process.sink = staticmethod(sink)


def count(name: str, **labels: str) -> None:
    """Add one to a counter."""
    _Process.sink("add", name, 1.0, labels)


def observe(name: str, value: float, **labels: str) -> None:
    """Note one value of a histogram."""
    _Process.sink("observe", name, value, labels)


class Pipe:
    """From the children of a worker to their parent. Made before the fork; each side takes its end.

    A child never waits: while the pipe is full, because the parent does not come round to reading, figures are lost.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def write(self, operation: Operation, name: str, value: float, labels: dict[str, str]) -> None:
        """The sink of a child."""
        line = json.dumps([operation, name, value, labels]).encode() + b"\n"
        if len(line) > LONGEST_LINE:
            logger.warning("a figure of %s is too long to be passed on", name)
            return
        try:
            os.write(self._writing, line)
        except OSError:  # full, or nobody reads any more: nothing that a picture should fail for
            logger.debug("a figure of %s was lost", name)

    def pump(self, sink: Sink) -> None:
        """Pass everything on to ``sink``, in a thread of the parent's."""
        threading.Thread(target=self._pump, args=(sink,), name="metrics", daemon=True).start()

    def _pump(self, sink: Sink) -> None:
        with os.fdopen(self._reading, "rb") as lines:
            for line in lines:
                try:
                    operation, name, value, labels = json.loads(line)
                    sink(operation, name, float(value), labels)
                except (ValueError, LookupError, TypeError) as error:
                    logger.warning("a figure of a worker's process makes no sense: %s", error)
