"""Logging of all processes: one line an event, with the job it belongs to. Never tokens, file names or pictures."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_job_id: ContextVar[str] = ContextVar("job_id", default="-")


@contextmanager
def job_context(job_id: str) -> Iterator[None]:
    """Name the job in every line this thread logs inside."""
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


def configure_logging(level: str) -> None:
    """Send the records of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s [%(job)s] %(message)s"))
    handler.addFilter(_add_job)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)
    for chatty in ("urllib3", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _add_job(record: logging.LogRecord) -> bool:
    record.job = _job_id.get()
    return True
