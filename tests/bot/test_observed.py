"""The bot as its owner and the machines that watch it see it: /stats, /metrics, /healthz and the log."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from aiogram.methods import GetMe, GetUpdates
from PIL import Image

from bot.heartbeat import Heartbeat
from bot.stats import StatsTexts
from bot.texts import BotTexts
from dev.redis_server import free_port
from dev.stack import Process, Stack
from emulator import TOKEN, Blocked, Emulator, Person, RetryAfter
from tasks.logs import job_name, name_jobs_with
from tasks.messages import JobState, WorkerCard, job_id
from tasks.stats import Ends, Now, Spread
from tests.tasks.test_metrics import samples

pytestmark = pytest.mark.asyncio(loop_scope="session")

en, ru = BotTexts("en"), BotTexts("ru")
CARD = WorkerCard(
    name="host:7", queues=("restore",), models=("restora-compact",), device="cpu", dtype="bfloat16", idle_s=3.0
)


@dataclass(frozen=True)
class Watched:
    telegram: Emulator
    stack: Stack
    bot: Process
    owner: Person
    port: int

    async def asked(self, path):
        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

        return await asyncio.to_thread(ask)

    async def metrics(self):
        return samples((await self.asked("/metrics"))[1])

    def events(self):
        return [json.loads(line) for line in self.bot.log.read_text().splitlines()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(tmp_path_factory):
    async with (
        Emulator.running() as telegram,
        Stack(tmp_path_factory.mktemp("watched"), token=telegram.token, api_url=telegram.api_url) as stack,
    ):
        owner, port = telegram.user("Olga", language_code="ru"), free_port()
        bot = stack.start_bot(
            OWNER_ID=str(owner.id),
            METRICS_PORT=str(port),
            LOG_FORMAT="json",
            LOG_LEVEL="DEBUG",
            MAX_OPEN_JOBS_PER_USER="2",
        )
        await owner.sends_text("/help")  # else its first question for updates is answered after ten seconds
        await stack.bot_is_ready(bot)
        yield Watched(telegram, stack, bot, owner, port)


def jpeg():
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


async def test_a_polling_bot_is_well(watched):
    assert await watched.asked("/healthz") == (200, "well\n")


async def test_the_owner_is_told_how_everything_goes_in_their_language(watched):
    store = watched.stack.store
    store.announce(CARD)
    user = watched.telegram.user("Ann")
    for _ in range(2):
        await user.sends_photo(jpeg())
        await user.receives_text(containing="Got it")
    store.finish(store.claim(("restore",), worker="host:7", lease_s=60), JobState.FAILED, error="damaged_image")
    store.finish(store.claim(("restore",), worker="host:7", lease_s=60), JobState.DONE)
    await user.sends_photo(jpeg())
    await user.receives_text(containing="Got it")
    await watched.owner.sends_text("/stats")
    told = (await watched.owner.receives_text(containing="обработчик")).text
    for line in (
        "🛠 1 обработчик",
        "• restore: restora-compact; cpu bfloat16; свободен 3 с",
        "⏳ Ждут: gpu 0, restore 1; отложены: 0; в работе: 0",
        "За час: готово 1, неудач 1, отменено 0",
        "За сутки: готово 1, неудач 1, отменено 0",
        "Неудачи, за сутки: damaged_image 1",
    ):
        assert line in told.splitlines()
    assert "Redis: " in told
    await user.sends_text("/restart")
    await user.receives_text(containing="Stopped 1 picture")


async def test_to_everybody_else_stats_is_no_command(watched):
    user = watched.telegram.user("Nosy")
    await user.sends_text("/stats")
    await user.receives_text(containing=en.refusal("unknown_command"))


async def test_without_an_owner_stats_is_no_command_for_anybody(world):
    user = world.telegram.user("Any")
    await user.sends_text("/stats")
    await user.receives_text(containing=en.refusal("unknown_command"))


async def test_in_a_group_the_owner_is_not_answered_before_everybody(watched):
    other = watched.telegram.user("Other")
    group = watched.telegram.group("Friends", [watched.owner, other])
    await watched.owner.at(group).sends_text("/stats")
    await other.sends_text("/help")
    await other.receives_text(containing=en.help()[:20])
    await asyncio.sleep(0.3)
    assert [message for message in group.messages if message.from_bot] == []


async def test_metrics_tell_of_updates_pictures_errors_and_the_queue(watched):
    before = await watched.metrics()
    user, gone = watched.telegram.user("Max"), watched.telegram.user("Gone")
    watched.telegram.misbehaves("sendMessage", RetryAfter(1), times=1, chat=user)
    for _ in range(3):
        await user.sends_photo(jpeg())
    await user.receives_text(containing=en.user_limit(2), timeout=15)
    await user.sends_text("hello")
    await user.receives_text(containing=en.refusal("text"))
    watched.telegram.misbehaves("sendMessage", Blocked(), times=1, chat=gone)
    await gone.sends_text("/help")
    closed = "restora_telegram_errors_total", ("kind", "closed"), ("method", "sendMessage")
    async with asyncio.timeout(10):
        while closed not in (after := await watched.metrics()):
            await asyncio.sleep(0.05)

    def grown(*key):
        return after.get(key, 0) - before.get(key, 0)

    assert grown("restora_updates_total", ("kind", "message")) == 5
    assert grown("restora_pictures_submitted_total", ("answer", "fresh")) == 2
    assert grown("restora_pictures_submitted_total", ("answer", "user_limit")) == 1
    assert grown("restora_messages_refused_total", ("reason", "text")) == 1
    assert grown("restora_telegram_errors_total", ("kind", "busy"), ("method", "sendMessage")) == 1
    assert grown("restora_telegram_retry_after_seconds_count") == 1
    assert grown("restora_queue_jobs", ("queue", "restore")) == 2
    assert after["restora_redis_up",] == 1
    assert 0 <= after["restora_last_poll_seconds",] < 60
    assert 30e6 < after["restora_memory_bytes", ("process", "bot")] < 200e6
    assert after["restora_redis_memory_bytes",] > 100_000
    await user.sends_text("/restart")
    await user.receives_text(containing="Stopped 2 pictures")
    later = await watched.metrics()
    cancelled = "restora_jobs_total", ("outcome", "cancelled"), ("reason", "")
    assert later[cancelled] - after.get(cancelled, 0) == 2
    assert later["restora_queue_jobs", ("queue", "restore")] == 0


async def test_every_line_about_a_picture_names_its_job_and_nobody(watched):
    user = watched.telegram.user("Zoë Unmistakable", username="zoe_unmistakable")
    document = await user.sends_document("my secret diary.png", content=jpeg())
    status = await user.receives_text(containing="Got it")
    await user.clicks(en.cancel_button())
    await user.sees(status, containing=en.cancelled())
    the_id = job_id(int(TOKEN.partition(":")[0]), user.id, document.message_id)
    name_jobs_with(TOKEN)
    lines = [event for event in watched.events() if event.get("job") == job_name(the_id)]
    name_jobs_with("")
    assert [event["event"].partition(",")[0] for event in lines if event["logger"] == "bot.queue"] == [
        "accepted",
        "asked to cancel",
    ]
    assert (lines[0]["kind"], lines[0]["fresh"], lines[0]["place"]) == ("document", True, 1)
    log = watched.bot.log.read_text()
    secrets = [TOKEN.partition(":")[2], str(user.id), "Unmistakable", "zoe_unmistakable", "secret diary", "Zoë"]
    assert [secret for secret in secrets if secret in log] == []


async def test_a_port_that_is_taken_stops_the_start_with_one_line(watched, tmp_path):
    stack = watched.stack
    second = Process(
        "bot", ("-m", "bot"), env={**stack._env, "METRICS_PORT": str(watched.port)}, log=tmp_path / "log", cwd=tmp_path
    )
    second.start()
    async with asyncio.timeout(30):
        while second.exit_status is None:
            await asyncio.sleep(0.05)
    assert second.log.read_text().splitlines()[-1] == (
        f"restora bot: METRICS_PORT={watched.port}: Address already in use"
    )
    assert second.exit_status == 1


async def test_a_bot_is_unwell_until_telegram_answers_and_redis_listens(store):
    heartbeat = Heartbeat(store)

    async def answers(*_):
        return None

    assert heartbeat.health() == (False, "Telegram has not answered the polling yet")
    await heartbeat(answers, None, GetMe())
    assert not heartbeat.health().is_well
    await heartbeat(answers, None, GetUpdates())
    assert heartbeat.health() == (False, "Redis does not take what the bot writes")
    beating = asyncio.create_task(heartbeat.beat())
    async with asyncio.timeout(5):
        while not heartbeat.health().is_well:
            await asyncio.sleep(0.01)
    beating.cancel()


async def test_the_answer_fits_into_a_message_however_many_workers_there_are():
    cards = tuple(replace(CARD, name=f"host:{number}", models=("m" * 30,) * 4) for number in range(200))
    none = Spread(median_s=None, p95_s=None)
    ends = Ends(done=0, failed=0, cancelled=0, failures=(("code", 1),) * 50, waiting=none, working=none)
    now = Now(workers=cards, waiting={}, aside=0, held=0, memory_bytes=None, memory_limit_bytes=None)
    assert len(StatsTexts("ru").stats(now, hour=ends, day=ends)) < 4096
    assert "No worker" in StatsTexts("en").stats(replace(now, workers=()), hour=ends, day=ends)
