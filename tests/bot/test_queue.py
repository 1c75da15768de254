"""A Redis that falls silent: what it was asked counts once, and what it does late is found."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer

from bot import queue as module
from bot.__main__ import REDIS_TIMEOUT_S
from bot.outbox import Outbox
from bot.queue import JobQueue, QueueUnavailableError, UnansweredError
from bot.status import Statuses
from bot.texts import BotTexts
from dev.redis_server import running_redis
from emulator import Emulator
from tasks.absence import Absence
from tasks.broker import Doorbell, client_app
from tasks.messages import Accepted, JobState
from tasks.store import JobStore, connect
from tests.tasks.conftest import wish

ANN = 7_100_000_001


@pytest.fixture(scope="module")
def server():
    with running_redis() as server:
        yield server


@pytest.fixture
def hasty(monkeypatch):
    """Everybody's patience is a fraction of what it is."""
    monkeypatch.setattr(module, "PATIENCE_S", 1.2)
    monkeypatch.setattr(module, "LATE_LOOKS_S", (0.0, 0.2, 0.3))
    return 0.3


def opened(server, timeout_s):
    store = JobStore(connect(server.url, timeout_s=timeout_s))
    store.redis.flushdb()
    jobs = JobQueue(
        store,
        Doorbell(client_app(server.url)),
        user_limit=100,
        total_limit=100,
        gpu_queue_from_pixels=10**9,
        absence=Absence(store.redis),
    )
    return store, jobs


@contextmanager
def frozen(server):
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


async def test_who_is_not_answered_for_longer_than_one_call_waits_is_asked_about_a_second_time(server):
    store, jobs = opened(server, REDIS_TIMEOUT_S)
    await jobs.submit(wish(ANN, 1))

    async def wake_up():
        await asyncio.sleep(REDIS_TIMEOUT_S + 0.8)
        os.kill(server.process.pid, signal.SIGCONT)

    with frozen(server):
        waking = asyncio.create_task(wake_up())
        answer = await jobs.submit(wish(ANN, 2))
        await waking
    assert isinstance(answer, Accepted)
    assert len(store.open_jobs(ANN)) == 2


async def test_a_picture_that_was_taken_in_after_its_sender_was_sent_away_is_found_and_rung_for(server, hasty):
    store, jobs = opened(server, hasty)
    await jobs.submit(wish(ANN, 1))
    with frozen(server):
        with pytest.raises(UnansweredError):
            await jobs.submit(wish(ANN, 2))
        hints = asyncio.create_task(asyncio.to_thread(store.hints, "restore"))
        began = time.monotonic()
        with pytest.raises(QueueUnavailableError) as refusal:
            await jobs.submit(wish(ANN, 3))
        assert time.monotonic() - began < hasty  # the next ones need not find out by waiting
        assert not isinstance(refusal.value, UnansweredError)
        late = asyncio.create_task(jobs.submitted_late(wish(ANN, 2)))
        await asyncio.sleep(0.2)
        assert not late.done()
        await asyncio.wait([hints])
        assert hints.exception() is not None
    answer = await late
    assert answer is not None
    assert (answer.job.message_id, answer.job.state, answer.fresh) == (2, JobState.QUEUED, False)
    assert store.hints("restore") == 2
    assert len(store.open_jobs(ANN)) == 2
    assert isinstance(await jobs.submit(wish(ANN, 3)), Accepted)


async def test_a_picture_that_redis_never_heard_of_is_not_handed_in_behind_its_senders_back(server, hasty):
    store, jobs = opened(server, hasty)
    store.redis.connection_pool.disconnect()  # no connection is left that would have what was written to it
    with frozen(server):
        with pytest.raises(UnansweredError):
            await jobs.submit(wish(ANN, 1))
        late = asyncio.create_task(jobs.submitted_late(wish(ANN, 1)))
        await asyncio.sleep(0.1)
    assert await late is None
    assert store.open_jobs(ANN) == []


