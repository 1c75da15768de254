"""``python -m tasks.jobs`` finds the job that a log means."""

from __future__ import annotations

import os
import subprocess
import sys

from tasks.messages import JobState
from tests.conftest import REPOSITORY

TOKEN = "123456789:" + "A" * 35


def test_a_pseudonym_leads_to_its_job_and_an_id_to_its_pseudonym(tmp_path, store, submit, redis_server):
    for number in range(3):
        submit(987654321, number)
    store.finish(store.claim(("restore",), worker="host:1", lease_s=30), JobState.FAILED, error="timeout")

    def asked(name):
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
        env |= {"BOT_TOKEN": TOKEN, "REDIS_URL": redis_server.url}
        command = [sys.executable, "-m", "tasks.jobs", name]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    by_id = asked("9:987654321:0")
    first, *record = by_id.stdout.splitlines()
    pseudonym = first.split()[3]
    assert first == f"9:987654321:0 is called {pseudonym} in logs"
    assert "file-987654321-0" not in by_id.stdout
    by_name = asked(pseudonym)
    assert by_name.stdout.splitlines() == record
    assert ["error", "timeout"] in [line.split() for line in record]
    assert asked("jnobodyever").returncode == 1
