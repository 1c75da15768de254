"""``python -m emulator``: Telegram on this machine, with a chat page."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence

from emulator.errors import UnusableError
from emulator.faults import Rule, parse_rule
from emulator.harness import TOKEN
from emulator.server import Server
from emulator.state import Telegram

_EPILOG = """\
Start the bot with BOT_TOKEN set to the token and TELEGRAM_API_URL to the address, then open the address in a
browser and be the user. A fault is JSON such as '{"fault": "RetryAfter", "seconds": 3, "method": "sendDocument"}';
more of them can be posted to /emulator/faults while it runs.
"""


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__, epilog=_EPILOG)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--token", default=TOKEN, help="the bot's token (default: %(default)s)")
    parser.add_argument("--bot-name", default="Restora", help="the bot's name (default: %(default)s)")
    parser.add_argument("--allow-host", action="append", default=[], help="another host name of the chat page")
    parser.add_argument("--flood-limits", action="store_true", help="answer 429 to a bot that sends too fast")
    parser.add_argument("--privacy-mode", action="store_true", help="hide from the bot what groups say to others")
    parser.add_argument(
        "--faults", type=_faults, action="extend", default=[], metavar="JSON", help="a fault, or a list of them"
    )
    return parser.parse_args(argv)


def _faults(text: str) -> list[Rule]:
    try:
        given = json.loads(text)
        return [parse_rule(description) for description in (given if isinstance(given, list) else [given])]
    except (ValueError, TypeError, UnusableError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def _serve(options: argparse.Namespace) -> None:
    telegram = Telegram(options.token, bot_name=options.bot_name, privacy_mode=options.privacy_mode)
    server = Server(
        telegram,
        host=options.host,
        port=options.port,
        flood_limits=options.flood_limits,
        allowed_hosts=tuple(options.allow_host),
    )
    server.api.faults.rules.extend(options.faults)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await server.start()
    try:
        print(f"Chat page and TELEGRAM_API_URL: {server.url}", flush=True)  # noqa: T201 - the command's output
        if options.token == TOKEN:  # a token somebody brought is not shown
            print(f"BOT_TOKEN: {TOKEN}", flush=True)  # noqa: T201
        await stopping.wait()
    finally:
        await server.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; the exit status is 0, or 1 with a line that says why not."""
    options = _arguments(argv)
    try:
        asyncio.run(_serve(options))
    except (OSError, UnusableError) as error:
        print(f"python -m emulator: {error}", file=sys.stderr)  # noqa: T201 - the command's output
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
