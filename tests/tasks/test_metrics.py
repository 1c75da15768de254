"""Figures find their way from a worker's children to its parent, and from there to whoever asks."""

from __future__ import annotations

import errno
import http.client
import os
import re
import signal
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev.redis_server import free_port
from tasks import metrics
from tasks.exposition import Book, Endpoint, Figure
from tasks.health import Health
from tasks.metrics import LOOKED_UP, NOTED, Pipe
from tests.conftest import REPOSITORY

# As a worker's parent does it; Python 3.12 and later warn of it whatever the child does.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def samples(text):
    """Every line of an exposition, as ``{(name, labels): value}``; the labels sorted."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of_book(book):
    return samples(book.as_text().decode())


@pytest.fixture
def book():
    book = Book()
    metrics.send_to(book.note)
    yield book
    metrics.send_to(metrics._nowhere)


def test_a_figure_goes_nowhere_until_somebody_wants_it():
    metrics.count("restora_updates", kind="message")


def test_counts_add_up_and_values_fall_into_their_buckets(book):
    for _ in range(3):
        metrics.count("restora_updates", kind="message")
    metrics.count("restora_updates", kind="callback_query")
    metrics.observe("restora_job_stage_seconds", 0.3, stage="fetch")
    metrics.observe("restora_job_stage_seconds", 30.0, stage="fetch")
    found = of_book(book)
    assert found["restora_updates_total", ("kind", "message")] == 3
    assert found["restora_updates_total", ("kind", "callback_query")] == 1
    assert found["restora_job_stage_seconds_bucket", ("le", "0.25"), ("stage", "fetch")] == 0
    assert found["restora_job_stage_seconds_bucket", ("le", "0.5"), ("stage", "fetch")] == 1
    assert found["restora_job_stage_seconds_sum", ("stage", "fetch")] == pytest.approx(30.3)


@pytest.mark.parametrize(
    "figure", [("no_such", 1.0, {}), ("restora_updates", 1.0, {}), ("restora_updates", 1.0, {"who": "me"})]
)
def test_a_figure_that_is_in_no_table_harms_nobody(book, caplog, figure):
    name, value, labels = figure
    book.note("add", name, value, labels)
    assert f"a figure of {name} makes no sense" in caplog.text


def test_what_is_looked_up_is_looked_up_anew_each_time(book):
    waiting = iter([3.0, 5.0])
    book.look_up(lambda: [Figure("restora_queue_jobs", next(waiting), ("restore",))])
    assert of_book(book)["restora_queue_jobs", ("queue", "restore")] == 3
    assert of_book(book)["restora_queue_jobs", ("queue", "restore")] == 5


def eventually(holds, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def forked(work):
    """A process that does ``work`` and ends; its id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


@forks
def test_figures_of_several_processes_add_up_and_outlive_them(book):
    pipe = Pipe()
    each = 400

    os.set_blocking(pipe._writing, True)  # here none may be lost, however slow the parent is

    def work():
        for _ in range(each):
            pipe.write("add", "restora_worker_jobs", 1.0, {"end": "done"})

    children = [forked(work) for _ in range(4)]
    pipe.pump(book.note)
    for child in children:
        os.waitpid(child, 0)
    eventually(lambda: of_book(book).get(("restora_worker_jobs_total", ("end", "done"))) == 4 * each)


@forks
def test_a_child_that_is_killed_while_it_writes_spoils_nothing(book):
    pipe = Pipe()
    pipe.pump(book.note)

    def work():
        while True:
            pipe.write("observe", "restora_job_waiting_seconds", 1.0, {})

    for _ in range(5):
        child = forked(work)
        time.sleep(0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    pipe.write("add", "restora_worker_jobs", 1.0, {"end": "last"})
    eventually(lambda: ("restora_worker_jobs_total", ("end", "last")) in of_book(book))
    assert of_book(book)["restora_job_waiting_seconds_count",] > 0


def test_a_child_whose_parent_does_not_read_loses_figures_and_no_time():
    pipe = Pipe()
    began = time.monotonic()
    for _ in range(20_000):
        pipe.write("observe", "restora_job_waiting_seconds", 1.0, {})
    assert time.monotonic() - began < 10


def test_nonsense_in_the_pipe_is_skipped(book, caplog):
    pipe = Pipe()
    os.write(pipe._writing, b'nonsense\n["add"]\n["add", "restora_updates", "x", {}]\n')
    pipe.write("add", "restora_updates", 1.0, {"kind": "message"})
    pipe.pump(book.note)
    eventually(lambda: ("restora_updates_total", ("kind", "message")) in of_book(book))
    assert caplog.text.count("makes no sense") == 3


@pytest.fixture
def served(book):
    """Asks a served book: ``served(path)`` gives status and body; ``served.health`` is what is said."""

    class Served:
        health = Health(is_well=True, text="well")

        def __call__(self, path, method="GET"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read().decode()
            connection.close()
            return answer.status, body

    port, served = free_port(), Served()
    endpoint = Endpoint("127.0.0.1", port, book=book, health=lambda: served.health)
    yield served
    endpoint.close()


def test_health_and_metrics_are_served_and_nothing_else(served):
    metrics.count("restora_updates", kind="message")
    status, body = served("/metrics")
    assert (status, samples(body)["restora_updates_total", ("kind", "message")]) == (200, 1)
    assert served("/healthz") == (200, "well\n")
    served.health = Health(is_well=False, text="deaf")
    assert served("/healthz") == (503, "deaf\n")
    assert {served(path)[0] for path in ("/", "/metrics/../etc/passwd", "/healthz?x=1", "//")} == {404}
    assert served("/metrics", "POST")[0] == 501


def test_a_port_that_is_taken_is_an_error_at_once(book):
    port = free_port()
    first = Endpoint("127.0.0.1", port, book=book, health=lambda: Health(is_well=True, text=""))
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number says which
        Endpoint("127.0.0.1", port, book=book, health=lambda: Health(is_well=True, text=""))
    assert caught.value.errno == errno.EADDRINUSE
    first.close()


def test_labels_are_few_and_short(book):
    assert max(len(metric.labels) for metric in (*NOTED.values(), *LOOKED_UP.values())) <= 3
    metrics.count("restora_pictures_restored", model="m" * 500)
    assert "m" * 65 not in book.as_text().decode()


def test_every_metric_is_in_the_manual_with_its_labels_and_nothing_else_is():
    manual = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    rows = re.findall(r"^\| `(restora_\w+)` \| (\w+) \| ([^|]*) \|", manual, re.MULTILINE)
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    served = {
        name + ("_total" if metric.kind == "counter" else ""): (metric.kind, metric.labels)
        for name, metric in {**NOTED, **LOOKED_UP}.items()
    }
    assert told == served


def test_every_figure_in_the_code_is_in_the_table():
    named = {}
    for folder in ("bot", "tasks"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            calls = re.findall(r'(?:metrics\.(?:count|observe)|Figure)\(\s*"(\w+)"', path.read_text("utf-8"))
            named.update(dict.fromkeys(calls, path.name))
    assert set(named) == set(NOTED) | set(LOOKED_UP)
