"""The Telegram door: where a worker fetches pictures, shows how far it is, and delivers.

The result is put into the status message by editing it, which can be repeated without harm; only where that message is
gone is it sent anew. A send whose answer got lost is repeated as well, since a picture that comes twice is better than
one that never comes: that is the one window in which a result can be doubled, and the job is flagged ``resent``.
"""

from __future__ import annotations

import logging
import math
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from models.stopping import never
from tasks.announcer import Announcer
from tasks.budget import Importance, SendBudget
from tasks.buttons import cancel_markup
from tasks.logs import job_context
from tasks.messages import Job
from tasks.telegram import (
    CONNECT_TIMEOUT_S,
    ChatMovedError,
    TelegramBusyError,
    TelegramClient,
    TelegramError,
    TelegramRefusalError,
    TelegramUnreachableError,
)
from tasks.texts import Texts

logger = logging.getLogger(__name__)

TRIES = 4  # with pauses of about 1, 2, 4 s; whoever still has no answer then puts the job aside
FIRST_PAUSE_S = 1.0
LONGEST_SILENCE_S = 3.0  # sat out in one delivery; beyond it the job goes aside, for others want their pictures
LONGEST_TURN_S = 5.0  # waited for; in a group they come every four seconds
WORD_TIMEOUT_S = 15.0  # of silence after which a text counts as lost; a picture may take longer
NO_TRY_AFTER_S = 20.0  # of telling a last word: what is not said by then a janitor says, and not both at once
TELLING_S = NO_TRY_AFTER_S + LONGEST_SILENCE_S + LONGEST_TURN_S + CONNECT_TIMEOUT_S + WORD_TIMEOUT_S  # at most
STATUS_GONE = ("message to edit not found", "message can't be edited", "message_id_invalid")
NOTHING_NEW = ("message is not modified",)
NO_TEXT_ANY_MORE = ("there is no text in the message to edit",)
TOPIC_GONE = ("message thread not found", "topic_closed", "topic_deleted")

T = TypeVar("T")


class CalledOffError(TelegramError):
    """Nobody wants it any more; the try that would have come next was not made."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A result on its way to a chat."""

    name: str
    content: bytes
    mime: str
    caption: str


class Door(Protocol):
    """Where a picture comes from and its result goes."""

    def fetch(self, job: Job, *, should_stop: Callable[[], bool]) -> bytes: ...
    def show(self, job: Job, text: str, *, cancellable: bool) -> bool: ...
    def settle(self, job: Job, text: str) -> None: ...
    def deliver(
        self,
        job: Job,
        document: Document,
        *,
        on_unknown: Callable[[bool], object],
        should_stop: Callable[[], bool],
    ) -> bool: ...
    def announce(self, job: Job) -> None: ...
    def tell(self, job: Job, text: str) -> None: ...


