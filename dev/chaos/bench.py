"""One run from beginning to end."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from redis import RedisError

from dev.chaos.account import Account, draw_account
from dev.chaos.breaking import Breaker
from dev.chaos.evidence import Evidence
from dev.chaos.people import People
from dev.chaos.report import Report
from dev.chaos.script import Settings, write_script
from dev.chaos.timings import freed_at, watch_losses
from dev.chaos.town import Town
from dev.stack import Stack
from emulator import TOKEN, Emulator
from tasks.logs import name_jobs_with
from tasks.messages import FINAL_STATES

LOOK_EVERY_S = 1.0
SHOW_EVERY_S = 3.0  # reading all records takes a good part of a second of somebody's processor
ENOUGH = 0.95  # the share of pictures that have ended when nothing more is broken
QUIET_S = 4.0  # the account has to hold for so long: what comes twice may come late
ROLL_CALL_S = 180.0  # a deaf worker ends after two minutes: it is reported only if not even that helps
ROLL_CALL_EVERY_S = 0.5
OVER_S = 60.0
READY_TIMEOUT_S = 180.0

Show = Callable[[int, str], None]


def _environment(settings: Settings) -> dict[str, str]:
    """Settings with which a run takes minutes; all else is as people have it."""
    return {
        "LEASE_S": str(settings.lease_s),
        "WORKER_MODEL": "restora-compact",
        "WORKER_DEVICE": "cpu",
        "WORKER_THREADS": "1",
        "FACES": "0",
        "WORKER_SOFT_SHUTDOWN_S": "2",
        "JOB_TIMEOUT_S": "120",
    }


async def run(settings: Settings, folder: Path, *, show: Show = lambda _ended, _doing: None) -> Report:
    """Play a whole run.

    Args:
        settings: what is asked for.
        folder: for logs and Redis's files; emptied first.
        show: told now and then how many jobs have ended, and what is going on.

    Raises:
        ProcessDiedError: a process did not even start.
    """
    shutil.rmtree(folder, ignore_errors=True)
    script = write_script(settings)
    name_jobs_with(TOKEN)  # as the logs do that are read in the end
    async with (
        Emulator.running() as telegram,
        Stack(folder, token=telegram.token, api_url=telegram.api_url, env=_environment(settings)) as stack,
    ):
        town = Town(stack, settings)
        show(0, "waiting for the workers")
        await stack.workers_are_ready(*(place.process for place in town.workers))
        await telegram.is_polled(timeout=READY_TIMEOUT_S)
        people, breaker = People(settings, telegram, stack.store), Breaker(settings, town, telegram)
        began, clock = time.time(), time.monotonic()
        watching = asyncio.create_task(watch_losses(breaker, stack.store))
        async with _beside(town.supervise(), _keep_showing(settings, people, breaker, show)):
            await asyncio.gather(people.play(script, clock), breaker.play(script, clock))
            lasted_s = time.monotonic() - clock
            telegram.behaves()
            await _settle(settings, people, town, show)
            settled_s = time.monotonic() - clock - lasted_s
            deaf = await _call_the_roll(people, town, settings.jobs)
            roll_call_s = time.monotonic() - clock - lasted_s - settled_s
            evidence, account = await _judge(people)
        watching.cancel()
        return Report(
            settings=settings,
            began=began,
            lasted_s=lasted_s,
            settled_s=settled_s,
            roll_call_s=roll_call_s,
            evidence=evidence,
            account=account,
            broken=tuple(breaker.broken),
            recoveries=tuple(await watching),
            freed=await asyncio.to_thread(freed_at, folder),
            restarts={place.name: place.starts - 1 for place in town.places},
            ended_by_themselves=tuple(town.ended_by_themselves),
            deaf=tuple(deaf),
            not_done=people.memory.not_done,
        )


@contextlib.asynccontextmanager
async def _beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let these go on for as long as the block lasts; an error of theirs ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _keep_showing(settings: Settings, people: People, breaker: Breaker, show: Show) -> None:
    while True:
        with contextlib.suppress(RedisError):
            jobs = await people.jobs()
            ended = sum(job.state in FINAL_STATES for job in jobs.values())
            latest = next((note.name for note in reversed(breaker.broken)), "")
            show(ended, f"{len(breaker.broken)} faults, {latest}")
            # Of those that were taken in: while Redis is away many a picture is refused.
            if len(people.memory.sent) >= settings.jobs and ended >= ENOUGH * len(jobs):
                breaker.enough.set()
        await asyncio.sleep(SHOW_EVERY_S)


async def _judge(people: People) -> tuple[Evidence, Account]:
    evidence = await people.evidence()
    return evidence, draw_account(evidence)


async def _settle(settings: Settings, people: People, town: Town, show: Show) -> None:
    """Wait until the account holds and goes on holding, or the time for it is over."""
    deadline = time.monotonic() + settings.settle_s
    held_since: float | None = None
    while time.monotonic() < deadline:
        with contextlib.suppress(RedisError):
            _, account = await _judge(people)
            show(len(account.verdicts) - len(account.broken), f"settling, {len(account.broken)} open")
            if not account.holds or not await town.is_ready():
                held_since = None
            elif held_since is None:
                held_since = time.monotonic()
            elif time.monotonic() - held_since > QUIET_S:
                return
        await asyncio.sleep(LOOK_EVERY_S)


async def _call_the_roll(people: People, town: Town, number: int) -> list[str]:
    """Send pictures until every worker has taken one; those that do not are deaf, alive though they look."""
    missing = {place.name: place for place in town.workers}
    first, deadline = number, time.monotonic() + ROLL_CALL_S
    while missing and time.monotonic() < deadline:
        await people.roll_call(number)
        number += 1
        await asyncio.sleep(ROLL_CALL_EVERY_S)
        with contextlib.suppress(RedisError):
            jobs = await people.jobs()
            busy = {job.worker.rpartition(":")[2] for which, job in jobs.items() if which >= first}
            for name in [name for name, place in missing.items() if (it := place.child()) and str(it.pid) in busy]:
                del missing[name]
    await _until_over(people, time.monotonic() + OVER_S)
    return sorted(missing)


async def _until_over(people: People, deadline: float) -> None:
    while time.monotonic() < deadline:
        with contextlib.suppress(RedisError):
            _, account = await _judge(people)
            if account.holds:
                return
        await asyncio.sleep(LOOK_EVERY_S)
