"""Small helpers for jobs without Telegram."""

from __future__ import annotations

import pytest

from tasks.messages import Accepted, Job, RestorePhoto
from tasks.store import JobStore


@pytest.fixture
def submit(store: JobStore):
    """Hand in a picture: ``submit(user, message)`` returns its job."""

    def submit(user: int, message: int, *, queue: str = "restore", pixels: int = 1000, **limits: int) -> Job:
        answer = store.submit(wish(user, message, queue=queue, pixels=pixels), **{**UNLIMITED, **limits})
        assert isinstance(answer, Accepted)
        return answer.job

    return submit


UNLIMITED = {"user_limit": 10**6, "total_limit": 10**6}


def wish(user: int, message: int, *, queue: str = "restore", pixels: int = 1000) -> RestorePhoto:
    return RestorePhoto(
        bot_id=9,
        chat_id=user,
        message_id=message,
        user_id=user,
        locale="en",
        kind="photo",
        file_id=f"file-{user}-{message}",
        pixels=pixels,
        queue=queue,
    )