class TelegramDoor:
    """The door to Telegram chats."""

    def __init__(self, telegram: TelegramClient, *, max_file_bytes: int, budget: SendBudget | None = None) -> None:
        """``budget`` is the one that all processes share; without it this process counts for itself."""
        self._telegram = telegram
        self._max_file_bytes = max_file_bytes
        self._budget = budget or SendBudget(None, bot_id=0)
        self._announcer = Announcer(self._announce_in_context)

    def fetch(self, job: Job, *, should_stop: Callable[[], bool]) -> bytes:
        """Download the picture into memory.

        Raises:
            FileTooLargeError, TelegramRefusalError: this file cannot be had.
            TelegramUnreachableError, TelegramBusyError: Telegram did not answer for a good while; or the chat wants
                silence for so long that the result could not be delivered.
        """
        return self._patiently(
            job,
            lambda: self._telegram.download(job.file_id, max_bytes=self._max_file_bytes, should_stop=should_stop),
            should_stop=should_stop,
        )

    def show(self, job: Job, text: str, *, cancellable: bool) -> bool:
        """Put a text into the status message, now or never; nothing happens where that is not possible now.

        Returns:
            Whether there is nothing left to show: the text is there, or no message that could show it.

        Raises:
            TelegramError: it was not shown, and it does not matter much.
        """
        if not job.status_message_id or not self._budget.ask(job.chat_id, Importance.PROGRESS).granted:
            return False
        try:
            self._edit_text(job, text, cancellable=cancellable)
        except TelegramBusyError as busy:
            self._budget.silence(job.chat_id, busy.retry_after_s)
            raise
        except TelegramRefusalError as refusal:
            if not refusal.says(*NOTHING_NEW, *STATUS_GONE, *NO_TEXT_ANY_MORE):
                raise
        return True

    def settle(self, job: Job, text: str) -> None:
        """Leave a last text in the status message, if it is still there.

        Raises:
            TelegramError: it still says what it said before.
        """
        if job.status_message_id:
            try:
                self._patiently(job, lambda: self._edit_text(job, text, cancellable=False), importance=Importance.REST)
            except TelegramRefusalError as refusal:
                if not refusal.says(*NOTHING_NEW, *STATUS_GONE, *NO_TEXT_ANY_MORE):
                    raise

    def deliver(
        self,
        job: Job,
        document: Document,
        *,
        on_unknown: Callable[[bool], object],
        should_stop: Callable[[], bool],
    ) -> bool:
        """Bring the result to its chat.

        Args:
            job: whose result it is.
            document: the result.
            on_unknown: hears of each try of which nobody knows whether it arrived, and whether one more could put the
                result into the chat twice; what it raises ends the delivery.
            should_stop: whether this delivery is not wanted any more; asked before each try.

        Returns:
            Whether it came without a sound, since it was edited into the status message, and wants :meth:`announce`.

        Raises:
            ChatClosedError: the user does not want to hear from us.
            TelegramRefusalError: Telegram does not take it, for example because of its size.
            TelegramUnreachableError, TelegramBusyError: not delivered, or not known whether.
            CalledOffError: ``should_stop`` said so before the result was known to be there.
            TokenRejectedError: Telegram does not know us.
        """
        try:
            if self._edit_into(job, document, on_unknown, should_stop):
                return True
            self._send_document(job, document, on_unknown, should_stop)
        except ChatMovedError as moved:
            self._send_document(_in_new_chat(job, moved), document, on_unknown, should_stop)
        return False

    def announce(self, job: Job) -> None:
        """Say audibly, beside the work, that the result is there; it does not matter much."""
        self._announcer.add(job)

    def _announce_in_context(self, job: Job) -> bool:
        with job_context(job.id):
            return self._try_to_announce(job)

    def _try_to_announce(self, job: Job) -> bool:
        if not self._budget.ask(job.chat_id, Importance.REST, at_once=True).granted:
            return False
        try:
            self._send_text(job, Texts(job.locale).ready())
        except TelegramError as error:
            if isinstance(error, TelegramBusyError):
                self._budget.silence(job.chat_id, error.retry_after_s)
            logger.info("the result is there, but its announcement was not taken: %s", error)
        return True

    def tell(self, job: Job, text: str) -> None:
        """Say the last word about a job: in its status message, else in a reply to the picture; within ``TELLING_S``.

        Raises:
            TelegramRefusalError, TelegramUnreachableError, TelegramBusyError, TokenRejectedError: the owner does not
                know yet.
        """
        until = time.monotonic() + NO_TRY_AFTER_S
        try:
            self._tell(job, text, until)
        except ChatMovedError as moved:
            self._tell(_in_new_chat(job, moved), text, until)

    def _tell(self, job: Job, text: str, until: float) -> None:
        if job.status_message_id:
            try:
                self._patiently(
                    job,
                    lambda: self._edit_text(job, text, cancellable=False),
                    importance=Importance.RESULT,
                    until=until,
                )
            except TelegramRefusalError as refusal:
                if refusal.says(*NOTHING_NEW, *NO_TEXT_ANY_MORE):
                    return  # said before; or the result itself stands there, and an apology would be wrong
                if not refusal.says(*STATUS_GONE):
                    raise
            else:
                return
        self._patiently(job, lambda: self._send_text(job, text), importance=Importance.RESULT, until=until)

    def _send_text(self, job: Job, text: str) -> None:
        self._send(job, "sendMessage", {"text": text}, patience_s=WORD_TIMEOUT_S)

    def _send(self, job: Job, method: str, params: dict[str, object], **options: Any) -> None:
        """Send below the picture, or in its topic where that is gone; a topic that is gone or closed ends nothing.

        What leaves a closed topic answers nothing: an answer goes where the picture stands, and is refused there, too.
        """
        try:
            self._telegram.call(method, {**_reply_to(job), **params}, **options)
        except TelegramRefusalError as refusal:
            if not job.thread_id or not refusal.says(*TOPIC_GONE):
                raise
            self._telegram.call(method, {**_reply_to(replace(job, thread_id=0, message_id=0)), **params}, **options)

    def _edit_text(self, job: Job, text: str, *, cancellable: bool) -> None:
        markup = cancel_markup(job) if cancellable else None
        params = {**_status(job), "text": text, "reply_markup": markup}
        self._telegram.call("editMessageText", params, patience_s=WORD_TIMEOUT_S)

    def _edit_into(
        self, job: Job, document: Document, on_unknown: Callable[[bool], object], should_stop: Callable[[], bool]
    ) -> bool:
        if not job.status_message_id:
            return False
        media = {"type": "document", "media": "attach://upload", "caption": document.caption}
        upload = (document.name, document.content, document.mime)
        try:
            self._patiently(
                job,
                lambda: self._telegram.call("editMessageMedia", {**_status(job), "media": media}, upload=upload),
                importance=Importance.RESULT,
                should_stop=should_stop,
                on_unknown=lambda: on_unknown(False),
            )
        except TelegramRefusalError as refusal:
            if refusal.says(*NOTHING_NEW):
                return True
            if refusal.says(*STATUS_GONE):
                return False
            raise
        return True

    def _send_document(
        self, job: Job, document: Document, on_unknown: Callable[[bool], object], should_stop: Callable[[], bool]
    ) -> None:
        params: dict[str, object] = {"document": "attach://upload", "caption": document.caption}
        upload = (document.name, document.content, document.mime)
        self._patiently(
            job,
            lambda: self._send(job, "sendDocument", params, upload=upload),
            importance=Importance.RESULT,
            should_stop=should_stop,
            on_unknown=lambda: on_unknown(True),
        )

    def _patiently(
        self,
        job: Job,
        call: Callable[[], T],
        *,
        importance: Importance | None = None,
        should_stop: Callable[[], bool] = never,
        on_unknown: Callable[[], object] = lambda: None,
        until: float = math.inf,
    ) -> T:
        """Repeat a call while Telegram asks for patience or cannot be reached; a message waits for its turn before."""
        silence_left_s = LONGEST_SILENCE_S
        for failures in range(TRIES):
            if time.monotonic() > until:
                raise TelegramUnreachableError("waiting", "it took too long")
            silence_left_s -= self._sit_out_silence(job, silence_left_s, should_stop)
            if importance is not None:
                self._await_turn(job, importance, should_stop)
            if should_stop():
                raise CalledOffError
            try:
                return call()
            except TelegramBusyError as busy:
                self._budget.silence(job.chat_id, busy.retry_after_s)
                if failures == TRIES - 1 or busy.retry_after_s > silence_left_s:
                    raise
            except TelegramUnreachableError as error:
                if not error.unsent:
                    on_unknown()
                if failures == TRIES - 1 or time.monotonic() > until:
                    raise
                wait_s = pause_s(failures)
                logger.warning("trying again in %.1f s: %s", wait_s, error)
                _sleep(wait_s, should_stop)
        raise AssertionError("the last try returns or raises")

    def _sit_out_silence(self, job: Job, longest_s: float, should_stop: Callable[[], bool]) -> float:
        silence_s = self._budget.silence_s(job.chat_id)
        if silence_s > longest_s:
            raise TelegramBusyError("waiting", silence_s)
        _sleep(silence_s, should_stop)
        return silence_s

    def _await_turn(self, job: Job, importance: Importance, should_stop: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not should_stop():
            waited_s = time.monotonic() - began
            turn = self._budget.ask(job.chat_id, importance, waited_s=waited_s)
            if waited_s + turn.wait_s > LONGEST_TURN_S:
                raise TelegramBusyError("waiting", max(1.0, turn.wait_s))
            _sleep(turn.wait_s, should_stop)
            if turn.granted and (not turn.wait_s or not self._budget.silence_s(job.chat_id)):
                return


def pause_s(failures: int) -> float:
    """Seconds until the next try after so many failures and one; not the same for all who failed together."""
    return FIRST_PAUSE_S * 2.0**failures * random.uniform(0.5, 1.5)  # noqa: S311 - nobody gains by foreseeing it


def _sleep(seconds: float, should_stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not should_stop():
        time.sleep(min(0.2, left))


def result_name(job: Job, *, scale: float, extension: str) -> str:
    """Name of the result: the user's own file name where there is one, made harmless."""
    name = re.sub(r"[\x00-\x1f\x7f\"\\/:*?<>|]+", "_", job.file_name)
    stem = (name.rpartition(".")[0] if "." in name else name) or job.kind
    return f"{stem[:100]}_x{scale:g}.{extension}"


def _status(job: Job) -> dict[str, object]:
    return {"chat_id": job.chat_id, "message_id": job.status_message_id}


def _in_new_chat(job: Job, moved: ChatMovedError) -> Job:
    """The job in the chat that its own has become, where none of the numbers known so far means anything."""
    return replace(job, chat_id=moved.to_chat_id, message_id=0, status_message_id=0, thread_id=0)


def _reply_to(job: Job) -> dict[str, object]:
    place: dict[str, object] = {"chat_id": job.chat_id, "message_thread_id": job.thread_id or None}
    if not job.message_id:
        return place
    reply = {"message_id": job.message_id, "allow_sending_without_reply": True}
    return {**place, "reply_parameters": reply}
