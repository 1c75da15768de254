"""The control interface under ``/emulator`` and the chat page."""

from __future__ import annotations

from aiohttp import web

from emulator.api import BotApi


class Control:
    """Handlers for the page and for tests in other processes."""

    def __init__(self, api: BotApi, *, allowed_hosts: tuple[str, ...]) -> None:
        self.api = api
        self._allowed_hosts = allowed_hosts

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Put the handlers into an application."""
