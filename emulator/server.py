"""The HTTP server: Bot API, control interface and chat page in one application."""

from __future__ import annotations

from aiohttp import web

from emulator import limits
from emulator.api import BotApi
from emulator.control import Control
from emulator.guard import guard
from emulator.state import Telegram

CLIENT_MAX_BYTES = 64 * limits.MIB
_SHUTDOWN_S = 1.0


class Server:
    """A running emulator; `start` it, and `stop` it at the end."""

    def __init__(
        self,
        telegram: Telegram,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        flood_limits: bool = False,
        allowed_hosts: tuple[str, ...] = (),
    ) -> None:
        self.telegram = telegram
        self.api = BotApi(telegram, flood_limits=flood_limits)
        self.host = host
        self.port = port
        self._control = Control(self.api)
        self._guard = guard((host, *allowed_hosts))
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it can be reached: the base for a bot and the address of the chat page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen; with port 0 on a free port."""
        application = web.Application(client_max_size=CLIENT_MAX_BYTES, middlewares=[self._guard])
        self.api.add_routes(application.router)
        self._control.add_routes(application.router)
        application.on_shutdown.append(self._end_waiting)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, backlog=512)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """End long polls and hanging calls, close the port and remove temporary files."""
        if self._runner is not None:
            await self._runner.cleanup()
        self.telegram.close()

    async def _end_waiting(self, _: web.Application) -> None:
        self.api.stopping.set()
        self.telegram.changed()
