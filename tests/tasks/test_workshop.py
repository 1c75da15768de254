"""One job in a worker's hands, with a real Redis; the door and the restorer are as quick as can be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from filelock import FileLock

from dev.redis_server import running_redis
from models import RestoreOptions
from tasks.messages import JobState
from tasks.restore import Workshop
from tasks.store import JobStore, connect
from tests.tasks.conftest import UNLIMITED, wish

RESULT = SimpleNamespace(
    data=b"result",
    extension="png",
    mime="image/png",
    size_in_wh=(1, 1),
    size_out_wh=(4, 4),
    model="toy",
    seconds={"total": 0.1},
    notices=(),
    faces_restored=0,
    faces_left=0,
    choice="the only one",
    estimate_s=0.1,
)


class DoorWhileRedisIsAway:
    """Sends a result again in the very moment in which Redis is stopped."""

    def __init__(self, server):
        self.server = server

    def fetch(self, *_, **__):
        return b"picture"

    def deliver(self, *_, on_unknown, **__):
        self.server.stop()
        on_unknown(True)
        self.server.start()
        return False


@pytest.fixture
def own_redis(tmp_path):
    with running_redis(tmp_path / "redis") as server:
        yield server


def test_a_result_sent_again_while_redis_was_away_is_flagged_when_it_is_back(own_redis, tmp_path):
    store = JobStore(connect(own_redis.url))
    store.submit(wish(1, 1), **UNLIMITED)
    workshop = Workshop(
        store=store,
        door=DoorWhileRedisIsAway(own_redis),
        restorer=SimpleNamespace(restore=lambda *_, **__: RESULT),
        options=RestoreOptions(),
        device_lock=FileLock(tmp_path / "lock", thread_local=False),
        ring=lambda _: None,
        worker="w",
        queues=("restore",),
        lease_s=5.0,
        job_timeout_s=60.0,
    )
    assert workshop.run_next()
    job = store.get("9:1:1")
    assert (job.state, job.resent) == (JobState.DONE, True)
    store.redis.close()
