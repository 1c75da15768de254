"""Ending in order: a signal cancels the work, which then stops its processes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_signal(work: Coroutine[Any, Any, None]) -> bool:
    """Await ``work``; False when a signal to end cut it short."""
    task = asyncio.ensure_future(work)
    for number in ENDING:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True
