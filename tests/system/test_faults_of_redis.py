"""Redis that is cut off, frozen or full."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psutil
import pytest

from bot.texts import BotTexts
from emulator import RetryAfter
from tasks.broker import DEFAULT_QUEUE, Doorbell, client_app
from tasks.messages import JobState
from tests.system.conftest import documents_of, ended, grainy_photo, in_time, picture, running_town, started

pytestmark = pytest.mark.asyncio(loop_scope="session")

en = BotTexts("en")
LONG = (320, 240)


async def test_connections_of_everybody_may_be_cut_in_mid_job(tmp_path, weights):
    async with running_town(tmp_path, workers=2, WORKER_THREADS="1") as town:
        user = town.telegram.user("Cut")
        photos = [await user.sends_photo(grainy_photo(*LONG)) for _ in range(2)]
        await started(town, photos[0])
        town.stack.store.redis.client_kill_filter(_type="normal", skipme=True)
        documents = await user.receives_documents(2, timeout=90)
        assert {document.reply_to.message_id for document in documents} == {photo.message_id for photo in photos}
        for photo in photos:
            await ended(town, photo)
        assert len(documents_of(town, user)) == 2


async def test_redis_may_be_away_for_longer_than_the_job(frail):
    user = frail.telegram.user("Away")
    photo = await user.sends_photo(grainy_photo(160, 120))
    await started(frail, photo)
    await asyncio.to_thread(frail.stack.redis.stop)
    await asyncio.sleep(20)
    await asyncio.to_thread(frail.stack.redis.start)
    back = time.monotonic()
    await user.receives_document(timeout=60)
    await ended(frail, photo)
    again = await user.sends_photo(picture(16, 16))
    document = await user.receives_document(timeout=45)
    assert document.reply_to is again
    await in_time(35, back)  # Celery's pauses between two tries grow
    assert len(documents_of(frail, user)) == 2


async def takes_a_hint(town):
    """Have the worker take a hint that its child does not answer to before the child, which is returned, is resumed."""
    (child,) = psutil.Process(town.workers[0].pid).children()
    redis = town.stack.store.redis
    async with asyncio.timeout(20):
        while True:
            child.suspend()
            others = redis.hkeys("unacked")  # lost ones among them
            with client_app(town.stack.redis.url) as app:
                Doorbell(app).ring(DEFAULT_QUEUE)
            for _ in range(100):
                if set(redis.hkeys("unacked")) - set(others):
                    return child
                await asyncio.sleep(0.02)
            child.resume()  # it was not through with the hint before
            await asyncio.sleep(0.5)


async def test_a_worker_with_a_hint_in_hand_outlives_the_loss_of_redis_and_ends_in_the_next_one_when_told(frail):
    redis, worker = frail.stack.redis, frail.workers[0]
    child = await takes_a_hint(frail)
    redis.kill()
    child.resume()
    async with asyncio.timeout(30):
        while "a hint came to nothing" not in worker.log.read_text():  # it could not even ask for a job
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)  # in which its parent wants to acknowledge the hint
    await asyncio.to_thread(redis.start)
    user = frail.telegram.user("Heard")
    await user.sends_photo(picture(16, 16))
    await user.receives_document(timeout=30)  # long before a worker ends that does not hear of work

    child = await takes_a_hint(frail)
    redis.kill()
    await asyncio.sleep(2.5)  # Celery's heartbeats would come every two seconds
    child.resume()
    try:
        assert await asyncio.to_thread(worker.stop, 15) != -signal.SIGKILL
    finally:
        await asyncio.to_thread(redis.start)


async def test_a_worker_started_without_flags_neither_listens_for_other_workers_nor_speaks_to_them(frail):
    redis = frail.stack.store.redis
    assert (redis.pubsub_channels("*"), redis.pubsub_numpat()) == ([], 0)  # gossip listens to a pattern
    with redis.pubsub(ignore_subscribe_messages=True) as heard:
        heard.psubscribe("*")
        deadline = time.monotonic() + 3  # heartbeats come every two seconds
        said = []
        while (left_s := deadline - time.monotonic()) > 0:
            if (message := await asyncio.to_thread(heard.get_message, timeout=left_s)) is not None:
                said.append(message["channel"])
    assert said == []


async def test_a_frozen_redis_is_said_and_nothing_comes_twice(frail):
    first, second = frail.telegram.user("Ice"), frail.telegram.user("Snow")
    server = frail.stack.redis.process
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await first.sends_photo(picture(16, 16))
        await first.receives_text(containing=en.try_again(), timeout=15)
        await second.sends_text("/help")
        await second.receives_text(containing="/restart", timeout=6)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await asyncio.sleep(0.5)  # until the bot has seen it
    photo = await second.sends_photo(picture(16, 16))
    document = await second.receives_document(timeout=60)
    assert document.reply_to is photo
    assert len(documents_of(frail, second)) == 1
    assert len(documents_of(frail, first)) <= 1  # asked to send it again; what Redis took late is done all the same


async def test_a_picture_is_told_or_taken_though_its_bot_dies_before_it_could_refuse(frail):
    user, server = frail.telegram.user("Owed"), frail.stack.redis.process
    frail.telegram.misbehaves("sendMessage", RetryAfter(8), chat=user)
    said = len(frail.bot.log.read_text())
    os.kill(server.pid, signal.SIGSTOP)
    try:
        photo = await user.sends_photo(picture(16, 16))
        async with asyncio.timeout(20):
            while "came to nothing" not in frail.bot.log.read_text()[said:]:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # in which the bot would have asked for the next updates
        frail.bot.kill()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    frail.bot = frail.stack.start_bot()
    document = await user.receives_document(timeout=60)
    assert document.reply_to is photo


async def test_a_full_redis_refuses_new_pictures_and_loses_none_it_took(frail):
    user, late = frail.telegram.user("Full"), frail.telegram.user("Refused")
    taken = await user.sends_photo(grainy_photo(*LONG))
    await started(frail, taken)
    redis = frail.stack.store.redis
    redis.config_set("maxmemory", "1")
    try:
        await late.sends_photo(picture(16, 16))
        await late.receives_text(containing=en.try_again(), timeout=20)
        await user.receives_document(timeout=60)
    finally:
        redis.config_set("maxmemory", "0")
    await ended(frail, taken)
    photo = await late.sends_photo(picture(16, 16))
    async with asyncio.timeout(90):
        while (job := await frail.job_of(photo)) is None or job.state is not JobState.DONE:
            if frail.workers[-1].exit_status is not None:  # Celery may give up there; a container starts it again
                frail.start_worker()
            await asyncio.sleep(0.05)
    assert len(documents_of(frail, late)) == 1
