"""Stopping work that nobody wants any more, also where it is a single call that cannot be interrupted. No torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from models.errors import RestorationStopped

T = TypeVar("T")

ASKED_EVERY_S = 0.1


def never() -> bool:
    """Nobody wants to stop."""
    return False


def check(should_stop: Callable[[], bool]) -> None:
    """Raise RestorationStopped if somebody wants to stop."""
    if should_stop():
        raise RestorationStopped("stopped at the caller's wish")


class Errands:
    """A thread for calls that may take long, left behind with one whose result nobody waits for any more.

    The thread stays for the next call, so what it keeps to itself, such as a connection, lives on. Used by one thread
    at a time.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Context, Callable[[], Any], SimpleQueue[Any]] | None] | None = None

    def run(self, call: Callable[[], T], should_stop: Callable[[], bool]) -> T:
        """What ``call`` returns or raises.

        Raises:
            RestorationStopped: ``should_stop`` said so first. The call goes on to its end, and nobody hears of it.
        """
        if self._calls is None:
            self._calls = SimpleQueue()
            threading.Thread(target=_serve, args=(self._calls,), name=self._name, daemon=True).start()
        answer: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
        self._calls.put((copy_context(), call, answer))
        while True:
            try:
                returned, outcome = answer.get(timeout=ASKED_EVERY_S)
            except Empty:
                if should_stop():
                    self.close()
                    raise RestorationStopped("stopped at the caller's wish") from None
            else:
                if returned:
                    return outcome  # type: ignore[no-any-return]  # it is what the call returned
                raise outcome

    def close(self) -> None:
        """Let the thread end after what it is at; the next call has another."""
        if self._calls is not None:
            self._calls.put(None)
            self._calls = None


def _serve(calls: SimpleQueue[tuple[Context, Callable[[], Any], SimpleQueue[Any]] | None]) -> None:
    while (entry := calls.get()) is not None:
        context, call, answer = entry
        try:
            answer.put((True, context.run(call)))
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            answer.put((False, error))
        del entry, context, call, answer  # results may be large, and the next call may be far