async def test_a_forgetting_that_redis_did_not_answer_is_finished_with_the_jobs_it_knew_of(server, hasty, monkeypatch):
    store, jobs = opened(server, hasty)
    answer = await jobs.submit(wish(ANN, 1))
    run, met = store._run, []

    def freeze_and_run(*args):
        os.kill(server.process.pid, signal.SIGSTOP)
        return run(*args)

    monkeypatch.setattr(store, "_run", freeze_and_run)
    try:
        with pytest.raises(UnansweredError):
            await jobs.forget(ANN, met=met, said_in=(ANN, 10))
    finally:
        monkeypatch.setattr(store, "_run", run)
        os.kill(server.process.pid, signal.SIGCONT)
    assert [(job.id, job.state) for job in met] == [(answer.job.id, JobState.QUEUED)]
    assert await jobs.forget_late(ANN, met=met, said_in=(ANN, 10)) == met
    assert [job.id for job in met] == [answer.job.id]
    assert store.get(answer.job.id) is None


@pytest.mark.parametrize("running_for_s", [0.0, 600.0])
async def test_jobs_that_were_stopped_by_a_call_whose_answer_got_lost_are_told_by_the_next(
    server, hasty, monkeypatch, running_for_s
):
    store, jobs = opened(server, hasty)
    for number in (1, 2, 3):
        await jobs.submit(wish(ANN, number))
    running, delivering = [store.claim(["restore"], worker="test", lease_s=60) for _ in range(2)]
    store.redis.hincrby(f"restora:job:{running.id}", "started_ms", -601_000)
    store.begin_delivery(delivering, lease_s=60)
    store.cancel(ANN + 1, running.id)  # Redis knows the script
    run, unheard = store._run, []

    def run_unheard(*args):
        monkeypatch.setattr(store, "_run", run)
        unheard.append(args)
        try:
            with frozen(server):
                return run(*args)
        finally:
            while store.get(running.id).state is not JobState.CANCELLED:
                time.sleep(0.01)
            store.finish(store.get(delivering.id), JobState.DONE)

    monkeypatch.setattr(store, "_run", run_unheard)
    met = await jobs.cancel_all(ANN, running_for_s=running_for_s)
    assert len(unheard) == 1
    stopped = {running.id} if running_for_s else {running.id, wish(ANN, 3).job_id}
    assert {one.job.id: one.was for one in met} == dict.fromkeys(stopped, JobState.CANCELLED)
    assert await jobs.cancel_all(ANN, running_for_s=running_for_s) == []


async def test_a_forgetting_that_had_not_begun_is_left_to_who_wants_it(server, hasty):
    store, jobs = opened(server, hasty)
    await jobs.submit(wish(ANN, 1))
    met = []
    with frozen(server), pytest.raises(UnansweredError):
        await jobs.forget(ANN, met=met)
    assert await jobs.forget_late(ANN, met=met) is None
    assert len(store.open_jobs(ANN)) == 1


@asynccontextmanager
async def a_chat(jobs):
    """Somebody's chat with the bot: who changes status messages there, and a message of theirs."""
    async with Emulator.running() as telegram:
        session = AiohttpSession(api=TelegramAPIServer.from_base(telegram.api_url))
        async with Bot(telegram.token, session=session) as bot:
            sent = await telegram.user("Ann").sends_text("/start")
            update, *_ = await bot.get_updates()
            assert update.message.message_id == sent.message_id
            yield Statuses(bot=bot, texts=BotTexts("en"), jobs=jobs, outbox=Outbox()), update.message


async def is_out_after_s(statuses, chat_id):
    """How long the chat's next answer waits."""
    began, is_out = time.monotonic(), asyncio.Event()

    async def answer():
        is_out.set()

    statuses.outbox.post(chat_id, answer)
    await is_out.wait()
    return time.monotonic() - began


