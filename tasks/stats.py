"""How everything goes, in figures, for ``/stats`` and ``/metrics``.

The scripts that end jobs count in the same step (``tasks/lua/parts/tally.lua``), in a hash for every ten minutes, which
Redis forgets after a day. Times are counted in steps of a scale, each a quarter longer than the one before: what is
read from them is off by an eighth at most, and takes no more room however many jobs there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis import ResponseError

from tasks.broker import DEFAULT_QUEUE, GPU_QUEUE
from tasks.messages import WorkerCard
from tasks.store import JobStore

SLICE_MS = 600_000
SLICES_A_DAY, SLICES_AN_HOUR = 144, 6
STEP = 1.25


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Of many times, in seconds; None where there was none."""

    median_s: float | None
    p95_s: float | None


@dataclass(frozen=True, kw_only=True)
class Ends:
    """How the jobs of some span of time ended; ``failures`` by code, the most frequent first."""

    done: int
    failed: int
    cancelled: int
    failures: tuple[tuple[str, int], ...]
    waiting: Spread
    working: Spread


@dataclass(frozen=True, kw_only=True)
class Now:
    """How things stand at this moment. ``memory_limit_bytes`` 0: Redis has none; both None: it does not say."""

    workers: tuple[WorkerCard, ...]
    waiting: Mapping[str, int]  # by queue
    aside: int
    held: int
    memory_bytes: int | None
    memory_limit_bytes: int | None


class Statistics:
    """Reads the figures. Every method raises ``redis.RedisError`` when Redis cannot be reached."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._redis = store.redis

    def now(self) -> Now:
        """How things stand."""
        workers = tuple(self._store.workers())
        queues = sorted({DEFAULT_QUEUE, GPU_QUEUE}.union(*(card.queues for card in workers)))
        with self._redis.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.zcard(f"restora:queue:{queue}")
            pipe.zcard("restora:aside")
            pipe.zcard("restora:leases")
            *waiting, aside, held = pipe.execute()
        memory = self._memory()
        return Now(
            workers=workers,
            waiting=dict(zip(queues, waiting, strict=True)),
            aside=aside,
            held=held,
            memory_bytes=memory.get("used_memory"),
            memory_limit_bytes=memory.get("maxmemory"),
        )

    def last_hour(self) -> Ends:
        """The ends of the last sixty to seventy minutes."""
        return _ends(self._counted(SLICES_AN_HOUR))

    def last_day(self) -> Ends:
        """The ends of the last 24 hours, and up to ten minutes more."""
        return _ends(self._counted(SLICES_A_DAY))

    def ever(self) -> dict[tuple[str, str], int]:
        """How often jobs ended since this Redis was new, by ``(outcome, code of the failure or "")``."""
        stored = cast("dict[str, str]", self._redis.hgetall("restora:ends"))
        return {how.partition(":")[::2]: int(number) for how, number in stored.items()}

    def _counted(self, slices: int) -> Counter[str]:
        seconds, _ = self._redis.time()
        last = int(seconds) * 1000 // SLICE_MS
        with self._redis.pipeline(transaction=False) as pipe:
            for number in range(last - slices, last + 1):
                pipe.hgetall(f"restora:stats:{number}")
            counts: Counter[str] = Counter()
            for stored in pipe.execute():
                counts.update({field: int(number) for field, number in stored.items()})
        return counts

    def _memory(self) -> dict[str, Any]:
        try:
            return self._redis.info("memory")
        except ResponseError:  # an account without this command is fine for all the rest
            return {}


def _ends(counts: Counter[str]) -> Ends:
    failures = Counter({how.removeprefix("failed:"): n for how, n in counts.items() if how.startswith("failed:")})
    return Ends(
        done=counts["done"],
        failed=failures.total(),
        cancelled=counts["cancelled"],
        failures=tuple(failures.most_common()),
        waiting=_spread(counts, "wait:"),
        working=_spread(counts, "work:"),
    )


def _spread(counts: Mapping[str, int], prefix: str) -> Spread:
    steps = sorted((int(field.removeprefix(prefix)), n) for field, n in counts.items() if field.startswith(prefix))
    return Spread(median_s=_quantile(steps, 0.5), p95_s=_quantile(steps, 0.95))


def _quantile(steps: Iterable[tuple[int, int]], share: float) -> float | None:
    """The middle, by ratio, of the step in which this share of all is reached."""
    steps = list(steps)
    left = share * sum(number for _, number in steps)
    for step, number in steps:
        left -= number
        if left <= 0:
            return float(STEP ** (step - 0.5)) / 1000
    return None
