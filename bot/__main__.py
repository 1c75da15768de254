"""The bot's composition root: ``python -m bot``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import TYPE_CHECKING

from aiogram import Bot, Dispatcher
from aiogram.client.default import DefaultBotProperties
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.filters import ExceptionTypeFilter
from aiogram.types import BotCommand, CallbackQuery, ErrorEvent, Message, Update

from bot.captions import SaidIn, is_for_us
from bot.handlers import all_routers, owner
from bot.heartbeat import Heartbeat
from bot.middlewares.confirming import Confirming
from bot.middlewares.counting import Counting
from bot.middlewares.floods import FloodGate
from bot.middlewares.language import Language
from bot.middlewares.moving import Moving
from bot.middlewares.once import Once
from bot.middlewares.patience import LONGEST_WAIT_S, Patience
from bot.middlewares.sending import Sending
from bot.middlewares.serving import Serving
from bot.middlewares.tracing import Tracing
from bot.outbox import Outbox
from bot.queue import JobQueue, QueueUnavailableError
from bot.session import Session
from bot.texts import BotTexts
from bot.turnstile import Turnstile
from tasks.absence import Absence
from tasks.broker import Doorbell, client_app
from tasks.budget import SendBudget
from tasks.catalog import SOURCE_LOCALE, closest_locale, locales
from tasks.logs import configure_logging
from tasks.seclusion import seclude
from tasks.settings import BotSettings, SettingsError, load_settings
from tasks.stats import Statistics
from tasks.store import JobStore, connect

if TYPE_CHECKING:
    from bot.observatory import Observatory

logger = logging.getLogger(__name__)

REDIS_TIMEOUT_S = 2.0  # updates are handled one by one: a frozen Redis may not hold up everybody for long


def build_dispatcher(settings: BotSettings, store: JobStore, absence: Absence) -> Dispatcher:
    """A dispatcher with all handlers and everything they ask for."""
    redis_url = settings.redis_url.get_secret_value()
    outbox = Outbox()
    jobs = JobQueue(
        store,
        Doorbell(client_app(redis_url)),
        user_limit=settings.max_open_jobs_per_user,
        total_limit=settings.max_queued_jobs,
        gpu_queue_from_pixels=settings.gpu_queue_from_pixels,
        absence=absence,
    )
    dispatcher = Dispatcher(disable_fsm=True, outbox=outbox, jobs=jobs)  # the job store is all the memory we need
    once = Once(store, outbox, absence)
    flood_gate = FloodGate(
        outbox,
        once,
        messages_per_minute=settings.max_messages_per_minute,
        pictures_per_minute=settings.max_pictures_per_minute,
    )
    dispatcher.update.outer_middleware(Tracing())
    dispatcher.update.outer_middleware(flood_gate)  # before all that costs anything
    dispatcher.update.outer_middleware(once)
    dispatcher.message.outer_middleware(Language())
    dispatcher.message.outer_middleware(SaidIn())
    dispatcher.callback_query.outer_middleware(Language())
    serving = Serving(jobs=jobs, outbox=outbox, max_file_bytes=settings.max_file_bytes)
    dispatcher.message.outer_middleware(serving)
    dispatcher.callback_query.outer_middleware(serving)
    if settings.owner_id is not None:
        dispatcher.include_router(owner.router(settings.owner_id, Statistics(store)))
    dispatcher.include_routers(*all_routers())
    dispatcher.error.register(_ask_to_try_again, ExceptionTypeFilter(QueueUnavailableError))
    dispatcher.error.register(_report_error)
    dispatcher.shutdown.register(outbox.drain)
    return dispatcher


async def _ask_to_try_again(event: ErrorEvent, outbox: Outbox) -> None:
    logger.warning("update %d came to nothing: %s", event.update.update_id, event.exception)
    _post_try_again(event.update, outbox)


async def _report_error(event: ErrorEvent, bot: Bot, outbox: Outbox) -> None:
    logger.error("update %d failed", event.update.update_id, exc_info=event.exception)
    message = event.update.message
    # Redis is asked on behalf of somebody who waits; this may have gone wrong with anything that is said in a group.
    if message is None or is_for_us(message, (await bot.me()).username or ""):
        _post_try_again(event.update, outbox)


def _post_try_again(update: Update, outbox: Outbox) -> None:
    texts = BotTexts(SOURCE_LOCALE)
    sender = update.event.from_user if isinstance(update.event, Message | CallbackQuery) else None
    if sender is not None:
        texts = BotTexts(closest_locale(sender.language_code))
    if message := update.message:
        outbox.post(
            message.chat.id,
            lambda: message.reply(texts.try_again()),
            owed_to=update.update_id,
        )
    elif (query := update.callback_query) and query.id not in outbox:
        outbox.post(query.id, lambda: query.answer(texts.try_again()), owed_to=update.update_id)


async def _show_commands(bot: Bot) -> None:
    """Put the commands into Telegram's menu, in every language."""
    for locale in locales():
        commands = [BotCommand(command=name, description=what) for name, what in BotTexts(locale).commands().items()]
        await bot.set_my_commands(commands, language_code=None if locale == SOURCE_LOCALE else locale)


