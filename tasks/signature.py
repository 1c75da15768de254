"""A signature on what a record says about whose picture is fetched, and for which chat.

Whoever reaches Redis with its password can write any record there, but does not have the token. The bot signs every
job it takes in; a worker fetches and delivers nothing whose signature is not right. So nobody can have a picture
brought into another chat, or have one fetched that the bot did not take in, by way of Redis alone.
"""

from __future__ import annotations

import base64
import hmac
import json

from tasks.messages import Job, RestorePhoto


class Signer:
    """Makes and checks signatures (HMAC-SHA-256) with a secret that Redis does not have: the bot's token."""

    def __init__(self, secret: str = "") -> None:
        """Without ``secret`` anybody can sign: for tools and tests that hand in jobs of their own."""
        self._secret = secret.encode()

    def of(self, wish: RestorePhoto) -> str:
        """The signature of a job that is taken in."""
        return self._make(wish.job_id, wish.chat_id, wish.message_id, wish.user_id, wish.file_id)

    def fits(self, job: Job) -> bool:
        """Whether a record, as it was read, is about the picture and the chat it was taken in for."""
        expected = self._make(job.id, job.chat_id, job.message_id, job.user_id, job.file_id)
        return hmac.compare_digest(expected.encode(), job.signature.encode())

    def _make(self, job_id: str, chat_id: int, message_id: int, user_id: int, file_id: str) -> str:
        said = json.dumps(["job", job_id, chat_id, message_id, user_id, file_id]).encode()
        return base64.urlsafe_b64encode(hmac.digest(self._secret, said, "sha256")).decode().rstrip("=")
