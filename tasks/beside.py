"""A thread that works beside a ``with`` block and ends with it."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from contextvars import copy_context
from types import TracebackType
from typing import Self

logger = logging.getLogger(__name__)


class Beside(ABC):
    """Runs :meth:`work` in a thread from the begin of the block to its end, with the block's logging context."""

    def __init__(self, name: str) -> None:
        self.ended = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._work,), name=name, daemon=True)

    @abstractmethod
    def work(self) -> None:
        """Go on until ``self.ended`` is set."""

    def _work(self) -> None:
        try:
            self.work()
        except Exception:  # the outermost boundary of the thread: it is reported
            logger.exception("the thread %s failed", self._thread.name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended.set()
        self._thread.join()
