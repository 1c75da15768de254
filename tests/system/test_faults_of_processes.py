"""Processes that freeze, die and leave at the worst moment."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from bot.texts import BotTexts
from dev.stack import Process
from emulator import ResetAfter, Slow
from tasks.messages import JobState
from tests.system.conftest import (
    documents_of,
    ended,
    grainy_photo,
    opened,
    picture,
    running_town,
    started,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

en = BotTexts("en")
LONG = (320, 240)  # px; seconds of work even on a quick machine
LITTLE_BYTES = 4 * 2**20


def child_of(worker: Process) -> psutil.Process:
    """The pool's one child, which does the jobs."""
    (child,) = psutil.Process(worker.pid).children()
    return child


def holder_of(worker: str) -> psutil.Process:
    """The child that calls itself so in the books."""
    return psutil.Process(int(worker.rpartition(":")[2]))


async def test_a_hint_that_dies_with_its_worker_costs_time_but_no_picture(frail):
    """A worker that is frozen while it waits for a message takes it along when it is killed."""
    user, (worker,) = frail.telegram.user("Frozen"), frail.workers
    os.kill(worker.pid, signal.SIGSTOP)
    photo = await user.sends_photo(picture(16, 16))
    await user.receives_message()
    worker.kill()  # usually with the hint in its socket; where it was between two questions the hint stays in the list
    frail.start_worker()
    document = await user.receives_document(timeout=60)
    assert document.reply_to is photo
    assert (await frail.job_of(photo)).attempt == 1


async def test_a_worker_that_wakes_up_after_its_lease_brings_no_second_picture(town):
    user = town.telegram.user("Thaw")
    photo = await user.sends_photo(grainy_photo(*LONG))
    first = holder_of((await started(town, photo)).worker)
    first.suspend()
    try:
        async with asyncio.timeout(60):
            while (await town.job_of(photo)).attempt < 2:
                await asyncio.sleep(0.05)
    finally:
        first.resume()
    document = await user.receives_document(timeout=60)
    assert document.reply_to is photo
    await ended(town, photo)
    await user.receives_text(containing=en.ready(), timeout=20)
    await asyncio.sleep(3)  # as long as the first needs to finish what it had begun
    job = await town.job_of(photo)
    assert (job.state, job.attempt, len(documents_of(town, user))) == (JobState.DONE, 2, 1)


async def test_a_worker_killed_after_the_result_arrived_leaves_one_document(frail):
    user, (worker,) = frail.telegram.user("Between"), frail.workers
    frail.telegram.misbehaves("editMessageMedia", ResetAfter(), times=1, chat=user)  # taken, but the answer is lost
    photo = await user.sends_photo(picture(16, 16))
    await user.receives_edit(timeout=30)
    while not documents_of(frail, user):
        await asyncio.sleep(0.01)
    assert (await frail.job_of(photo)).state is JobState.DELIVERING
    worker.kill()
    frail.start_worker()
    async with asyncio.timeout(60):
        while (await frail.job_of(photo)).state is not JobState.DONE:
            await asyncio.sleep(0.05)
    job = await frail.job_of(photo)
    assert (len(documents_of(frail, user)), job.resent, job.attempt) == (1, True, 2)


@contextmanager
def no_more_memory() -> Iterator[Callable[[psutil.Process], object]]:
    """Puts a process where the kernel leaves it what it has, and kills it for the next few MB that it touches.

    Where no such group can be made, as in most containers, the process is killed from here.
    """
    first_version = Path("/sys/fs/cgroup/memory")
    limit = "memory.limit_in_bytes" if first_version.is_dir() else "memory.max"
    group = (first_version if first_version.is_dir() else first_version.parent) / f"restora-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(LITTLE_BYTES))
    except OSError:
        with suppress(OSError):
            group.rmdir()
        yield lambda process: process.kill()
        return
    try:
        yield lambda process: (group / "cgroup.procs").write_text(str(process.pid))
    finally:
        with suppress(OSError):  # somebody in it is not quite gone
            group.rmdir()


async def test_a_picture_that_kills_its_worker_or_takes_all_memory_is_given_up_after_three_attempts(frail):
    victim, other = frail.telegram.user("Poison"), frail.telegram.user("Neighbour")
    poison = await victim.sends_photo(grainy_photo(1280, 960))
    with no_more_memory() as starve:
        for attempt in (1, 2, 3):
            async with asyncio.timeout(60):
                while (job := await frail.job_of(poison)) is None or (job.state, job.attempt) != ("running", attempt):
                    await asyncio.sleep(0.02)
                holder = holder_of(job.worker)
                while attempt > 1 and not job.progress:  # until then nothing big is touched
                    await asyncio.sleep(0.05)
                    job = await frail.job_of(poison)
            if attempt == 1:
                holder.kill()
                harmless = await other.sends_photo(picture(16, 16))
            else:
                starve(holder)
                await asyncio.to_thread(psutil.wait_procs, [holder], 20)
    await victim.receives_text(containing=en.failed("worker_lost"), timeout=60)
    job = await frail.job_of(poison)
    assert (job.state, job.attempt, job.error) == (JobState.FAILED, 3, "worker_lost")
    document = await other.receives_document(timeout=60)
    assert document.reply_to is harmless
    assert documents_of(frail, victim) == []


