"""Log lines keep secrets, whoever writes them."""

from __future__ import annotations

import io
import logging

import pytest

from tasks.logs import LONGEST_LINE, DiscreetFormatter, discreet_handler, job_context

TOKEN = "123456789:" + "Ab-_" * 9


@pytest.fixture
def lines():
    """The lines written since the last call."""
    stream = io.StringIO()
    handler, root = discreet_handler(stream), logging.getLogger()
    root.addHandler(handler)
    before, root.level = root.level, logging.INFO

    def read():
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return text.splitlines()

    yield read
    root.removeHandler(handler)
    root.level = before


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


def test_a_line_names_its_job_and_others_do_not(lines):
    logger = logging.getLogger("ours")
    with job_context("9:1:2"):
        logger.info("inside")
    logger.info("outside")
    inside, outside = lines()
    assert "[9:1:2] inside" in inside
    assert "[-] outside" in outside


def test_numbers_that_are_no_token_stay():
    record = logging.LogRecord("a", logging.INFO, "", 0, "took 12:34:56, job 9:-100123:42", (), None)
    assert DiscreetFormatter("%(message)s").format(record) == "took 12:34:56, job 9:-100123:42"
