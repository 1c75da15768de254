"""A real worker, watched from outside, and what becomes of one that hangs or keeps too much memory."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import time
from dataclasses import dataclass

import psutil
import pytest
import pytest_asyncio

from bot.texts import BotTexts
from dev.redis_server import free_port
from dev.stack import Process, Stack
from emulator import Emulator, RetryAfter, Slow
from tasks.broker import DEFAULT_QUEUE, Doorbell, client_app
from tasks.logs import job_name, name_jobs_with
from tasks.messages import JobState, job_id
from tests.system.conftest import BOT_ID, picture
from tests.system.discretion import marks_of
from tests.system.doctored import GREEDY, HANGS, IMPATIENT, JOB_TIMEOUT_S, LEAKS, TOLD_AT_LENGTH
from tests.system.test_faults import decoding_process
from tests.tasks.test_metrics import samples

pytestmark = pytest.mark.asyncio(loop_scope="session")

en = BotTexts("en")


@dataclass
class Watched:
    telegram: Emulator
    stack: Stack
    worker: Process
    port: int
    bot: Process | None = None

    async def asked(self, path):
        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()

        return await asyncio.to_thread(ask)

    async def metrics(self):
        return samples((await self.asked("/metrics"))[1])

    async def restores(self, user, width=16):
        """Send a picture and wait for its result; how long that took, in seconds."""
        began = time.monotonic()
        photo = await user.sends_document("holiday in Rome.png", content=picture(width, 12))
        document = await user.receives_document(timeout=60)
        assert document.reply_to is photo
        return time.monotonic() - began

    async def job_of(self, message):
        return self.stack.store.get(job_id(BOT_ID, message.chat.id, message.message_id))

    @property
    def children(self):
        return [child.pid for child in psutil.Process(self.worker.pid).children()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    async with (
        Emulator.running() as telegram,
        Stack(folder, token=telegram.token, api_url=telegram.api_url, env={"LEASE_S": "3"}) as stack,
    ):
        port = free_port()
        worker = stack.start_worker(
            "worker",
            *("-I", "tests.system.doctored"),
            WORKER_MODEL="restora-compact",
            WORKER_MEMORY="600m",
            FACES="0",
            JOB_TIMEOUT_S=f"{JOB_TIMEOUT_S:g}",
            METRICS_PORT=str(port),
            LOG_FORMAT="json",
            LOG_LEVEL="DEBUG",
        )
        town = Watched(telegram, stack, worker, port)
        status, said = await _first_answer(town)  # while the models are being loaded
        assert (status, "has not shown itself lately" in said) == (503, True)
        town.bot = stack.start_bot(LOG_LEVEL="DEBUG")
        await telegram.user("Early").sends_text("/help")  # else its first question is answered after ten seconds
        await stack.bot_is_ready(town.bot)
        await stack.workers_are_ready(worker)
        yield town


async def _first_answer(town):
    async with asyncio.timeout(60):
        while True:
            try:
                return await town.asked("/healthz")
            except OSError:
                await asyncio.sleep(0.05)


async def test_a_worker_tells_what_it_does(watched):
    user = watched.telegram.user("Ann")
    assert await watched.asked("/healthz") == (200, "well")
    watched.telegram.misbehaves("editMessageMedia", RetryAfter(1), times=1, chat=user)
    await watched.restores(user)
    async with asyncio.timeout(10):
        last = ("restora_job_stage_seconds_count", ("stage", "job"))  # of what is counted at the end of a job
        while last not in (found := await watched.metrics()):
            await asyncio.sleep(0.05)
    assert found["restora_worker_jobs_total", ("end", "done")] == 1
    for stage in ("fetch", "device", "decode", "plan", "upscale", "colours", "faces", "encode", "deliver", "job"):
        assert found["restora_job_stage_seconds_count", ("stage", stage)] == 1
    assert found["restora_job_stage_seconds_sum", ("stage", "deliver")] > 1  # the silence Telegram asked for
    assert found["restora_telegram_errors_total", ("kind", "busy"), ("method", "editMessageMedia")] == 1
    assert found["restora_job_waiting_seconds_count",] == 1
    assert found["restora_pictures_restored_total", ("model", "restora-compact")] == 1
    assert found["restora_worker_starts_total",] == 1
    assert [key for key in found if key[0] == "restora_model_loaded"] == [
        ("restora_model_loaded", ("device", "cpu"), ("dtype", found_dtype(found)), ("model", "restora-compact"))
    ]
    memory = {
        process: found["restora_memory_bytes", ("process", process)] for process in ("parent", "child", "decoder")
    }
    assert 20e6 < memory["parent"] < 150e6  # free of torch
    assert memory["parent"] < memory["child"] < 2e9
    assert memory["decoder"] > 10e6


def found_dtype(found):
    (dtype,) = (dict(key[1:])["dtype"] for key in found if key[0] == "restora_model_loaded")
    return dtype


async def test_the_time_from_a_cancellation_to_a_free_worker_is_measured(watched):
    user = watched.telegram.user("Cay")
    watched.telegram.misbehaves("getFile", Slow(1.5), times=1, chat=user)
    photo = await user.sends_document("a.png", content=picture(16, 12))
    await user.receives_text(containing="Got it")
    async with asyncio.timeout(20):
        while (await watched.job_of(photo)).state is not JobState.RUNNING:
            await asyncio.sleep(0.02)
    await user.clicks(en.cancel_button())
    async with asyncio.timeout(10):
        while not (found := await watched.metrics()).get(("restora_cancel_seconds_count",)):
            await asyncio.sleep(0.05)
    assert 0 < found["restora_cancel_seconds_sum",] < 5
    assert found["restora_worker_jobs_total", ("end", "cancelled")] == 1


async def test_a_decoder_that_hangs_fails_its_job_and_nothing_else(watched):
    user = watched.telegram.user("Dee")
    await watched.restores(user)
    os.kill(decoding_process(watched.worker).pid, signal.SIGSTOP)
    photo = await user.sends_document("a.png", content=picture(IMPATIENT, 12))
    await user.receives_text(containing=en.failed("image_too_complex"), timeout=30)
    assert ((await watched.job_of(photo)).error, (await watched.job_of(photo)).attempt) == ("image_too_complex", 1)
    await watched.restores(user)


async def test_a_worker_that_keeps_too_much_memory_is_replaced_between_two_pictures(watched):
    user = watched.telegram.user("Mem")
    await watched.restores(user)
    before, (child,) = await watched.metrics(), watched.children
    await watched.restores(user, LEAKS)  # which is delivered all the same
    assert (await watched.asked("/metrics"))[0] == 200
    photos = [await user.sends_document("a.png", content=picture(16, 12)) for _ in range(3)]
    documents = await user.receives_documents(3, timeout=60)
    assert {document.reply_to.message_id for document in documents} == {photo.message_id for photo in photos}
    assert [(await watched.job_of(photo)).attempt for photo in photos] == [1, 1, 1]
    assert watched.children != [child]
    async with asyncio.timeout(10):
        done = "restora_worker_jobs_total", ("end", "done")
        while (after := await watched.metrics()).get(done, 0) < before.get(done, 0) + 4:
            await asyncio.sleep(0.05)
    assert after["restora_worker_recycled_total",] == 1
    assert after["restora_worker_starts_total",] == 2
    assert "keeps " in watched.worker.log.read_text()
    assert await watched.asked("/healthz") == (200, "well")


async def test_a_picture_for_which_there_is_no_memory_is_given_up_after_three_attempts_and_holds_nobody_up(watched):
    user, other = watched.telegram.user("Gus"), watched.telegram.user("Nina")
    await watched.restores(other)  # after which the process that decodes is there
    children = watched.children
    photo = await user.sends_document("a.png", content=picture(GREEDY, 1200))
    took_s = await watched.restores(other)
    await user.receives_text(containing=en.failed("out_of_memory"), timeout=30)
    job = await watched.job_of(photo)
    assert (job.state, job.error, job.attempt) == (JobState.FAILED, "out_of_memory", 3)
    assert took_s < 20
    await watched.restores(user)  # and is taken by the same process
    assert watched.children == children
    assert watched.worker.log.read_text().count("the device failed: out of memory") == 3


async def test_a_hang_in_native_code_ends_at_the_hard_limit_and_the_worker_lives(watched):
    user = watched.telegram.user("Hal")
    (child,) = watched.children
    photo = await user.sends_document("a.png", content=picture(HANGS, 12))
    await user.receives_text(containing=en.failed("timeout"), timeout=60)
    job = await watched.job_of(photo)
    assert (job.state, job.error, job.attempt) == (JobState.FAILED, "timeout", 1)
    await watched.restores(user)
    assert watched.children != [child]
    told = [message for message in user.chat.messages if message.from_bot and message.text == en.failed("timeout")]
    assert len(told) == 1


async def test_the_logs_name_the_jobs_and_nobody_even_in_every_detail(watched):
    jobs = [watched.stack.store.get(key.split(":", 2)[2]) for key in watched.stack.store.redis.keys("restora:job:*")]
    secrets = {watched.telegram.token.partition(":")[2], "holiday", "Rome"}
    for job in jobs:
        secrets |= {job.id, str(job.user_id)}
    files = [mark.decode() for what, mark in marks_of(watched.telegram) if what == "a file's id"]
    assert len(files) >= len(jobs)
    secrets.update(files)
    name_jobs_with(watched.telegram.token)
    names = {job_name(job.id) for job in jobs}
    name_jobs_with("")
    assert len(jobs) >= 8
    for process in (watched.bot, watched.worker):
        log = process.log.read_text()
        assert [secret for secret in secrets if secret in log] == []
        assert [name for name in names if name not in log] == []


async def test_a_worker_ends_when_told_to_though_its_child_has_much_to_say_of_a_failure(watched):
    redis = watched.stack.store.redis
    redis.set(TOLD_AT_LENGTH, "")
    with client_app(watched.stack.redis.url) as app:
        Doorbell(app).ring(DEFAULT_QUEUE)
    async with asyncio.timeout(10):
        while redis.exists(TOLD_AT_LENGTH):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # by now the worker knows that the hint is being seen to
    assert await asyncio.to_thread(watched.worker.stop, 15) != -signal.SIGKILL  # the child fails meanwhile
    assert "once upon a time" in watched.worker.log.read_text()
