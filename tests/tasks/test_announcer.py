"""What is said beside the work is tried until it is done or too late, and one chat holds up no other."""

from __future__ import annotations

import threading
import time

import pytest

from tasks import announcer as module
from tasks.announcer import Announcer


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(module, "WITHIN_S", 0.3)


def test_what_finds_no_room_at_first_is_tried_again_and_others_do_not_wait_for_it():
    tried, done = [], threading.Event()

    def announce(job):
        tried.append(job)
        if tried.count("slow") == 3:
            done.set()
        return job == "quick" or tried.count("slow") == 3

    announcer = Announcer(announce)
    announcer.add("slow")
    announcer.add("quick")
    assert done.wait(2)
    time.sleep(0.1)
    assert (tried.count("slow"), tried.count("quick")) == (3, 1)
    assert tried.index("quick") < 3


def test_what_comes_too_late_is_not_said():
    tried = []
    announcer = Announcer(lambda job: bool(tried.append(job)))
    announcer.add("never")
    time.sleep(0.45)
    count = len(tried)
    assert count > 3
    time.sleep(0.1)
    assert len(tried) == count


def test_of_a_crowd_only_so_many_wait(monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    tried = set()
    announcer = Announcer(lambda job: bool(tried.add(job)))
    for number in range(10):
        announcer.add(number)
    time.sleep(0.1)
    assert len(tried) == 3


def test_one_that_fails_unexpectedly_silences_no_other():
    tried, done = [], threading.Event()

    def announce(job):
        tried.append(job)
        if job == "broken":
            raise ValueError("a bug")
        done.set()
        return True

    announcer = Announcer(announce)
    announcer.add("broken")
    time.sleep(0.1)
    announcer.add("sound")
    assert done.wait(2)
    assert tried == ["broken", "sound"]
