"""How far something is: a bar on a terminal, lines anywhere else."""

from __future__ import annotations

import io
import sys

import pytest

from training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def count(total, **options):
    with Progress("patches", total, **options) as progress:
        for done in range(options.get("done", 0), total):
            progress.advance(note=f"loss {done}")
        progress.say("that was it")


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_terminal_gets_a_bar_and_anything_else_a_line_now_and_then(monkeypatch, kind):
    stderr = kind()
    monkeypatch.setattr(sys, "stderr", stderr)
    count(30)
    lines = stderr.getvalue().splitlines()
    assert "that was it" in lines
    if isinstance(stderr, Terminal):
        assert "\rpatches: 100%" in stderr.getvalue()
        assert not [line for line in lines if " of 30" in line]
    else:
        assert "\r" not in stderr.getvalue()
        assert len(lines) == 11
        assert lines[0].startswith("patches: 3 of 30, loss 2, ")
        assert lines[0].endswith(" left")
        assert lines[9] == "patches: 30 of 30, loss 29"


def test_lines_come_as_often_as_asked_and_at_the_end(monkeypatch, capsys):
    count(10, every=4)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()[:-1]] == [
        "patches: 4 of 10", "patches: 8 of 10", "patches: 10 of 10",
    ]  # fmt: skip


def test_what_was_done_before_counts_and_its_time_does_not(capsys):
    count(8, done=6, every=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("patches: 7 of 8, loss 6, 00:0")
    assert lines[1] == "patches: 8 of 8, loss 7"


def test_steps_of_several_pass_no_line_by(capsys):
    with Progress("answers", 100, every=50) as progress:
        for _ in range(4):
            progress.advance(30 if progress._done < 90 else 10)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "answers: 60 of 100",
        "answers: 100 of 100",
    ]
