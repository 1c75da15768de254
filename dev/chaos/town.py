"""The processes of a run, each started again when it ended, as containers are."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from redis import RedisError

from dev.chaos.script import Settings
from dev.stack import Process, Stack
from tasks.messages import Job
from tasks.store import JobStore

RESTART_AFTER_S = 1.0
LOOK_EVERY_S = 0.1
STOP_TIMEOUT_S = 20.0  # what docker compose would give it, before SIGKILL


@dataclass
class Place:
    """A worker or the bot: one process at a time, which may be away or frozen."""

    name: str
    start: Callable[[str], Process]
    process: Process
    starts: int = 1
    gone_since: float | None = None  # monotonic
    frozen: bool = False
    leaving: bool = False  # somebody is stopping it

    @property
    def is_up(self) -> bool:
        """Whether it runs and nobody is busy with it."""
        return self.process.exit_status is None and not self.frozen and not self.leaving

    def family(self) -> list[psutil.Process]:
        """The process and all it started, itself first; empty when it is gone."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def child(self) -> psutil.Process | None:
        """Of a worker, the process that restores."""
        pid = self.process.pid
        list_of_linux = Path(f"/proc/{pid}/task/{pid}/children")
        try:
            if list_of_linux.is_file():  # psutil looks at every process of the machine, and this is asked all the time
                children = list_of_linux.read_text().split()
                return psutil.Process(int(children[0])) if children else None
            return next(iter(psutil.Process(pid).children()), None)
        except (OSError, psutil.NoSuchProcess):
            return None


class Town:
    """All places, and the loop that fills those that are empty."""

    def __init__(self, stack: Stack, settings: Settings) -> None:
        self.stack = stack
        self.bot = _open("bot", stack.start_bot)
        self.workers = [self._worker(number) for number in range(settings.workers)]
        self.ended_by_themselves: list[str] = []  # of which nobody had asked it
        self.wanted_dead: set[int] = set()  # pids

    @property
    def places(self) -> list[Place]:
        """The bot and the workers."""
        return [self.bot, *self.workers]

    @property
    def store(self) -> JobStore:
        """The job store of this town."""
        return self.stack.store

    def _worker(self, number: int) -> Place:
        folder = self.stack.folder / f"tmp{number}"
        folder.mkdir(exist_ok=True)
        # A folder of its own also means a lock of its own on the processor: as on machines of their own.
        return _open(f"worker{number}", lambda name: self.stack.start_worker(name, TMPDIR=str(folder)))

    async def supervise(self) -> None:
        """Start again what has ended, until cancelled."""
        while True:
            for place in self.places:
                self._look_after(place)
            await asyncio.sleep(LOOK_EVERY_S)

    def _look_after(self, place: Place) -> None:
        if place.process.exit_status is None or place.leaving:
            return
        now = time.monotonic()
        if place.gone_since is None:
            place.gone_since = now
            if place.process.pid not in self.wanted_dead:
                self.ended_by_themselves.append(f"{place.process.name} with status {place.process.exit_status}")
        elif now - place.gone_since >= RESTART_AFTER_S:
            place.starts += 1
            place.process = place.start(f"{place.name}-{place.starts}")
            place.gone_since, place.frozen = None, False

    async def kill(self, place: Place) -> None:
        """End a place with SIGKILL."""
        self.wanted_dead.add(place.process.pid)
        await asyncio.to_thread(place.process.kill)

    async def stop(self, place: Place) -> int:
        """End a place as a deploy does; tells the exit status."""
        self.wanted_dead.add(place.process.pid)
        place.leaving = True
        try:
            return await asyncio.to_thread(place.process.stop, STOP_TIMEOUT_S)
        finally:
            place.leaving = False

    async def freeze(self, place: Place, frozen: list[psutil.Process], seconds: float) -> None:
        """Stop some processes of a place for a while (SIGSTOP, SIGCONT)."""
        place.frozen = True
        try:
            for process in frozen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
            await asyncio.sleep(seconds)
        finally:
            for process in frozen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
            place.frozen = False

    async def held_jobs(self) -> dict[str, list[Job]]:
        """The jobs in workers' hands, by the name of the place; empty while Redis does not answer."""
        children = {str(child.pid): place.name for place in self.workers if (child := place.child())}
        try:
            jobs = await asyncio.to_thread(_leased, self.store)
        except RedisError:
            return {}
        held: dict[str, list[Job]] = {}
        for job in jobs:
            name = children.get(job.worker.rpartition(":")[2])
            if name is not None:
                held.setdefault(name, []).append(job)
        return held

    async def ready_workers(self) -> list[Place]:
        """The workers that are up and have their models loaded; none while Redis does not answer."""
        try:
            cards = await asyncio.to_thread(self.store.workers)
        except RedisError:
            return []
        shown = {card.name.rpartition(":")[2] for card in cards}
        return [place for place in self.workers if place.is_up and (it := place.child()) and str(it.pid) in shown]

    async def is_ready(self) -> bool:
        """Whether every process is up and every worker has its models loaded."""
        return self.bot.is_up and len(await self.ready_workers()) == len(self.workers)


def _open(name: str, start: Callable[[str], Process]) -> Place:
    return Place(name, start, start(name))


def _leased(store: JobStore) -> list[Job]:
    names = store.redis.zrange("restora:leases", 0, -1)
    found = (store.get(str(name)) for name in names)
    return [job for job in found if job is not None]
