"""``/metrics`` and ``/healthz`` of a process, served by a thread of its own.

Whoever asks has to reach the address they are served at, by default only this machine or container. Both say nothing
about people, and nothing is taken in: requests have no parameters.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from tasks.health import Health
from tasks.metrics import LONGEST_LABEL, LOOKED_UP, NOTED, Operation

logger = logging.getLogger(__name__)

ASKING_TIMEOUT_S = 10.0  # for a request to arrive; what the answer takes is bounded by the timeouts of Redis


class Figure(NamedTuple):
    """One value of a metric that is looked up when somebody asks; labels in the order of its table."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Book:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Histogram] = {}
        for name, metric in NOTED.items():
            if metric.kind == "counter":
                self._metrics[name] = Counter(name, metric.help, metric.labels, registry=self.registry)
            else:
                self._metrics[name] = Histogram(
                    name, metric.help, metric.labels, registry=self.registry, buckets=metric.buckets
                )

    def note(self, operation: Operation, name: str, value: float, labels: dict[str, str]) -> None:
        """The sink of :mod:`tasks.metrics`; a figure that does not fit the table is a bug, but no reason to fail."""
        try:
            metric: Any = self._metrics[name]
            short = {label: text[:LONGEST_LABEL] for label, text in labels.items()}
            metric = metric.labels(**short) if short else metric
            (metric.inc if operation == "add" else metric.observe)(value)
        except (LookupError, ValueError, AttributeError) as error:
            logger.warning("a figure of %s makes no sense: %s", name, error)

    def look_up(self, look: Callable[[], Iterable[Figure]]) -> None:
        """Have ``look`` called whenever somebody asks; it gives figures of ``tasks.metrics.LOOKED_UP``."""
        self.registry.register(_Lookup(look))

    def as_text(self) -> bytes:
        """In the format that Prometheus reads."""
        return generate_latest(self.registry)


class _Lookup(Collector):
    def __init__(self, look: Callable[[], Iterable[Figure]]) -> None:
        self._look = look

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering looks nothing up."""
        return []

    def collect(self) -> Iterable[Metric]:
        """What there is at this moment."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for figure in self._look():
            if figure.name not in families:
                metric = LOOKED_UP[figure.name]
                family = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
                families[figure.name] = family(figure.name, metric.help, labels=metric.labels)
            families[figure.name].add_metric([text[:LONGEST_LABEL] for text in figure.labels], figure.value)
        return families.values()


class Endpoint:
    """The server; it is listening when this is made.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """

    def __init__(self, host: str, port: int, *, book: Book, health: Callable[[], Health]) -> None:
        self._server = _Server((host, port), book, health)
        threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def leave_to_parent(self) -> None:
        """Let go of what a forked process inherited; its parent serves."""
        self._server.socket.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], book: Book, health: Callable[[], Health]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.book = book
        self.health = health

    def server_bind(self) -> None:
        """Bind, without the look-up of names that http.server does on the way."""
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "restora", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """One line, where http.server would print a traceback."""
        logger.warning("a request for health or metrics was cut short", exc_info=logger.isEnabledFor(logging.DEBUG))


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = ASKING_TIMEOUT_S
    server_version, sys_version = "restora", ""

    def do_GET(self) -> None:
        """``/metrics`` and ``/healthz``."""
        if self.path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.book.as_text(), CONTENT_TYPE_LATEST)
        elif self.path == "/healthz":
            is_well, text = self.server.health()
            status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, text.encode() + b"\n", "text/plain; charset=utf-8")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"/metrics or /healthz\n", "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of http.server
        """Not a line for every question."""
