"""A start that cannot work ends in one line that says why and what to do; one that can wait, waits."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from dev.redis_server import RedisServer, free_port
from dev.stack import CELERY_WORKER, REPOSITORY, Stack
from emulator import TOKEN, Emulator
from tests.system.conftest import picture
from tests.tasks.conftest import UNLIMITED, wish

BOT = ("-m", "bot")


def run(arguments, folder, **env):
    clean = {name: value for name, value in os.environ.items() if name not in ("BOT_TOKEN", "REDIS_URL")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(REPOSITORY), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [BOT, CELERY_WORKER])
@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, ["BOT_TOKEN is not set", ".env"]),
        ({"BOT_TOKEN": "hello"}, ["BOT_TOKEN", "@BotFather"]),
        ({"BOT_TOKEN": TOKEN, "REDIS_URL": "http://x"}, ["REDIS_URL", "redis://"]),
        ({"BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": "telegram"}, ["TELEGRAM_API_URL='telegram'", "http"]),
        ({"BOT_TOKEN": TOKEN, "LOG_LEVEL": "loud"}, ["LOG_LEVEL='loud'", "DEBUG"]),
    ],
)
def test_a_bad_setting_stops_the_start_with_one_line_that_names_it(tmp_path, arguments, env, words):
    ended = run(arguments, tmp_path, **env)
    assert ended.returncode == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("restora")]
    assert all(word in line for word in words)
    assert "Traceback" not in ended.stderr
    assert "hello" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JOB_TIMEOUT_S", "0"),
        ("LEASE_S", "never"),
        ("WORKER_THREADS", "-1"),
        ("WORKER_QUEUES", "Up,down"),
        ("MAX_INPUT_PIXELS", "many"),
    ],
)
def test_a_bad_worker_setting_is_named_with_its_value(tmp_path, name, value):
    ended = run(CELERY_WORKER, tmp_path, BOT_TOKEN=TOKEN, **{name: value})
    assert ended.returncode == 1
    assert f"restora worker: {name}='{value}'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_setting_is_read_from_the_env_file(tmp_path):
    (tmp_path / ".env").write_text("BOT_TOKEN=from-the-file\n")
    assert "@BotFather" in run(BOT, tmp_path).stderr


def test_a_missing_weight_says_which_command_fetches_it(tmp_path):
    env = {"WEIGHTS_DIR": str(tmp_path), "WORKER_MODEL": "RealESRGAN_x4plus"}
    ended = run(CELERY_WORKER, tmp_path, BOT_TOKEN=TOKEN, **env)
    assert ended.returncode == 1
    assert "python -m models weights fetch RealESRGAN_x4plus" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unknown_model_is_named(tmp_path):
    ended = run(CELERY_WORKER, tmp_path, BOT_TOKEN=TOKEN, WORKER_MODEL="RealESRGAN_x5")
    assert ended.returncode == 1
    assert "RealESRGAN_x5" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_device_that_is_not_there_ends_the_worker(tmp_path, redis_server, weights):
    env = {"BOT_TOKEN": TOKEN, "REDIS_URL": redis_server.url, "WEIGHTS_DIR": str(REPOSITORY / "weights")}
    ended = run(CELERY_WORKER, tmp_path, **env, WORKER_DEVICE="cuda:7")
    assert "cuda:7" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [BOT, CELERY_WORKER])
async def test_a_token_telegram_does_not_know_ends_the_start(tmp_path, redis_server, arguments):
    async with Emulator.running() as telegram:
        env = {"BOT_TOKEN": "1:" + "x" * 35, "REDIS_URL": redis_server.url, "TELEGRAM_API_URL": telegram.api_url}
        ended = await asyncio.to_thread(run, arguments, tmp_path, **env)
    assert ended.returncode == 1
    assert "does not know this BOT_TOKEN" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_worker_and_a_bot_without_redis_wait_and_connect_when_it_is_there(tmp_path, weights):
    late = RedisServer(tmp_path / "late", port=free_port())
    async with (
        Emulator.running() as telegram,
        Stack(tmp_path, token=telegram.token, api_url=telegram.api_url, env={"REDIS_URL": late.url}) as stack,
    ):
        bot, worker = stack.start_bot(), stack.start_worker()
        await telegram.is_polled(timeout=30)
        user = telegram.user("Early")
        await user.sends_text("/help")
        await user.receives_text(timeout=20)
        await user.sends_photo(picture(16, 16))
        await user.receives_text(containing="again in a minute", timeout=30)
        await user.sends_text("/restart")
        await user.receives_text(containing="again in a minute", timeout=30)
        assert (bot.exit_status, worker.exit_status) == (None, None)
        await asyncio.to_thread(late.start)
        await asyncio.sleep(0.5)  # the bot asks beside the updates whether it is back
        try:
            await user.sends_photo(picture(16, 16))
            await user.receives_document(timeout=60)
        finally:
            await asyncio.to_thread(bot.stop)
            await asyncio.to_thread(worker.stop)
            await asyncio.to_thread(late.stop)


async def test_a_worker_whose_token_is_revoked_ends_and_says_what_to_do(tmp_path, weights):
    async with (
        Emulator.running() as telegram,
        Stack(tmp_path, token=telegram.token, api_url=telegram.api_url, env={"LEASE_S": "2"}) as stack,
    ):
        worker = stack.start_worker()
        await stack.workers_are_ready(worker)
        telegram.state.token = telegram.token + "x"
        theirs = replace(wish(telegram.user("Ann").id, 1), bot_id=telegram.state.bot.id)
        job = stack.store.submit(theirs, **UNLIMITED).job
        stack.store.cancel(job.user_id, job.id)
        stack.store.redis.zadd("restora:untold", {job.id: 1})  # as when a bot died before it could say so
        async with asyncio.timeout(30):
            while worker.exit_status is None:
                await asyncio.sleep(0.05)
        assert "put the token that @BotFather shows into .env" in worker.log.read_text()
        assert stack.store.redis.zscore("restora:untold", job.id) is not None
