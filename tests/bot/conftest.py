"""A real bot process in front of a real Redis and the emulator; no worker, so that jobs stay where they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio

from dev.stack import Process, Stack
from emulator import Emulator


@dataclass(frozen=True)
class World:
    telegram: Emulator
    stack: Stack
    bot: Process


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("bot")
    async with (
        Emulator.running() as telegram,
        Stack(folder, token=telegram.token, api_url=telegram.api_url) as stack,
    ):
        bot = stack.start_bot(
            MAX_OPEN_JOBS_PER_USER="3", MAX_PICTURES_PER_MINUTE="8", MAX_MESSAGES_PER_MINUTE="15", MAX_QUEUED_JOBS="30"
        )
        await telegram.is_polled(timeout=30)
        yield World(telegram, stack, bot)
