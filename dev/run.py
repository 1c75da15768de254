"""``make run``: Redis, a worker and the bot on this machine, until Ctrl-C.

With BOT_TOKEN (in the environment or in .env) against Telegram, without it against the emulator, whose chat page lets
you be the user in a browser.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from contextlib import AsyncExitStack

from dotenv import dotenv_values

from dev.redis_server import NoRedisServerError
from dev.signals import until_signal
from dev.stack import REPOSITORY, ProcessDiedError, Stack
from emulator import TOKEN, Emulator

FOLDER = REPOSITORY / "var" / "run"
PAGE_PORT = 8081


def setting(name: str) -> str:
    """A setting from the environment or .env; empty when it is not set."""
    return os.environ.get(name) or dotenv_values(REPOSITORY / ".env").get(name) or ""


def page_port() -> int:
    """The port of the chat page.

    Raises:
        OSError: EMULATOR_PORT is no port.
    """
    text = setting("EMULATOR_PORT") or str(PAGE_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise OSError(f"EMULATOR_PORT={text!r} is not a port between 1 and 65535")
    return int(text)


def metrics_ports() -> tuple[str, str]:
    """Of worker and bot: METRICS_PORT and the next one, since they share a machine; empty where it is not set."""
    port = setting("METRICS_PORT")
    return port, str(int(port) + 1) if port.isdecimal() and int(port) else port


async def serve() -> None:
    """Start everything, say where to look, and go on until a signal ends it.

    Raises:
        ProcessDiedError: the bot or the worker ended.
        OSError: the port of the chat page is taken.
    """
    async with AsyncExitStack() as ending:
        token = setting("BOT_TOKEN")
        api_url = setting("TELEGRAM_API_URL") or "https://api.telegram.org"
        if token:
            say("Talking to Telegram with your BOT_TOKEN.")
        else:
            telegram = await ending.enter_async_context(Emulator.running(TOKEN, port=page_port()))
            # The emulated Telegram begins anew each time, so what was written down about the last one is void.
            shutil.rmtree(FOLDER / "redis", ignore_errors=True)
            token, api_url = telegram.token, telegram.api_url
            say("No BOT_TOKEN is set, so Telegram is emulated here.")
        stack = await ending.enter_async_context(Stack(FOLDER, token=token, api_url=api_url, cwd=REPOSITORY))
        ports = metrics_ports()
        worker, bot = (
            start(**({"METRICS_PORT": port} if port else {}))
            for start, port in zip((stack.start_worker, stack.start_bot), ports, strict=True)
        )
        say(f"Starting Redis, the bot and a worker that loads its models; logs in {FOLDER.relative_to(REPOSITORY)} …")
        await stack.bot_is_ready(bot)
        await stack.workers_are_ready(worker)
        for card in stack.store.workers():
            say(f"Ready: {', '.join(card.models)} on {card.device}, {card.dtype}.")
        say(f"Redis is at {stack.redis.url}, for tools such as python -m tasks.jobs.")
        if ports[0]:
            say(f"Figures of the worker are at http://127.0.0.1:{ports[0]}/metrics, of the bot at port {ports[1]}.")
        if setting("BOT_TOKEN"):
            say("Write to your bot in Telegram. Ctrl-C ends everything.")
        else:
            say(f"Open {api_url}/ in a browser and be the user. Ctrl-C ends everything.")
        while worker.exit_status is None and bot.exit_status is None:
            await asyncio.sleep(0.5)
        dead = bot if worker.exit_status is None else worker
        raise ProcessDiedError(f"the {dead.name} ended:\n{dead.last_words()}")


def say(text: str) -> None:
    """Write a line to the terminal."""
    print(text, flush=True)


def main() -> int:
    """Exit status 0 after Ctrl-C, 1 when a process could not run."""
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    try:
        if not asyncio.run(until_signal(serve(), on_signal=lambda: say("Ending …"))):
            say("Ended.")
    except (OSError, NoRedisServerError, ProcessDiedError) as error:
        say(f"restora: {error}")
        if isinstance(error, OSError):
            say("Another port for the chat page: make run EMULATOR_PORT=8090")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
