"""Health and metrics of a worker, served by the parent process: it lives as long as the worker and is never busy."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable

from redis import RedisError

from tasks import metrics
from tasks.exposition import Book, Endpoint, Figure
from tasks.health import Health, worker_health
from tasks.messages import WorkerCard
from tasks.processes import descendants, resident_bytes
from tasks.settings import WorkerSettings
from tasks.store import JobStore, connect

REDIS_TIMEOUT_S = 3.0


class Observatory:
    """Made in the parent before its first fork.

    Raises:
        OSError: the port cannot be had.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        if settings.metrics_port is None:
            raise ValueError("there is no port to serve at")
        self._store = JobStore(connect(settings.redis_url.get_secret_value(), timeout_s=REDIS_TIMEOUT_S))
        self._pid = os.getpid()
        self._pipe = metrics.Pipe()
        self._book = Book()
        self._book.look_up(self._look)
        self._pipe.pump(self._book.note)
        self._endpoint = Endpoint(settings.metrics_host, settings.metrics_port, book=self._book, health=self._health)

    def leave_to_parent(self) -> None:
        """In a child: serve nothing, and send figures to the parent."""
        self._endpoint.leave_to_parent()
        metrics.send_to(self._pipe.write)

    def _health(self) -> Health:
        try:
            return worker_health(self._store, self._recogniser())
        except RedisError as error:
            return Health(is_well=False, text=f"Redis does not answer: {error}")

    def _recogniser(self) -> Callable[[WorkerCard], bool]:
        """Tells the cards of this very worker's processes from all others."""
        ours = {f"{socket.gethostname()}:{one.pid}" for one in descendants(self._pid)}
        return lambda card: card.name in ours

    def _look(self) -> Iterable[Figure]:
        yield Figure("restora_memory_bytes", resident_bytes(), ("parent",))
        below = descendants(self._pid)
        for process, depths in (("child", {1}), ("decoder", {one.depth for one in below} - {1})):
            total = sum(resident_bytes(one.pid) for one in below if one.depth in depths)
            yield Figure("restora_memory_bytes", total, (process,))
        try:
            cards = list(filter(self._recogniser(), self._store.workers()))
        except RedisError:
            yield Figure("restora_redis_up", 0)
            return
        yield Figure("restora_redis_up", 1)
        for model, device, dtype in {(model, card.device, card.dtype) for card in cards for model in card.models}:
            yield Figure("restora_model_loaded", 1, (model, device, dtype))