async def test_a_killed_child_is_replaced_by_exactly_one(frail):
    (worker,) = frail.workers
    before = worker.log.read_text().count("ready:")
    child_of(worker).kill()
    async with asyncio.timeout(60):
        while worker.log.read_text().count("ready:") == before:
            await asyncio.sleep(0.1)
    user = frail.telegram.user("Second")
    await user.sends_photo(picture(16, 16))
    await user.receives_document(timeout=30)
    await asyncio.sleep(5)  # a pool that loses patience with slow starters kills them after four
    assert worker.log.read_text().count("ready:") == before + 1


async def test_a_worker_told_to_leave_delivers_what_is_nearly_done(frail):
    frail.workers[0].stop()
    leaving = frail.start_worker(WORKER_SOFT_SHUTDOWN_S="20")
    await frail.stack.workers_are_ready(leaving)
    user = frail.telegram.user("Nearly")
    photo = await user.sends_photo(grainy_photo(160, 120))
    await started(frail, photo)
    began = time.monotonic()
    status = await asyncio.to_thread(leaving.stop, 45)
    assert status == 0
    assert time.monotonic() - began < 30
    job = await frail.job_of(photo)
    assert (job.state, job.attempt, len(documents_of(frail, user))) == (JobState.DONE, 1, 1)


async def test_a_restart_that_comes_while_the_result_is_sent_is_too_late_and_says_so(town):
    user = town.telegram.user("Late")
    town.telegram.misbehaves("editMessageMedia", Slow(2), times=1, chat=user)
    photo = await user.sends_photo(picture(16, 16))
    async with asyncio.timeout(20):
        while (job := await town.job_of(photo)) is None or job.state is not JobState.DELIVERING:
            await asyncio.sleep(0.01)
    await user.sends_text("/restart")
    await user.receives_text(containing=en.restarted(0, on_their_way=1))
    document = await user.receives_document(timeout=20)
    assert document.reply_to is photo
    await ended(town, photo)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_a_bot_that_dies_over_twenty_pictures_makes_one_job_of_each(frail, end):
    """Telegram gives an update to the next bot as well, unless it was confirmed: after it was written down."""
    users = [frail.telegram.user(f"Sender{number}") for number in range(20)]
    os.kill(frail.bot.pid, signal.SIGSTOP)
    photos = [await user.sends_photo(picture(12, 12, colour=(10 * n, 90, 60))) for n, user in enumerate(users)]
    os.kill(frail.bot.pid, signal.SIGCONT)
    async with asyncio.timeout(20):
        while await frail.job_of(photos[0]) is None:
            await asyncio.sleep(0.001)
    os.kill(frail.bot.pid, end)
    await asyncio.to_thread(frail.bot.stop)
    frail.bot = frail.stack.start_bot()
    for user, photo in zip(users, photos, strict=True):
        document = await user.receives_document(timeout=90)
        assert document.reply_to is photo
    for user in users:
        assert len(documents_of(frail, user)) == 1
        assert opened(documents_of(frail, user)[0].content).size == (48, 48)


async def test_everything_may_restart_over_two_hundred_pictures_and_three_in_work_and_each_comes_back_once(
    tmp_path, weights
):
    async with running_town(tmp_path, workers=3, WORKER_MODEL="restora-compact", WORKER_THREADS="1") as town:
        users = [town.telegram.user(f"Waiting{number}") for number in range(50)]
        photos = {user: [await user.sends_photo(grainy_photo(800, 600))] for user in users[:3]}  # seconds of work
        for (photo,) in photos.values():
            await started(town, photo)
        for user in users:
            photos[user] = [*photos.get(user, ()), *[await user.sends_photo(picture(24, 24)) for _ in range(4)]]
        every = [photo for sent in photos.values() for photo in sent]
        async with asyncio.timeout(30):
            while await town.job_of(every[-1]) is None:
                await asyncio.sleep(0.02)
        for process in [town.bot, *town.workers]:
            process.kill()
        states = Counter([(await town.job_of(photo)).state for photo in every])
        assert states == {JobState.RUNNING: 3, JobState.QUEUED: 200}
        await asyncio.to_thread(town.stack.redis.stop)
        await asyncio.to_thread(town.stack.redis.start)
        town.bot = town.stack.start_bot()
        town.workers = [town.stack.start_worker(f"again{number}") for number in range(3)]
        for user, sent in photos.items():
            documents = await user.receives_documents(len(sent), timeout=180)
            assert sorted(d.reply_to.message_id for d in documents) == sorted(p.message_id for p in sent)
        for photo in every:
            await ended(town, photo)
        assert sum(len(documents_of(town, user)) for user in users) == 203
