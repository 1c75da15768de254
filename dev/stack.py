"""Redis, workers and the bot as real processes, for the demo, the tests and ``make run``."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from dev.redis_server import RedisServer
from tasks.store import JobStore, connect

REPOSITORY = Path(__file__).resolve().parent.parent
WORKER_START_TIMEOUT_S = 180.0
BOT_START_TIMEOUT_S = 60.0
CELERY_WORKER = ("-m", "celery", "-A", "tasks.app", "worker")


class ProcessDiedError(Exception):
    """A process ended before it was ready; the message has the end of its log."""


class Process:
    """One child process with a log file, ended by its pid."""

    def __init__(self, name: str, arguments: tuple[str, ...], *, env: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.name = name
        self.log = log
        self._arguments = (sys.executable, *arguments)
        self._env = {**os.environ, **env, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._popen.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._popen.poll() if self._popen else None

    def start(self) -> None:
        """Start it; its output goes to the log."""
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                self._arguments,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends the parent, which then ends its children in the right order
            )

    def stop(self, timeout_s: float = 30.0) -> int:
        """Ask it to end, and make it end after ``timeout_s``; tells its exit status."""
        if self._popen is None:
            return 0
        if self._popen.poll() is None:
            self._popen.terminate()
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it with SIGKILL."""
        if self._popen is None:
            return 0
        self._popen.kill()
        return self._popen.wait()

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until ``ready()``.

        Raises:
            ProcessDiedError: the process ended or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.exit_status is not None or time.monotonic() > deadline:
                raise ProcessDiedError(f"the {self.name} did not get ready:\n{self.last_words()}")
            time.sleep(0.05)

    def last_words(self) -> str:
        """What the log says about its end: the line meant for people, else the last ones."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        meant = [
            line[line.index("restora ") :] for line in lines if f"restora {self.name.rstrip('0123456789')}: " in line
        ]
        return meant[-1] if meant else "\n".join([*lines[-15:], f"(the whole log: {self.log})"])


class Stack:
    """Everything but Telegram. Logs and Redis's files are in ``folder``; processes end with the block.

    ``cwd`` is where the processes look for ``.env``; ``folder``, which has none, unless it is given.
    """

    def __init__(
        self, folder: Path, *, token: str, api_url: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._cwd = cwd or folder
        self.redis = RedisServer(folder / "redis")
        self._env = {
            "BOT_TOKEN": token,
            "TELEGRAM_API_URL": api_url,
            "REDIS_URL": self.redis.url,
            "REMAP_SIGTERM": "SIGQUIT",  # a worker that is stopped hands its job back after a moment
            "WORKER_SOFT_SHUTDOWN_S": "1",
            **({} if cwd else {"WEIGHTS_DIR": str(REPOSITORY / "weights")}),
            **(env or {}),
        }
        self._ending = ExitStack()

    async def __aenter__(self) -> Self:
        # In a thread, on the way in as on the way out: the emulator may live in this event loop, and processes that
        # are ending still talk to it.
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._ending.close)

    def _open(self) -> None:
        self.redis.start()
        self._ending.callback(self.redis.stop)
        self.store = JobStore(connect(self.redis.url), secret=self._env["BOT_TOKEN"])
        self._ending.callback(self.store.redis.close)
        self.store.redis.delete("restora:bot", "restora:workers")  # signs of life of an earlier run

    def start_bot(self, name: str = "bot", **env: str) -> Process:
        """Start the bot; it is ready when the emulator sees it polling."""
        return self._start(name, ("-m", "bot"), env)

    def start_worker(self, name: str = "worker", *options: str, **env: str) -> Process:
        """Start a worker, with options of ``celery worker``; see :meth:`workers_are_ready`."""
        return self._start(name, (*CELERY_WORKER, "-n", f"{name}@%h", *options), env)

    async def bot_is_ready(self, bot: Process) -> None:
        """Wait until Telegram answers the bot's polling.

        Raises:
            ProcessDiedError: it ended, or is not ready in time.
        """
        await asyncio.to_thread(bot.wait_until, self.store.bot_is_alive, timeout_s=BOT_START_TIMEOUT_S)

    async def workers_are_ready(self, *workers: Process) -> None:
        """Wait until all of these have their models loaded.

        Raises:
            ProcessDiedError: one ended, or is not ready in time.
        """
        for worker in workers:
            await asyncio.to_thread(
                worker.wait_until,
                lambda: len(self.store.workers()) >= len(workers),
                timeout_s=WORKER_START_TIMEOUT_S,
            )

    def _start(self, name: str, arguments: tuple[str, ...], env: Mapping[str, str]) -> Process:
        log = self.folder / f"{name}.log"
        process = Process(name, arguments, env={**self._env, **env}, log=log, cwd=self._cwd)
        process.start()
        self._ending.callback(process.stop)
        return process
