"""``python -m tasks.health``, which the images call, against a real Redis."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dev.redis_server import RedisServer, free_port
from tasks.exposition import Book, Endpoint
from tasks.health import Health, worker_health
from tasks.messages import Accepted, WorkerCard
from tasks.store import JobStore
from tests.containers.files import REPOSITORY
from tests.tasks.conftest import wish

TOKEN = "123456789:AAof-nobody_at_Telegram_000000000000"
Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(redis_server: RedisServer, tmp_path: Path) -> Check:
    """Runs the check in a process of its own; gives its exit status and what it says."""

    def run(process: str, *, redis_url: str = redis_server.url, **more: str) -> tuple[int, str]:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "BOT_TOKEN": TOKEN, "REDIS_URL": redis_url}
        env |= more
        command = [sys.executable, "-m", "tasks.health", process]
        finished = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        return finished.returncode, finished.stderr

    return run


def card(name: str) -> WorkerCard:
    return WorkerCard(name=name, queues=("restore",), models=("m",), device="cpu", dtype="float32")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("process", ["bot", "worker"])
def test_a_process_that_has_not_shown_itself_is_unwell(check: Check, process: str) -> None:
    status, said = check(process)
    assert status == 1
    assert said == f"the {process} of {socket.gethostname()} has not shown itself lately\n"


def test_a_bot_that_polls_is_well(check: Check, store: JobStore) -> None:
    store.announce_bot()
    assert check("bot") == (0, "")
    assert check("worker")[0] == 1


def test_a_worker_is_well_when_one_of_its_own_host_shows_itself(check: Check, store: JobStore) -> None:
    store.announce(card(f"elsewhere-{socket.gethostname()}:7"))
    assert check("worker")[0] == 1
    store.announce(card(f"{socket.gethostname()}:8"))
    assert check("worker") == (0, "")


def test_without_redis_a_process_is_unwell_and_the_password_stays_secret(check: Check) -> None:
    status, said = check("worker", redis_url=f"redis://:hush-hush@127.0.0.1:{free_port()}/0")
    assert status == 1
    assert re.fullmatch(r".*[Cc]onnect.*\n", said)
    assert "hush-hush" not in said


@pytest.mark.parametrize(
    ("idle_s", "waited_s", "is_well"), [(0, 100, True), (30, 100, True), (100, 30, True), (100, 100, False)]
)
def test_a_worker_that_sits_idle_before_waiting_jobs_is_deaf(
    store: JobStore, idle_s: float, waited_s: float, is_well: bool
) -> None:
    store.announce(replace(card("host:1"), idle_s=idle_s))
    answer = store.submit(wish(1, 1), user_limit=9, total_limit=9)
    assert isinstance(answer, Accepted)
    store.redis.hincrby(f"restora:job:{answer.job.id}", "since_ms", round(-1000 * waited_s))
    health = worker_health(store, lambda _: True)
    assert health.is_well == is_well
    assert is_well or health.text.endswith(f"has been idle for {idle_s} s while jobs wait in its queues")


def test_one_process_that_takes_jobs_is_enough_for_a_worker(store: JobStore) -> None:
    store.announce(replace(card("host:1"), idle_s=100))
    store.announce(replace(card("host:2"), idle_s=0))
    answer = store.submit(wish(1, 1), user_limit=9, total_limit=9)
    assert isinstance(answer, Accepted)
    store.redis.hincrby(f"restora:job:{answer.job.id}", "since_ms", -100_000)
    assert worker_health(store, lambda _: True).is_well
    assert not worker_health(store, lambda one: one.name == "host:1").is_well
    assert not worker_health(store, lambda one: one.name == "host:3").is_well


@pytest.mark.parametrize("health", [Health(is_well=True, text="well"), Health(is_well=False, text="it is deaf")])
def test_where_a_port_is_set_the_process_itself_is_asked(check: Check, health: Health) -> None:
    port = free_port()
    endpoint = Endpoint("127.0.0.1", port, book=Book(), health=lambda: health)
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    try:
        status, said = check("worker", redis_url=nowhere, METRICS_PORT=str(port), METRICS_HOST="0.0.0.0")
    finally:
        endpoint.close()
    assert (status, said) == ((0, "") if health.is_well else (1, "it is deaf\n"))


def test_a_process_that_does_not_answer_at_its_port_is_unwell(check: Check) -> None:
    port = free_port()
    status, said = check("bot", METRICS_PORT=str(port))
    assert status == 1
    assert re.fullmatch(rf"no answer at METRICS_PORT={port}: .*refused\n", said)
