"""How idle threads wait, which has to be settled before torch is loaded."""

from __future__ import annotations

import os


def sleep_while_waiting() -> None:
    """Make OpenMP threads sleep, not spin, between two layers, unless the user chose otherwise.

    A thread that spins takes its core from the thread it is waiting for as soon as anything else wants to run:
    measured on two cores shared with one other process, a tile took 3.6 s instead of 18 s.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
