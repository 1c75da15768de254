"""The last word about a failed job, said by its worker or, where that one is gone, by a janitor."""

from __future__ import annotations

import logging

from tasks.door import Door
from tasks.messages import Job
from tasks.store import JobStore
from tasks.telegram import ChatClosedError, TelegramError, TelegramRefusalError
from tasks.texts import Texts

logger = logging.getLogger(__name__)


def apologise(store: JobStore, door: Door, job: Job) -> None:
    """Tell the owner of a failed job why; what cannot be said now stays due."""
    try:
        door.tell(job, Texts(job.locale).failed(job.error))
    except ChatClosedError:
        logger.info("the owner does not want to hear from us")
    except TelegramRefusalError as error:  # it would be refused again in a minute, and for ever
        logger.warning("the owner cannot be told: %s", error)
    except TelegramError as error:
        logger.warning("the owner could not be told yet: %s", error)
        return
    store.mark_told(job)
