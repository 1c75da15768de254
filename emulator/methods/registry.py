"""Where Bot API methods register under their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from emulator.methods.arguments import Arguments
from emulator.state import Telegram

Handler = Callable[[Telegram, Arguments], Awaitable[Any]]

METHODS: dict[str, tuple[str, Handler]] = {}  # by name in lower case: the proper name and the handler


def method(name: str) -> Callable[[Handler], Handler]:
    """Register the decorated function as Bot API method ``name``."""

    def register(handler: Handler) -> Handler:
        METHODS[name.lower()] = (name, handler)
        return handler

    return register
