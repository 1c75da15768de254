"""Ending in order: a signal cancels the work, which then stops its processes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_signal(work: Coroutine[Any, Any, None], *, on_signal: Callable[[], object] = lambda: None) -> bool:
    """Await ``work``; False when a signal to end cut it short, of which ``on_signal`` is told at once."""
    task = asyncio.ensure_future(work)

    def end() -> None:
        on_signal()
        task.cancel()

    for number in ENDING:
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True
