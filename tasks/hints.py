"""What Celery makes of a hint in the worker's parent process."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request


class Hint(Request):
    """A hint that was heard; where Redis cannot be told so, the worker connects anew.

    Celery logs such an error and goes on. With a broker that has one connection its loss is noticed soon enough. Here
    Redis is told through a connection of its own, and the one on which hints come is idle while a job is done: nobody
    minds its end. But a hint of which Redis was not told counts as being in hand, and with prefetch 1 no other is ever
    asked for. With no errors to be swallowed, this one ends Celery's event loop, which begins again with nothing in
    hand and with new connections.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As Celery calls it, but for the ``connection_errors`` that it would log and forget."""
        super().__init__(*args, **{**kwargs, "connection_errors": ()})
