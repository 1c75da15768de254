"""The whole way on real parts: bot, workers with Real-ESRGAN's own weights, Redis; only Telegram is emulated."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import psutil
import pytest
import pytest_asyncio
from PIL import Image
from redis import RedisError

from dev.drawings import worn_photo
from dev.stack import REPOSITORY, Process, Stack
from emulator import TOKEN, Emulator
from tasks.messages import JobState, job_id
from tests.system.discretion import give_everybody_a_rare_name, indiscretions

LEASE_S = 3.0
# The everyday model would be done before anything could be broken: people who wait for the best model are meant here.
SLOW = {"LEASE_S": str(LEASE_S), "PATIENCE_S": "300"}
TALKATIVE = {"LOG_LEVEL": "DEBUG"}  # so that every log has its chance to say too much
BOT_ID = int(TOKEN.partition(":")[0])


@dataclass
class Town:
    """Everything that runs."""

    telegram: Emulator
    stack: Stack
    bot: Process
    workers: list[Process] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def start_worker(self, **env: str) -> Process:
        """One more, under a name and with a log of its own."""
        self.workers.append(self.stack.start_worker(f"worker{next(self._numbers)}", **env))
        return self.workers[-1]

    async def job_of(self, message):
        return self.stack.store.get(job_id(BOT_ID, message.chat.id, message.message_id))

    def log(self) -> str:
        return "".join(process.log.read_text() for process in [self.bot, *self.workers])


def of_its_own(folder) -> dict[str, str]:
    """The environment of a town, whose workers take turns with each other only and not with those of another one."""
    return {**SLOW, **TALKATIVE, "TMPDIR": str(folder)}


@asynccontextmanager
async def running_town(folder, *, workers: int = 1, **env: str) -> AsyncIterator[Town]:
    async with (
        Emulator.running() as telegram,
        Stack(folder, token=telegram.token, api_url=telegram.api_url, env=of_its_own(folder) | env) as stack,
    ):
        give_everybody_a_rare_name(telegram)
        town = Town(telegram, stack, stack.start_bot())
        for _ in range(workers):
            town.start_worker()
        await stack.workers_are_ready(*town.workers)
        await telegram.is_polled(timeout=30)
        yield town
        assert indiscretions(town) == []


@pytest.fixture(scope="session")
def weights() -> None:
    if not (REPOSITORY / "weights" / "RealESRGAN_x4plus.safetensors").is_file():
        pytest.skip("needs RealESRGAN_x4plus: python -m models weights fetch RealESRGAN_x4plus")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def town(tmp_path_factory, weights) -> AsyncIterator[Town]:
    """Two workers that live through the whole session."""
    async with running_town(tmp_path_factory.mktemp("town"), workers=2, WORKER_THREADS="1") as town:
        yield town


class FrailTown:
    """A town of one worker for tests that break something; the next test has it too if it has got over that."""

    def __init__(self, make_folder) -> None:
        self._make_folder = make_folder
        self._running: AsyncExitStack | None = None
        self._town: Town | None = None

    async def open(self) -> Town:
        """The town, all processes running and nothing to do."""
        if self._town is None:
            self._running = AsyncExitStack()
            self._town = await self._running.enter_async_context(running_town(self._make_folder("frail")))
        return self._town

    async def close(self) -> None:
        """End it; the next test gets a new one."""
        running, self._running, self._town = self._running, None, None
        if running is not None:
            await running.aclose()


def is_sound(town: Town) -> bool:
    """Whether bot, Redis and one worker with one child live, and there is nothing left to do."""
    redis = town.stack.store.redis
    town.workers = [worker for worker in town.workers if worker.exit_status is None]
    children = [psutil.Process(worker.pid).children() for worker in town.workers]
    left = redis.exists("restora:aside", "restora:leases", "restora:untold") or int(redis.get("restora:queued") or 0)
    return [len(them) for them in children] == [1] and town.bot.exit_status is None and not left


async def comes_round(town: Town) -> bool:
    """Whether it is sound within the moment that the last job needs to be put away."""
    try:
        for _ in range(40):
            if is_sound(town):
                return True
            if town.bot.exit_status is not None or not town.workers:
                return False
            await asyncio.sleep(0.05)
    except (psutil.Error, RedisError):
        pass
    return False


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def frail_town(tmp_path_factory, weights) -> AsyncIterator[FrailTown]:
    """What keeps it between the tests."""
    kept = FrailTown(tmp_path_factory.mktemp)
    yield kept
    await kept.close()


@pytest_asyncio.fixture(loop_scope="session")
async def frail(request, frail_town) -> AsyncIterator[Town]:
    """One worker, for tests that break something. Whatever a restart mends is mended for the next test, too."""
    failed = request.session.testsfailed
    town = await frail_town.open()
    yield town
    town.telegram.behaves()
    if request.session.testsfailed > failed or not await comes_round(town):
        await frail_town.close()


def picture(width: int, height: int, colour=(120, 90, 60), *, file_format: str = "PNG", mode: str = "RGB") -> bytes:
    """Soft stripes in one colour, so that a result can be told from that of another picture."""
    image = Image.new(mode, (width, height), colour)
    for x in range(0, width, 7):
        image.paste(
            tuple(min(255, c + 25) for c in colour) if isinstance(colour, tuple) else colour, (x, 0, x + 2, height)
        )
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def grainy_photo(width: int, height: int) -> bytes:
    """What the planner takes for a photograph, and gives to the model that works longest."""
    return worn_photo(width, height)


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def mean_colour(content: bytes) -> tuple[float, ...]:
    small = opened(content).convert("RGB").resize((1, 1), Image.Resampling.BOX)
    return small.getpixel((0, 0))


async def in_time(seconds: float, began: float) -> None:
    assert time.monotonic() - began < seconds, f"took {time.monotonic() - began:.1f} s"


async def started(town, message):
    """Wait until a worker holds the job."""
    async with asyncio.timeout(30):
        while (job := await town.job_of(message)) is None or job.state is not JobState.RUNNING:
            await asyncio.sleep(0.02)
    return job


async def ended(town, message):
    """Wait until the books say that the job is done; its document is there a moment before."""
    async with asyncio.timeout(30):
        while (await town.job_of(message)).state is not JobState.DONE:
            await asyncio.sleep(0.02)


def documents_of(town, user):
    """How many documents the bot brought into a chat, by sending or by editing."""
    return [message for message in user.chat.messages if message.from_bot and message.kind == "document"]
