"""The last word about a failed or cancelled job: said by whoever ended it, or by a janitor where that is gone."""

from __future__ import annotations

import logging

from tasks.door import Door
from tasks.messages import Job, JobState
from tasks.store import JobStore
from tasks.telegram import ChatClosedError, TelegramError, TelegramRefusalError
from tasks.texts import Texts

logger = logging.getLogger(__name__)


def last_word(job: Job) -> str:
    """What the status message of an ended job says; a done one shows its result, which no text can replace."""
    texts = Texts(job.locale)
    return texts.failed(job.error) if job.state is JobState.FAILED else texts.cancelled()


def apologise(store: JobStore, door: Door, job: Job) -> None:
    """Tell the owner of a failed job why, or that a job was stopped; what cannot be said now stays due."""
    try:
        door.tell(job, last_word(job))
    except ChatClosedError:
        logger.info("the owner does not want to hear from us")
        store.stop_telling(job)
    except TelegramRefusalError as error:  # it would be refused again in a minute, and for ever
        logger.warning("the owner cannot be told: %s", error)
        store.stop_telling(job)
    except TelegramError as error:
        logger.warning("the owner could not be told yet: %s", error)
    else:
        store.mark_told(job)
