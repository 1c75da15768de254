"""A running emulator, the real aiogram bot that talks to it, and people."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable

import pytest
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from PIL import Image

from emulator import Emulator, Person

Encode = Callable[..., bytes]


@pytest.fixture
async def telegram() -> AsyncIterator[Emulator]:
    async with Emulator.running() as emulator:
        yield emulator


class QuickSession(AiohttpSession):
    """Closes at once; aiogram's own waits 0.25 s for TLS connections, of which there are none here."""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def bot_of(telegram: Emulator, token: str | None = None) -> Bot:
    """The bot as the project builds it, pointed at the emulator."""
    session = QuickSession(api=TelegramAPIServer.from_base(telegram.api_url), timeout=10)
    return Bot(token or telegram.token, session=session)


@pytest.fixture
async def bot(telegram: Emulator) -> AsyncIterator[Bot]:
    bot = bot_of(telegram)
    yield bot
    await bot.session.close()


@pytest.fixture
async def ann(telegram: Emulator) -> Person:
    """Somebody who has opened the chat, so that the bot may write."""
    person = telegram.user("Ann", language_code="en")
    await person.sends_text("/start")
    return person


@contextlib.asynccontextmanager
async def polling(telegram: Emulator, bot: Bot, dispatcher: Dispatcher) -> AsyncIterator[None]:
    """Run the real polling of aiogram for the length of the block."""
    task = asyncio.create_task(dispatcher.start_polling(bot, handle_signals=False, polling_timeout=5))
    await telegram.is_polled()
    try:
        yield
    finally:
        await dispatcher.stop_polling()
        await task


def picture(width: int = 320, height: int = 200, *, format_: str = "JPEG", mode: str = "RGB") -> bytes:
    """A gradient, so that every pixel says where it came from."""
    ramp = Image.linear_gradient("L").resize((width, height))
    encoded = io.BytesIO()
    ramp.convert(mode).save(encoded, format_)
    return encoded.getvalue()


def keyboard(*rows: list[str]) -> InlineKeyboardMarkup:
    """Buttons whose data is their label."""
    return InlineKeyboardMarkup(
        inline_keyboard=[[InlineKeyboardButton(text=label, callback_data=label) for label in row] for row in rows]
    )
