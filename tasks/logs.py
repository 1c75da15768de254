"""Logging of all processes: one line an event, with the job it belongs to. Never tokens, file names or pictures."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

_job_id: ContextVar[str] = ContextVar("job_id", default="-")

# Anything formed like a bot token, whoever logs it: foreign exceptions like to quote the address they called.
TOKEN_FORM = re.compile(r"\d{6,20}:[A-Za-z0-9_-]{20,100}")
LONGEST_LINE = 500  # foreign exceptions may quote a whole answer of Telegram, with messages and file names in it


@contextmanager
def job_context(job_id: str) -> Iterator[None]:
    """Name the job in every line this thread logs inside."""
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


class DiscreetFormatter(logging.Formatter):
    """Leaves tokens out of lines and tracebacks, and shortens lines that quote too much."""

    def format(self, record: logging.LogRecord) -> str:
        """The line and its traceback, discreetly."""
        lines = TOKEN_FORM.sub("<token>", super().format(record)).splitlines()
        return "\n".join(line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " …" for line in lines)


def discreet_handler(stream: TextIO) -> logging.Handler:
    """A handler that writes our kind of lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(DiscreetFormatter("%(asctime)s %(levelname)-7s %(name)s [%(job)s] %(message)s"))
    handler.addFilter(_add_job)
    return handler


def configure_logging(level: str) -> None:
    """Send the records of this process to standard error."""
    logging.basicConfig(level=level, handlers=[discreet_handler(sys.stderr)], force=True)
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)
    for chatty in ("urllib3", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _add_job(record: logging.LogRecord) -> bool:
    record.job = _job_id.get()
    return True
