"""What a result takes is what was planned for it, however far it grows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# Where freed memory lies differs: in ten runs .7 to 1.2 times the plan, and .84 to 1.03 with transparency. Whole pushes
# of rows, resampled at once, took 2.3 and 2.1 times the same.
SLACK = 1.5


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a part")
def test_a_small_picture_made_very_large_takes_no_more_than_was_planned_seen_through_or_not() -> None:
    command = [sys.executable, "-m", "tests.models.result_process", "3", "4"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120)
    for line in done.stdout.splitlines():
        channels, planned, took = map(int, line.split())
        assert took <= SLACK * planned, f"{channels} channels"
    assert done.stdout.count("\n") == 2
