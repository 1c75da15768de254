"""What has to be settled for a process before torch is loaded."""

from __future__ import annotations

import os
import sys

STARTING = "getting ready, which takes some seconds ..."


def prepare_process() -> None:
    """Let idle threads sleep and large arrays lie in large pages, unless the user chose otherwise.

    A thread that spins takes its core from the thread it is waiting for as soon as anything else wants to run:
    measured on two cores shared with one other process, a tile took 3.6 s instead of 18 s. And every layer's result is
    a new array, which the kernel hands out page by page: with pages of 4 KB that took up to a fifth of the time.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def say_starting() -> None:
    """Tell somebody who watches at once that something is going on: loading torch and the networks takes a while."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{STARTING}\n")
        sys.stderr.flush()
