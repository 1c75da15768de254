"""Breaking things, and noting what was broken when."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import psutil
import redis
from redis import RedisError

from dev.chaos.script import Fault, Script, Settings
from dev.chaos.town import Place, Town
from emulator import (
    BadGateway,
    Blocked,
    Emulator,
    FileTooBig,
    Hang,
    MessageGone,
    Reset,
    ResetAfter,
    ResetDuringUpload,
    RetryAfter,
    ServerError,
    Slow,
)
from emulator.faults import Fault as TelegramFault
from tasks.messages import Job, JobState

AIMS_FOR_S = 1.5  # how long an aimed fault waits for a job in the state it wants
LOOKS_EVERY_S = 0.02
HITS_BEGINNERS = 0.1  # the share of faults that a worker may meet while it still loads its models
SIMPLE_FAULTS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (BadGateway, Blocked, FileTooBig, Hang, MessageGone, Reset, ResetAfter, ResetDuringUpload, ServerError)
}


@dataclass(kw_only=True)
class Broken:
    """A fault as it really happened; times in seconds since the epoch."""

    name: str
    planned_s: float
    at: float
    until: float = 0.0
    target: str = ""
    jobs: list[str] = field(default_factory=list)  # that were in the target's hands
    skipped: str = ""  # why it did not happen


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A job whose worker was taken away, to be watched until it is claimed again."""

    job_id: str
    attempt: int
    at: float
    fault: str


