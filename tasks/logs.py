"""Logging of all processes: one line an event, with the job it belongs to. Never tokens, people or what they send.

A job is named by a pseudonym (:func:`job_name`), because its id is made of the numbers of a bot, a chat and a message,
and the chat's is the user's own. Figures of an event are given as one mapping, ``logger.info("claimed, attempt
%(attempt)d", {"attempt": 2})``: text has them in the sentence, JSON as fields of their own as well.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, TextIO

LogFormat = Literal["text", "json"]

_job_id: ContextVar[str] = ContextVar("job_id", default="")

# Anything formed like a bot token, whoever logs it: foreign exceptions like to quote the address they called.
TOKEN_FORM = re.compile(r"\d{6,20}:[A-Za-z0-9_-]{20,100}")
JOB_FORM = re.compile(r"(?<![\w:])\d{5,20}:-?\d{1,20}:\d{1,20}(?![\w:])")
LONGEST_LINE = 500  # foreign exceptions may quote a whole answer of Telegram, with messages and file names in it

# What foreign libraries say about people and their files. aiogram puts the whole answer behind "Content:" when it
# cannot read it, pydantic a piece of it behind "input_value="; "Flood control exceeded" names the chat, and of a group
# that has moved both numbers are told: "to a supergroup with id -100… from -42…".
DISCRETIONS = (
    (re.compile(r"\bContent: .*", re.DOTALL), "Content: <left out>"),
    (re.compile(r"\binput_value=.*?(?=, input_type=|\]|$)", re.MULTILINE), "input_value=<left out>"),
    (
        re.compile(
            r"""\b(file_id|file_unique_id|file_name|file_path|first_name|last_name|username|title|caption|text)"""
            r"""(['"]?\s*[:=]\s*)('(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?)"""
        ),
        r"\1\2<left out>",
    ),
    (re.compile(r"(?i)\b((?:chat|user|sender)(?:[_ ]?id)?['\"]?\s*[:=]?\s*)-?\d+"), r"\1<id>"),
    (re.compile(r"\b(id['\"]?\s*[:=]\s*)-?\d{5,}"), r"\1<id>"),
    (re.compile(r"\b((?:id|from) )-\d{4,}\b"), r"\1<id>"),
    (re.compile(r"(?<![\w.-])-100\d{8,}\b"), "<id>"),  # how numbers of supergroups and channels begin
    (re.compile(r"""\bb(?:'(?:[^'\\]|\\.){16,}'?|"(?:[^"\\]|\\.){16,}"?)"""), "<bytes>"),
    (re.compile(r"(?<![\w/.-])(?![0-9a-f]+(?![\w-]))(?=[\w-]*\d)[A-Za-z0-9_-]{40,}={0,2}"), "<id>"),  # digests may stay
)

# aiogram.event tells of every update; urllib3 and Celery's two quote addresses and arguments; Pillow what files say;
# billiard, which calls itself multiprocessing, every step in the life of a process.
QUIETER = ("aiogram.event", "urllib3", "celery.worker.strategy", "celery.app.trace", "PIL", "multiprocessing")
OURS = ("bot", "tasks", "models", "__main__")  # whose mappings are figures; Celery's have arguments in them

_key = b""


def job_name(job_id: str) -> str:
    """The pseudonym of a job in logs: the same in every process of a bot, and nothing without the bot's token."""
    digest = hmac.digest(_key, job_id.encode(), "sha256")
    return "j" + base64.b32encode(digest)[:10].decode().lower()


def name_jobs_with(key: str) -> None:
    """Make the pseudonyms of jobs with this secret from now on."""
    global _key  # noqa: PLW0603 - as global as logging itself
    _key = key.encode()


@contextmanager
def job_context(job_id: str) -> Iterator[None]:
    """Name the job in every line this thread, or task, logs inside."""
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


def discreet(text: str) -> str:
    """A text without what must not be in a log."""
    text = TOKEN_FORM.sub("<token>", text)
    text = JOB_FORM.sub(lambda found: job_name(found[0]), text)
    for form, instead in DISCRETIONS:
        text = form.sub(instead, text)
    return text


class DiscreetFormatter(logging.Formatter):
    """Leaves tokens, people and files out of lines and tracebacks, and shortens lines that quote too much."""

    def format(self, record: logging.LogRecord) -> str:
        """The line and its traceback, discreetly."""
        return _short(discreet(super().format(record)))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``event``, if any ``job`` and ``error``, and figures."""

    def format(self, record: logging.LogRecord) -> str:
        """The event as JSON, discreetly."""
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": _short(discreet(record.getMessage())),
        }
        if job_id := _job_id.get():
            said["job"] = job_name(job_id)
        if record.exc_info:
            said["error"] = _short(discreet(self.formatException(record.exc_info)))
        for name, value in _figures(record).items():
            said.setdefault(name, value)
        return json.dumps(said, ensure_ascii=False)


def _figures(record: logging.LogRecord) -> Mapping[str, object]:
    """The mapping that one of our own events was given."""
    if not isinstance(record.args, Mapping) or record.name.partition(".")[0] not in OURS:
        return {}
    return {name: _plain(value) for name, value in record.args.items()}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    return value if isinstance(value, bool | int | float) or value is None else _short(discreet(str(value)))


def _short(text: str) -> str:
    return "\n".join(line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " …" for line in text.splitlines())


def discreet_handler(stream: TextIO, form: LogFormat = "text") -> logging.Handler:
    """A handler that writes our kind of lines."""
    handler = logging.StreamHandler(stream)
    text = DiscreetFormatter("%(asctime)s %(levelname)-7s %(name)s [%(job)s] %(message)s")
    handler.setFormatter(text if form == "text" else JsonFormatter())
    handler.addFilter(_add_job)
    return handler


def configure_logging(level: str, *, form: LogFormat = "text", key: str = "") -> None:
    """Send the records of this process to standard error; also warnings, and what ends a thread or the process.

    Args:
        level: of our own loggers and, but for those that say too much, of everybody's.
        form: of the lines.
        key: a secret that all processes of a bot share, its token; jobs get their pseudonyms with it.
    """
    name_jobs_with(key)
    logging.basicConfig(level=level, handlers=[discreet_handler(sys.stderr, form)], force=True)
    for chatty in QUIETER:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _log_the_end
    threading.excepthook = _log_the_end_of_a_thread


def _log_the_end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """In place of Python's own words, which may have the token in them."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        logging.getLogger(__name__).critical("ended by an error", exc_info=(kind, error, traceback))


def _log_the_end_of_a_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is not None:
        what = (end.exc_type, end.exc_value, end.exc_traceback)
        logging.getLogger(__name__).error("a thread was ended by an error", exc_info=what)


def _add_job(record: logging.LogRecord) -> bool:
    job_id = _job_id.get()
    record.job = job_name(job_id) if job_id else "-"
    return True
