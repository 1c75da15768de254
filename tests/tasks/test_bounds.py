"""A long queue and many large results: what Redis and a worker take for them, and that they leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dev.redis_server import running_redis
from tasks.kept import KEPT_BYTES
from tasks.messages import JobState
from tasks.store import JobStore, connect
from tests.conftest import REPOSITORY
from tests.tasks.conftest import UNLIMITED, wish
from tests.tasks.large_results import MARK, RESULT_BYTES
from tests.traces import everything_in

TOKEN = "9:" + "a" * 35
QUEUED, LARGE = 1000, 200
BUSY = range(1, 11)  # chats that want silence: their results are kept for a while
MB = 1_000_000


class Sink(BaseHTTPRequestHandler):
    """A Telegram that takes everything and keeps nothing of it, since 4 GB would be much for a test."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        left = size = int(self.headers["Content-Length"])
        head = b""
        while left:
            part = self.rfile.read(min(left, 1 << 20))
            head = head or part[:2000]
            left -= len(part)
        if b'name="chat_id"' in head and size > RESULT_BYTES:
            chat = int(head.partition(b'name="chat_id"')[2].split(b"\r\n")[2])
            if chat in BUSY:
                self._answer({"ok": False, "error_code": 429, "parameters": {"retry_after": 600}}, status=429)
                return
            self.server.brought[chat] = self.server.brought.get(chat, 0) + size
        self._answer({"ok": True, "result": {"file_path": "photos/1.jpg", "message_id": 1}})

    def do_GET(self) -> None:
        self._answer({"a": "picture"})

    def _answer(self, said, status=200):
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def sink():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.daemon_threads = True
    server.brought = {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def redis_server(tmp_path):
    with running_redis(tmp_path / "redis") as server:
        yield server


def used(redis):
    return redis.info("memory")["used_memory"]


def test_a_thousand_waiting_jobs_and_200_results_of_20_megabytes_keep_within_bounds(redis_server, tmp_path):
    store = JobStore(connect(redis_server.url), secret=TOKEN)
    empty = used(store.redis)
    for user in range(1, QUEUED + 1):
        queue = "restore" if user <= LARGE else "gpu"
        job = store.submit(wish(user, 1, queue=queue), **UNLIMITED).job
        store.attach_status(job.id, 2)
    full = used(store.redis)
    assert full - empty < 4 * MB
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with sink() as telegram:
        arguments = [redis_server.url, f"http://127.0.0.1:{telegram.server_port}", TOKEN, str(tmp_path)]
        worker = subprocess.run(
            [sys.executable, "-m", "tests.tasks.large_results", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        )
    kept, most, in_use = zip(*(map(int, line.split()) for line in worker.stdout.splitlines()), strict=True)
    assert len(kept) == LARGE + 1  # before the first, and after each
    assert sorted(telegram.brought) == [user for user in range(1, LARGE + 1) if user not in BUSY]
    assert all(RESULT_BYTES < size < RESULT_BYTES + 10_000 for size in telegram.brought.values())
    states = [store.get(f"9:{user}:1").state for user in range(1, LARGE + 1)]
    assert states == [JobState.QUEUED if user in BUSY else JobState.DONE for user in range(1, LARGE + 1)]
    assert store.redis.info("memory")["used_memory_peak"] - full < 2 * MB
    assert kept[-1] - kept[0] < KEPT_BYTES + 3 * RESULT_BYTES
    assert most[-1] - kept[0] < KEPT_BYTES + 6 * RESULT_BYTES  # one is there three times while it is being sent
    # What is not in use is freed, though the allocator holds some of it: how much, and when, is its own affair.
    assert max(in_use) < KEPT_BYTES + MB
    assert max(in_use[-50:]) < max(in_use[10:60]) + MB  # a two hundredth of each that is never freed would be 14 MB
    assert [key for key, value in everything_in(store.redis) if MARK.decode() in value] == []
    files = [path for path in (tmp_path / "redis").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 8 * MB
    assert [path for path in files if MARK in path.read_bytes()] == []
    assert [path for path in temporary.rglob("*") if path.is_file()] == []
    store.redis.close()
