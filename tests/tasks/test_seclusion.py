"""A process keeps its secrets from another one of the same user."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process do so")

# Root may read everything, so it becomes nobody first; which secludes by itself, and is taken back.
PROGRAM = """
import ctypes, os, resource, subprocess, sys
from tasks.seclusion import PR_SET_DUMPABLE, seclude
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
if sys.argv[1] == "secluded":
    seclude()
neighbour = subprocess.run(["cat", f"/proc/{os.getpid()}/environ"], capture_output=True, text=True)
print("read" if "the-secret" in neighbour.stdout else "kept", resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.parametrize(("how", "said"), [("secluded", "kept 0"), ("open", "read")])
def test_a_neighbour_reads_the_environment_of_an_open_process_but_not_of_a_secluded_one(how, said):
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        capture_output=True,
        text=True,
        env={"TOKEN": "the-secret", "PATH": "/usr/bin:/bin"},
        cwd=REPOSITORY,
        check=False,
    )
    assert finished.stdout.startswith(said), finished.stderr
