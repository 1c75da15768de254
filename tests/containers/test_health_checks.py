"""``python -m tasks.health``, which the images call, against a real Redis."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dev.redis_server import RedisServer, free_port
from tasks.messages import WorkerCard
from tasks.store import JobStore
from tests.containers.files import REPOSITORY

TOKEN = "123456789:AAof-nobody_at_Telegram_000000000000"
Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(redis_server: RedisServer, tmp_path: Path) -> Check:
    """Runs the check in a process of its own; gives its exit status and what it says."""

    def run(process: str, *, redis_url: str = redis_server.url) -> tuple[int, str]:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "BOT_TOKEN": TOKEN, "REDIS_URL": redis_url}
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