async def stopped(store, jobs, picture, *, status_message_id=0):
    """Two jobs of somebody who then stopped them; the later one has that status message."""
    for number in (picture.message_id, picture.message_id + 1):
        await jobs.submit(wish(picture.chat.id, number))
    if status_message_id:
        store.attach_status(wish(picture.chat.id, number).job_id, status_message_id)
    return [one.job for one in await jobs.cancel_all(picture.chat.id)]


async def test_what_redis_does_not_note_of_stopped_pictures_keeps_no_answer_in_their_chat_waiting(server):
    store, jobs = opened(server, 0.2)
    async with a_chat(jobs) as (statuses, picture):
        met = await stopped(store, jobs, picture)
        with frozen(server):
            statuses.post_cancelled(met, chat_id=picture.chat.id, answer=lambda: picture.answer("stopped"))
            assert await is_out_after_s(statuses, picture.chat.id) < 2.0
        await statuses.outbox.drain(5)
    assert [store.get(job.id).told for job in met] == [True, True]


async def test_a_pressed_button_that_redis_does_not_note_keeps_no_answer_in_its_chat_waiting(server):
    store, jobs = opened(server, 0.2)
    async with a_chat(jobs) as (statuses, picture):
        status = await picture.answer("in the queue")
        *_, job = await stopped(store, jobs, picture, status_message_id=status.message_id)
        with frozen(server):
            statuses.outbox.post(job.chat_id, lambda: statuses.show_cancelled(job))
            assert await is_out_after_s(statuses, job.chat_id) < 2.0
        await statuses.outbox.drain(5)
    assert store.get(job.id).told


async def test_a_status_message_that_redis_does_not_note_keeps_no_answer_behind_it_waiting(server):
    store, jobs = opened(server, 0.2)
    async with a_chat(jobs) as (statuses, picture):
        accepted = await jobs.submit(wish(picture.chat.id, picture.message_id))
        with frozen(server):
            statuses.post(picture, accepted)
            assert await is_out_after_s(statuses, picture.chat.id) < 2.0
        await statuses.outbox.drain(5)
    assert store.get(accepted.job.id).status_message_id


BACKGROUND = {
    "status": lambda jobs, job: jobs.attach_status(job, 7),
    "status, late": lambda jobs, job: jobs.attach_status(job, 7, late=True),
    "told, late": lambda jobs, job: jobs.mark_told(job, late=True),
    "tell again": lambda jobs, job: jobs.tell_again(job.user_id),
}


@pytest.mark.parametrize("asks", BACKGROUND.values(), ids=BACKGROUND)
async def test_a_hundred_who_wait_for_a_silent_redis_leave_threads_to_others(server, asks):
    store, jobs = opened(server, 0.5)
    job = (await jobs.submit(wish(ANN, 1))).job
    with frozen(server):
        waiting = [asyncio.create_task(asks(jobs, job)) for _ in range(100)]
        await asyncio.sleep(0.9)  # the first have found out by now
        began = time.monotonic()
        for _ in range(5):
            await asyncio.to_thread(lambda: None)
            await asyncio.sleep(0.1)
        assert time.monotonic() - began < 1.0
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, QueueUnavailableError)]
    assert len(refused) == (100 if asks is BACKGROUND["status"] else 0)
    assert [answer for answer in answers if isinstance(answer, Exception)] == refused
    if asks is BACKGROUND["status, late"]:
        assert store.get(job.id).status_message_id == 7


async def test_who_waits_in_the_background_gives_up_in_the_end(server, monkeypatch):
    _, jobs = opened(server, 0.2)
    job = (await jobs.submit(wish(ANN, 1))).job
    monkeypatch.setattr(module, "STATUS_PATIENCE_S", 1.5)
    with frozen(server):
        began = time.monotonic()
        with pytest.raises(QueueUnavailableError):
            await jobs.attach_status(job, 7, late=True)
        assert 1.0 < time.monotonic() - began < 4.0