class Breaker:
    """Does what a script wants broken."""

    def __init__(self, settings: Settings, town: Town, telegram: Emulator) -> None:
        self.broken: list[Broken] = []
        self.losses: list[Loss] = []
        self.enough = asyncio.Event()  # set when too few pictures are left to meet a fault
        self._lease_s = settings.lease_s
        self._town = town
        self._telegram = telegram
        self._redis_in_use = asyncio.Lock()
        self._ways: dict[str, Callable[[Fault, Broken], Awaitable[None]]] = {
            "child killed": self._kill_child,
            "worker killed": self._kill_worker,
            "worker killed in delivery": self._kill_worker,
            "all workers killed": self._kill_all_workers,
            "worker told to end": self._stop_worker,
            "worker frozen": self._freeze_worker,
            "child frozen": self._freeze_child,
            "worker's parent frozen": self._freeze_parent,
            "bot killed": self._kill_bot,
            "bot told to end": self._stop_bot,
            "redis stopped": self._restart_redis,
            "redis killed": self._restart_redis,
            "redis connections cut": self._cut_connections,
            "redis frozen": self._freeze_redis,
        }

    async def play(self, script: Script, began: float) -> None:
        """Break everything at its time, counted from ``began`` on the monotonic clock, until nothing is left to do."""
        async with asyncio.TaskGroup() as breaking:
            for fault in script.faults:
                await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
                if self.enough.is_set():
                    return
                breaking.create_task(self._break(fault))

    async def _break(self, fault: Fault) -> None:
        note = Broken(name=fault.name, planned_s=fault.at_s, at=time.time())
        self.broken.append(note)
        await self._ways.get(fault.name, self._telegram_misbehaves)(fault, note)
        note.until = time.time()

    async def _telegram_misbehaves(self, fault: Fault, note: Broken) -> None:
        names = fault.name.removeprefix("telegram ")
        note.target = str(fault.options["method"])
        if names.startswith("MessageGone, then"):
            self._telegram.misbehaves("editMessageMedia", MessageGone())
            self._telegram.misbehaves("sendDocument", ResetAfter())
            return
        kind, times = names.split()[0], int(fault.options["times"])
        misbehaviour = _misbehaviour(kind, float(fault.options.get("seconds", 0.0)))
        self._telegram.misbehaves(note.target, misbehaviour, times=times)

    # Workers

    async def _kill_child(self, fault: Fault, note: Broken) -> None:
        place, held = await self._aim(fault, note)
        child = place.child() if place else None
        if child is None:
            note.skipped = note.skipped or "it was about to start another one"
            return
        note.at = time.time()
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
        self._lost(held, note)

    async def _kill_worker(self, fault: Fault, note: Broken) -> None:
        place, held = await self._aim(fault, note)
        if place is not None:
            note.at = time.time()
            await self._town.kill(place)
            self._lost(held, note)

    async def _kill_all_workers(self, _: Fault, note: Broken) -> None:
        if not await self._town.ready_workers():
            note.skipped = "no worker was ready"
            return
        held = await self._town.held_jobs()
        note.target, note.at = "all", time.time()
        await asyncio.gather(*(self._town.kill(place) for place in self._town.workers if not place.leaving))
        self._lost([job for jobs in held.values() for job in jobs], note)

    async def _stop_worker(self, fault: Fault, note: Broken) -> None:
        place, _ = await self._aim(fault, note)
        if place is not None:
            status = await self._town.stop(place)
            note.target += f", exit status {status}"

    async def _freeze_worker(self, fault: Fault, note: Broken) -> None:
        place, held = await self._aim(fault, note)
        if place is not None:
            note.at = time.time()
            self._lost(held, note)
            await self._town.freeze(place, place.family(), self._lease_s * fault.options["for_leases"])

    async def _freeze_child(self, fault: Fault, note: Broken) -> None:
        place, held = await self._aim(fault, note)
        child = place.child() if place else None
        if place is not None and child is not None:
            note.at = time.time()
            self._lost(held, note)
            await self._town.freeze(place, [child], self._lease_s * fault.options["for_leases"])

    async def _freeze_parent(self, fault: Fault, note: Broken) -> None:
        place, _ = await self._aim(fault, note)
        if place is not None:
            await self._town.freeze(place, place.family()[:1], self._lease_s * fault.options["for_leases"])

    async def _aim(self, fault: Fault, note: Broken) -> tuple[Place | None, list[Job]]:
        """The worker a fault is for: an aimed one wants a worker with a job in hand, and waits a little for one."""
        wanted = {JobState(fault.options["stage"])} if "stage" in fault.options else {JobState.RUNNING}
        aimed = fault.options.get("aimed", False) or "stage" in fault.options
        deadline = time.monotonic() + AIMS_FOR_S
        while aimed and time.monotonic() < deadline:
            held = await self._town.held_jobs()
            busy = [
                place
                for place in self._town.workers
                if place.is_up and any(job.state in wanted for job in held.get(place.name, ()))
            ]
            if busy:
                return self._chosen(busy, held, fault, note)
            await asyncio.sleep(LOOKS_EVERY_S)
        if fault.draw < HITS_BEGINNERS:
            ready = [place for place in self._town.workers if place.is_up]
        else:  # a slow machine would otherwise do nothing but start workers
            ready = await self._town.ready_workers()
        if not ready:
            note.skipped = "no worker was ready"
            return None, []
        return self._chosen(ready, await self._town.held_jobs(), fault, note)

    def _chosen(
        self, places: list[Place], held: dict[str, list[Job]], fault: Fault, note: Broken
    ) -> tuple[Place, list[Job]]:
        place = places[int(fault.draw * len(places))]
        jobs = held.get(place.name, [])
        note.target, note.jobs = place.process.name, [job.id for job in jobs]
        return place, jobs

    def _lost(self, jobs: Iterable[Job], note: Broken) -> None:
        self.losses += [Loss(job_id=job.id, attempt=job.attempt, at=note.at, fault=note.name) for job in jobs]

    # The bot

    async def _kill_bot(self, _: Fault, note: Broken) -> None:
        await self._leave_bot(note, self._town.kill)

    async def _stop_bot(self, _: Fault, note: Broken) -> None:
        await self._leave_bot(note, self._town.stop)

    async def _leave_bot(self, note: Broken, end: Callable[[Place], Awaitable[object]]) -> None:
        if self._town.bot.is_up:
            note.target = self._town.bot.process.name
            await end(self._town.bot)
        else:
            note.skipped = "the bot was not up"

    # Redis

    async def _restart_redis(self, fault: Fault, note: Broken) -> None:
        server = self._town.stack.redis
        async with self._redis_in_use:
            note.at = time.time()
            await asyncio.to_thread(server.kill if fault.name == "redis killed" else server.stop)
            await asyncio.sleep(fault.options["for_s"])
            await asyncio.to_thread(server.start)

    async def _cut_connections(self, _: Fault, note: Broken) -> None:
        async with self._redis_in_use:
            note.at = time.time()
            note.target = await asyncio.to_thread(_cut, self._town.stack.redis.port)

    async def _freeze_redis(self, fault: Fault, note: Broken) -> None:
        async with self._redis_in_use:
            note.at = time.time()
            await asyncio.to_thread(self._town.stack.redis.suspend)
            await asyncio.sleep(fault.options["for_s"])
            await asyncio.to_thread(self._town.stack.redis.resume)


def _misbehaviour(kind: str, seconds: float) -> TelegramFault:
    if kind == "RetryAfter":
        return RetryAfter(round(seconds))
    return Slow(seconds) if kind == "Slow" else SIMPLE_FAULTS[kind]()


def _cut(port: int) -> str:
    """Cut all connections of clients."""
    with redis.Redis(port=port, socket_timeout=2.0) as client:
        try:
            return f"{client.execute_command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')} connections"
        except RedisError as error:
            return f"not sure how many: {type(error).__name__}"
