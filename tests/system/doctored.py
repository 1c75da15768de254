"""Faults built into a real worker: ``celery worker -I tests.system.doctored``. The width of a picture says which."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from celery import signals
from PIL import Image

import tasks.app
from tasks.app import Process

HANGS, LEAKS, IMPATIENT = 13, 17, 19  # px; the last gives decoding a second, where it normally has eight
GREEDY = 1601  # px; while it is restored its process gets no more than a little memory from the kernel
LITTLE_BYTES = 8 * 2**20  # the result of 1601x1200 px is one piece of 92 MB
TOLD_AT_LENGTH = "tests:told_at_length"  # while Redis has it, the next hint fails, with more to say than a pipe holds
LEAK_BYTES = 200 * 2**20
JOB_TIMEOUT_S, GRACE_S = 6.0, 1.0  # the first is a setting, the second ten minutes outside of tests

kept: list[bytearray] = []


@signals.worker_init.connect
def shorten(**_):
    """Let the hard limit come soon; --time-limit would not, since Celery prefers what the task has."""
    tasks.app.HARD_LIMIT_GRACE_S = GRACE_S  # by it a janitor tells what was killed at that limit
    tasks.app.restore_photo.time_limit = JOB_TIMEOUT_S + GRACE_S


@contextmanager
def a_little_memory():
    """Have the kernel refuse this process more than that much more; what it has it keeps."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + LITTLE_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@signals.worker_process_init.connect
def doctor(**_):
    import models.restorer

    workshop, limits_of = Process.workshop, models.restorer.limits_of
    restore, run_next = workshop.restorer.restore, workshop.run_next

    def run_next_or_fail():
        if workshop.store.redis.delete(TOLD_AT_LENGTH):
            time.sleep(0.5)
            raise RuntimeError("once upon a time " * 10_000)
        return run_next()

    def doctored(data, options, **callbacks):
        width = Image.open(BytesIO(data)).width
        if width == HANGS:
            while True:  # in native code, where neither a signal nor should_stop reaches it
                ctypes.CDLL(None).sleep(1000)
        if width == GREEDY:
            options = replace(options, max_seconds=300.0)  # or it would be refused for the time it takes
        limits = {"max_seconds": 1.0} if width == IMPATIENT else {}
        models.restorer.limits_of = lambda options: replace(limits_of(options), **limits)
        with a_little_memory() if width == GREEDY else nullcontext():
            restored = restore(data, options, **callbacks)
        if width == LEAKS:
            kept.append(bytearray(os.urandom(2**20)) * (LEAK_BYTES >> 20))
        return restored

    workshop.restorer.restore, workshop.run_next = doctored, run_next_or_fail
