"""Log lines keep secrets, whoever writes them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from contextlib import contextmanager

import pytest
from aiogram.exceptions import ClientDecodeError, TelegramMigrateToChat, TelegramRetryAfter
from aiogram.methods import SendMessage
from aiogram.types import Message, Update
from pydantic import ValidationError

from tasks.logs import LONGEST_LINE, DiscreetFormatter, discreet_handler, job_context, job_name
from tests.conftest import REPOSITORY

TOKEN = "123456789:" + "Ab-_" * 9
JOB = "123456789:987654321:42"


@contextmanager
def reading(form):
    stream = io.StringIO()
    handler, root = discreet_handler(stream, form), logging.getLogger()
    root.addHandler(handler)
    before = root.level
    root.setLevel(logging.INFO)  # which also forgets what loggers have found out about their level

    def read():
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return text.splitlines()

    yield read
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def lines():
    """The lines written since the last call."""
    with reading("text") as read:
        yield read


@pytest.fixture
def events():
    """The lines written since the last call, as the JSON they are."""
    with reading("json") as read:
        yield lambda: [json.loads(line) for line in read()]


def log_raised(error):
    try:
        raise error
    except type(error):
        logging.getLogger("foreign").exception("failed")


def test_a_token_in_a_message_is_left_out(lines):
    logging.getLogger("foreign").warning("cannot reach https://api.telegram.org/bot%s/getMe", TOKEN)
    (line,) = lines()
    assert TOKEN not in line
    assert "bot<token>/getMe" in line


def test_a_token_in_a_traceback_is_left_out(lines):
    log_raised(ConnectionError(f"/bot{TOKEN}/sendDocument"))
    text = "\n".join(lines())
    assert "ConnectionError" in text
    assert TOKEN not in text


def test_an_answer_quoted_at_length_is_cut(lines):
    logging.getLogger("foreign").warning("cannot decode %s", "x" * 10_000)
    (line,) = lines()
    assert len(line) < LONGEST_LINE + 10
    log_raised(ValueError("y" * 10_000))
    assert max(map(len, lines())) < LONGEST_LINE + 10


def test_a_line_names_its_job_without_telling_whose_it_is(lines):
    logger = logging.getLogger("ours")
    with job_context(JOB):
        logger.info("inside")
    logger.info("outside, but about %s", JOB)
    inside, outside = lines()
    assert f"[{job_name(JOB)}] inside" in inside
    assert outside.endswith(f"[-] outside, but about {job_name(JOB)}")
    assert "987654321" not in inside + outside


def test_the_name_of_a_job_is_nothing_without_the_token():
    script = """
import sys
from tasks.logs import configure_logging, job_name
configure_logging("INFO", key=sys.argv[1])
print(job_name(sys.argv[2]))
"""

    def named(key, job):
        command = [sys.executable, "-c", script, key, job]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout

    assert named(TOKEN, JOB) == named(TOKEN, JOB)
    assert len({named(TOKEN, JOB), named(TOKEN, JOB + "3"), named(TOKEN + "x", JOB)}) == 3


def test_numbers_that_are_no_token_stay():
    record = logging.LogRecord("a", logging.INFO, "", 0, "took 12:34:56, job 9:-100123:42", (), None)
    assert DiscreetFormatter("%(message)s").format(record) == "took 12:34:56, job 9:-100123:42"


def test_figures_of_an_event_are_fields(events):
    with job_context(JOB):
        logging.getLogger("tasks.restore").info("claimed, attempt %(attempt)d", {"attempt": 2, "stages": {"a": 0.5}})
    (event,) = events()
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "level": "INFO",
        "logger": "tasks.restore",
        "event": "claimed, attempt 2",
        "job": job_name(JOB),
        "attempt": 2,
        "stages": {"a": 0.5},
    }


def test_a_figure_cannot_pass_itself_off_as_the_level(events):
    logging.getLogger("tasks.restore").info("odd: %(level)s", {"level": "CRITICAL", "who": f"bot{TOKEN}"})
    (event,) = events()
    assert (event["level"], event["who"]) == ("INFO", "bot<token>")


def test_what_foreign_libraries_hand_over_is_no_figure(events):
    logging.getLogger("celery.app.trace").info("Task %(name)s", {"name": "photo.restore", "args": "['secret']"})
    (event,) = events()
    assert "args" not in event


def test_an_error_is_a_field_and_the_event_one_line(events):
    log_raised(ConnectionError(f"/bot{TOKEN}/sendDocument"))
    (event,) = events()
    assert "ConnectionError: /bot<token>/sendDocument" in event["error"]
    assert event["event"] == "failed"


MESSAGE = {
    "message_id": 5,
    "date": 0,
    "chat": {"id": 987654321, "type": "private", "first_name": "Zoë", "username": "zoe_the_great"},
    "from": {"id": 987654321, "is_bot": False, "first_name": "Zoë"},
    "document": {
        "file_id": "BQACAgIAAxkBAAIBY2Vx-abcdefghijk1mnopqrstuvwxyz0123456789ABC",
        "file_unique_id": "AgADbQADrWgySw",
        "file_name": "My diary.png",
    },
}
PRIVATE = ("Zoë", "zoe_the_great", "987654321", "BQACAgIA", "AgADbQADrWgySw", "diary", "424242", "1001987")


def unreadable():
    """How aiogram complains about an answer that it cannot read: with all of it."""
    try:
        Update.model_validate({"update_id": "x", "message": MESSAGE})
    except ValidationError as error:
        return ClientDecodeError("Failed to decode object", error, {"result": [MESSAGE]})


def half_read():
    try:
        Message.model_validate({**MESSAGE, "message_id": None, "document": PRIVATE[3] + PRIVATE[5]})
    except ValidationError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        unreadable(),
        half_read(),
        TelegramRetryAfter(SendMessage(chat_id=987654321, text="x"), "Flood control exceeded", 3),
        TelegramMigrateToChat(SendMessage(chat_id=-424242, text="x"), "Bad Request: upgraded", -1001987654321),
        RuntimeError("the new one is -1001987654321, was -1001987654321."),
        KeyError(Message.model_validate(MESSAGE)),
        ValueError(json.dumps(MESSAGE, ensure_ascii=False)),
        ValueError(repr(MESSAGE)),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_libraries_say_of_people_and_their_files_is_left_out(error, form):
    with reading(form) as read:
        logging.getLogger("aiogram.dispatcher").error("Failed to fetch updates - %s: %s", type(error).__name__, error)
        log_raised(error)
        text = "\n".join(read())
    assert type(error).__name__ in text
    assert [secret for secret in PRIVATE if secret in text] == []


def test_bytes_of_a_picture_are_left_out(lines):
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
    logging.getLogger("foreign").warning("cannot identify %r", picture)
    (line,) = lines()
    assert line.endswith("cannot identify <bytes>")


def test_a_digest_stays_whole(lines):
    logging.getLogger("ours").warning("sha256 is %s", "0123456789abcdef" * 4)
    assert lines()[0].endswith("0123456789abcdef" * 4)


@pytest.mark.parametrize("where", ["the process", "a thread"])
def test_what_ends_without_a_log_line_of_its_own_gets_one_and_it_is_discreet(where):
    script = f"""
import sys, threading
from tasks.logs import configure_logging
configure_logging("INFO", form="json")
def fail():
    raise ConnectionError("/bot{TOKEN}/getMe")
if {where == "a thread"}:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
else:
    fail()
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    (event,) = map(json.loads, ended.stderr.splitlines())
    assert "ConnectionError: /bot<token>/getMe" in event["error"]
    assert ended.returncode == (where == "the process")
