"""Health and metrics of the bot, and of the queue as a whole, since there is one bot and may be many workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from redis import RedisError

from bot.heartbeat import Heartbeat
from tasks import metrics
from tasks.exposition import Book, Endpoint, Figure
from tasks.processes import resident_bytes
from tasks.stats import Statistics


class Observatory:
    """Serves from when it is made until :meth:`close`.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, host: str, port: int, *, heartbeat: Heartbeat, statistics: Statistics) -> None:
        self._heartbeat = heartbeat
        self._statistics = statistics
        book = Book()
        book.look_up(self._look)
        metrics.send_to(book.note)
        self._endpoint = Endpoint(host, port, book=book, health=heartbeat.health)

    def close(self) -> None:
        """Serve no more. Blocks for a moment."""
        self._endpoint.close()

    def _look(self) -> Iterable[Figure]:
        yield Figure("restora_memory_bytes", resident_bytes(), ("bot",))
        yield Figure("restora_last_poll_seconds", self._heartbeat.since_poll_s)
        try:
            figures = list(self._of_the_queue())
        except RedisError:
            yield Figure("restora_redis_up", 0)
        else:
            yield from figures
            yield Figure("restora_redis_up", 1)

    def _of_the_queue(self) -> Iterable[Figure]:
        now = self._statistics.now()
        for queue, waiting in now.waiting.items():
            yield Figure("restora_queue_jobs", waiting, (queue,))
        yield Figure("restora_aside_jobs", now.aside)
        yield Figure("restora_held_jobs", now.held)
        kinds = Counter((",".join(card.queues), card.device, card.dtype) for card in now.workers)
        for kind, number in kinds.items():
            yield Figure("restora_workers", number, kind)
        for (outcome, code), number in self._statistics.ever().items():
            yield Figure("restora_jobs", number, (outcome, code))
        if now.memory_bytes is not None:
            yield Figure("restora_redis_memory_bytes", now.memory_bytes)
            yield Figure("restora_redis_memory_limit_bytes", now.memory_limit_bytes or 0)
