"""Waits for a change of the emulated world."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from emulator.state import Telegram

Found = TypeVar("Found")


async def wait_until(
    telegram: Telegram,
    find: Callable[[], Found | None],
    *,
    timeout_s: float,
    failure: Callable[[], str],
) -> Found:
    """What ``find`` returns as soon as that is not None; asked again after every change.

    Raises:
        AssertionError: nothing was found in time; says what ``failure`` returns.
    """
    changed = asyncio.Event()
    unsubscribe = telegram.subscribe(changed.set)
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                changed.clear()
                found = find()
                if found is not None:
                    return found
                await changed.wait()
    except TimeoutError:
        raise AssertionError(failure()) from None
    finally:
        unsubscribe()
