"""``python -m tasks.jobs NAME``: which job a log means, or what a job is called in logs; and what Redis knows of it.

NAME is the pseudonym that logs have, such as ``jbvxkqzfkh4``, or the id of a job, ``BOT:CHAT:MESSAGE``.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from redis import RedisError

from tasks.logs import job_name, name_jobs_with
from tasks.messages import Job
from tasks.settings import ProcessSettings, SettingsError, load_settings
from tasks.store import JobStore, connect

TOLD = ("state", "queue", "kind", "pixels", "locale", "attempt", "forgiven", "progress", "worker", "error", "resent")


def main() -> int:
    """Exit status 0 when the job is known."""
    parser = argparse.ArgumentParser(prog="python -m tasks.jobs", description=__doc__.splitlines()[0])
    parser.add_argument("name", metavar="NAME", help="what a log calls the job, or its id")
    name = parser.parse_args().name
    try:
        settings = load_settings(ProcessSettings)
        name_jobs_with(settings.bot_token.get_secret_value())
        job = _find(JobStore(connect(settings.redis_url.get_secret_value())), name)
    except (SettingsError, RedisError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if ":" in name:
        sys.stdout.write(f"{name} is called {job_name(name)} in logs\n")
    if job is None:
        sys.stderr.write("Redis has no record of it, or not any more\n")
        return 1
    sys.stdout.write(_told(job))
    return 0


def _find(store: JobStore, name: str) -> Job | None:
    if ":" in name:
        return store.get(name)
    ids = (str(key).removeprefix("restora:job:") for key in store.redis.scan_iter("restora:job:*", count=1000))
    return next((store.get(job_id) for job_id in ids if job_name(job_id) == name), None)


def _told(job: Job) -> str:
    times = {"queued": job.queued_ms, "started": job.started_ms, "ended": job.ended_ms}
    moments = {
        name: datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
        for name, ms in times.items()
        if ms
    }
    said = {"id": job.id, **{name: getattr(job, name) for name in TOLD}, **moments}
    return "".join(f"{name:9} {value}\n" for name, value in said.items())


if __name__ == "__main__":
    sys.exit(main())
