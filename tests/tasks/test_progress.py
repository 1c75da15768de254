"""Progress edits keep their distance and never hold up the work."""

from __future__ import annotations

import threading
import time

import pytest

from tasks import progress
from tasks.progress import ProgressReporter, edit_interval_s
from tasks.telegram import TelegramBusyError


@pytest.mark.parametrize(
    ("is_group", "running_s", "interval_s"),
    [
        (False, 0, 3),
        (False, 59, 3),
        (False, 60, 6),
        (False, 120, 12),
        (False, 180, 15),
        (False, 1e6, 15),
        (True, 0, 6),
        (True, 61, 12),
    ],
)
def test_edits_become_rarer_the_longer_a_job_runs(is_group, running_s, interval_s):
    assert edit_interval_s(is_group=is_group, running_s=running_s) == interval_s


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_EDIT_AFTER_S", 0.02)
    monkeypatch.setattr(progress, "PRIVATE_INTERVAL_S", 0.05)


def test_the_latest_progress_wins_and_nothing_is_said_twice(quick):
    shown = []
    with ProgressReporter(shown.append, is_group=False) as reporter:
        for percent in range(50):
            reporter.report(percent / 100)
            time.sleep(0.002)
        time.sleep(0.3)  # nothing new: nothing is sent
    assert 1 <= len(shown) <= 6
    assert shown == sorted(set(shown))
    assert shown[-1] == 0.49


def test_reporting_does_not_wait_for_a_slow_chat(quick):
    release = threading.Event()
    with ProgressReporter(lambda _: release.wait(5), is_group=False) as reporter:
        time.sleep(0.1)  # the thread is inside the slow call
        began = time.perf_counter()
        for step in range(10_000):
            reporter.report(step / 10_000)
        took = time.perf_counter() - began
        release.set()
    assert took < 4


def test_an_edit_that_hangs_holds_up_the_end_of_the_work_for_a_moment_only(quick):
    release = threading.Event()
    with ProgressReporter(lambda _: release.wait(10), is_group=False):
        time.sleep(0.1)  # the thread is inside the call that hangs
        began = time.perf_counter()
    assert time.perf_counter() - began < 8
    release.set()


def test_a_refused_edit_does_not_end_the_reports(quick):
    shown = []

    def send(fraction):
        shown.append(fraction)
        if len(shown) == 1:
            raise TelegramBusyError("editMessageText", 1.0)

    with ProgressReporter(send, is_group=False) as reporter:
        for step in range(1, 7):
            reporter.report(step / 10)
            time.sleep(0.06)
    assert len(shown) > 1


def test_a_short_job_is_over_before_anything_is_said():
    shown = []
    with ProgressReporter(shown.append, is_group=False) as reporter:
        reporter.report(0.5)
    assert shown == []
