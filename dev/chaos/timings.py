"""What is measured beside the account: recovery, cancelling, and the window in which a result could be doubled."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from redis import RedisError

from dev.chaos.breaking import Breaker, Broken
from dev.chaos.evidence import Evidence
from tasks.logs import job_name
from tasks.messages import FINAL_STATES, Job, JobState
from tasks.store import JobStore

WATCH_EVERY_S = 0.1
FREE_LINE = re.compile(r"^(\S+ \S+) INFO\s+\S+ \[(\S+)\] free for the next job")


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A job whose worker was taken away, and when it was claimed again."""

    job_id: str
    fault: str
    seconds: float


@dataclass(kw_only=True)
class Spread:
    """Some measured seconds, or none."""

    seconds: Sequence[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """How many there are, and where they lie."""
        ordered = sorted(self.seconds)
        if not ordered:
            return {"count": 0}
        ranks = {"median": 0.5, "p90": 0.9, "p99": 0.99}
        at = {name: ordered[min(len(ordered) - 1, int(rank * len(ordered)))] for name, rank in ranks.items()}
        return {
            "count": len(ordered),
            **{name: round(value, 3) for name, value in at.items()},
            "max": round(ordered[-1], 3),
            "mean": round(statistics.fmean(ordered), 3),
        }


async def watch_losses(breaker: Breaker, store: JobStore) -> list[Recovery]:
    """Note when the jobs of taken workers are claimed again, until cancelled; what was seen by then."""
    open_losses = 0  # those before were settled
    found: list[Recovery] = []
    waiting = []
    try:
        while True:
            waiting += breaker.losses[open_losses:]
            open_losses = len(breaker.losses)
            still = []
            for loss in waiting:
                job = await _record(store, loss.job_id)
                if job is None or (job.attempt <= loss.attempt and job.state not in FINAL_STATES):
                    still.append(loss)
                elif job.attempt > loss.attempt:
                    seconds = job.started_ms / 1000 - loss.at
                    found.append(Recovery(job_id=loss.job_id, fault=loss.fault, seconds=seconds))
            waiting = still
            await asyncio.sleep(WATCH_EVERY_S)
    except asyncio.CancelledError:
        return found


async def _record(store: JobStore, name: str) -> Job | None:
    try:
        return await asyncio.to_thread(store.get, name)
    except RedisError:
        return None


def freed_at(folder: Path) -> dict[str, list[float]]:
    """When workers were free again after each job, in seconds since the epoch, by its name in the logs of a folder."""
    freed: dict[str, list[float]] = {}
    for log in folder.glob("worker*.log"):
        for line in log.read_text("utf-8", "replace").splitlines():
            if match := FREE_LINE.match(line):
                at = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S,%f").timestamp()
                freed.setdefault(match[2], []).append(at)
    return freed


def cancel_times(
    evidence: Evidence, freed: Mapping[str, Sequence[float]], broken: Sequence[Broken]
) -> tuple[list[float], list[float]]:
    """Seconds from a user's wish to the worker being free, of jobs that were being worked on.

    Returns:
        Those during which nothing but Telegram was broken, and the others.
    """
    calm: list[float] = []
    disturbed: list[float] = []
    for sent in evidence.sent:
        job = evidence.jobs.get(sent.number)
        if job is None or job.state is not JobState.CANCELLED:
            continue
        wishes = [
            w.at for w in evidence.wishes if w.chat_id == sent.chat_id and w.message_id in {None, sent.message_id}
        ]
        asked = max((at for at in wishes if sent.at <= at <= job.ended_ms / 1000), default=None)
        free = min((at for at in freed.get(job_name(job.id), ()) if at >= job.ended_ms / 1000), default=None)
        if asked is None or free is None or not job.started_ms / 1000 <= free:
            continue
        hurt = any(not b.name.startswith("telegram") and b.at <= free and b.until >= asked - 1 for b in broken)
        (disturbed if hurt else calm).append(free - asked)
    return calm, disturbed


def windows(evidence: Evidence) -> dict[str, list[float]]:
    """Seconds between a result standing in the chat and the store knowing it, by the way it came.

    A worker that is lost in this time delivers again: harmless for an edit, a second document for a send.
    """
    widths: dict[str, list[float]] = {"edited": [], "sent": [], "between doubles": []}
    home = {sent.number: sent for sent in evidence.sent}
    came: dict[int, list[tuple[float, int]]] = {}
    for answer in evidence.answers:
        for words in answer.history:
            if words.picture in home and words.picture is not None:
                came.setdefault(words.picture, []).append((words.at, answer.message_id))
    for number, times in came.items():
        job = evidence.jobs.get(number)
        if job is None or job.state is not JobState.DONE:
            continue
        first, message_id = min(times)
        way = "edited" if message_id == job.status_message_id else "sent"
        widths[way].append(max(0.0, job.ended_ms / 1000 - first))
        messages = {message: at for at, message in sorted(times, reverse=True)}  # the first time of each
        if len(messages) > 1:
            widths["between doubles"].append(max(messages.values()) - min(messages.values()))
    return widths