async def run(settings: BotSettings) -> None:
    """Answer Telegram until SIGTERM or SIGINT.

    Raises:
        SettingsError: a port cannot be had.
        TelegramUnauthorizedError: Telegram does not know the token, or not any more.
        TelegramNotFound: the same, or there is no Bot API behind the address.
    """
    token = settings.bot_token.get_secret_value()
    redis = connect(settings.redis_url.get_secret_value(), timeout_s=REDIS_TIMEOUT_S)
    store = JobStore(redis, secret=token, bot_id=settings.bot_id)
    heartbeat = Heartbeat(store)
    session = Session(api=TelegramAPIServer.from_base(settings.telegram_api_url))
    absence = Absence(store.redis)
    budget = SendBudget(
        store.redis,
        bot_id=settings.bot_id,
        secret=token,
        messages_per_s=settings.telegram_messages_per_s,
        absence=absence,
    )
    session.middleware(Moving())
    session.middleware(Patience())
    session.middleware(Sending(Turnstile(budget, longest_wait_s=LONGEST_WAIT_S)))
    session.middleware(heartbeat)
    session.middleware(Counting())
    dispatcher = build_dispatcher(settings, store, absence)
    session.middleware(Confirming(dispatcher["outbox"]))
    observatory = _observatory(settings, heartbeat)
    # An answer to a picture that was deleted meanwhile is an answer still. Said here, since what message.reply() is
    # told of it goes beside reply_parameters, where Telegram does not look for it.
    default = DefaultBotProperties(allow_sending_without_reply=True)
    async with Bot(token, session=session, default=default) as bot:
        await bot.me()
        try:
            await _show_commands(bot)
        except AiogramError as error:
            logger.warning("the command menu was not taken: %s", error)
        beating = asyncio.create_task(heartbeat.beat())
        try:
            # Not as tasks: an update is confirmed to Telegram only when its handler has written it down.
            await dispatcher.start_polling(
                bot,
                handle_as_tasks=False,
                allowed_updates=["message", "callback_query", "my_chat_member"],
                close_bot_session=False,
            )
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
            if observatory is not None:
                await asyncio.to_thread(observatory.close)


def _observatory(settings: BotSettings, heartbeat: Heartbeat) -> Observatory | None:
    """Serve health and metrics, where a port is set for them.

    Raises:
        SettingsError: the port cannot be had.
    """
    if settings.metrics_port is None:
        return None
    from bot.observatory import Observatory  # what it needs takes memory

    # A client of its own: whoever looks at the figures may not hold up those who send pictures.
    store = JobStore(connect(settings.redis_url.get_secret_value(), timeout_s=REDIS_TIMEOUT_S))
    try:
        return Observatory(
            settings.metrics_host, settings.metrics_port, heartbeat=heartbeat, statistics=Statistics(store)
        )
    except OSError as error:
        raise SettingsError(f"METRICS_PORT={settings.metrics_port}: {error.strerror}") from error


def main() -> int:
    """Parse the settings and run; exit status 1 with one line when that is not possible."""
    try:
        settings = load_settings(BotSettings)
    except SettingsError as error:
        sys.stderr.write(f"restora bot: {error}\n")
        return 1
    seclude()
    configure_logging(settings.log_level, form=settings.log_format, key=settings.bot_token.get_secret_value())
    try:
        asyncio.run(run(settings))
    except SettingsError as error:
        sys.stderr.write(f"restora bot: {error}\n")
        return 1
    except (TelegramUnauthorizedError, TelegramNotFound):
        sys.stderr.write("restora bot: Telegram does not know this BOT_TOKEN; @BotFather shows the right one\n")
        return 1
    except (TelegramNetworkError, TelegramServerError, ClientDecodeError) as error:  # whose words may have the token
        sys.stderr.write(f"restora bot: no Bot API answers at {settings.telegram_api_url} ({type(error).__name__})\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
