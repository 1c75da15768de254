"""A worker's process whose results are all as large as Telegram may be sent them in; for ``test_bounds.py``.

``python -m tests.tasks.large_results REDIS_URL API_URL TOKEN FOLDER`` does jobs until there are none. Everything is a
worker's own but the restorer, which has no network to wait for. Prints before the first job and after each, in bytes,
how much memory it has, how much it has had at most, and how much of it is in Python's use rather than freed and
held by the allocator.
"""

from __future__ import annotations

import re
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import psutil
from filelock import FileLock

from models import RestoreOptions
from tasks.budget import SendBudget
from tasks.door import TelegramDoor
from tasks.restore import Workshop
from tasks.store import JobStore, connect
from tasks.telegram import TelegramClient
from tests.tasks.test_workshop import RESULT

RESULT_BYTES = 20_000_000
MARK = b"bytes of a picture, which belong into no store. "
BLOCK = MARK * 1000


class LargeResults:
    """Restores everything to the same size, in memory of its own."""

    def restore(self, *_: object, **__: object) -> SimpleNamespace:
        data = (BLOCK * (RESULT_BYTES // len(BLOCK) + 1))[:RESULT_BYTES]
        return SimpleNamespace(**{**vars(RESULT), "data": data, "size_in_wh": (1280, 960), "size_out_wh": (5120, 3840)})

    def close(self) -> None:
        pass


def main(redis_url: str, api_url: str, token: str, folder: str) -> None:
    store = JobStore(connect(redis_url), secret=token)
    budget = SendBudget(store.redis, bot_id=9, secret=token, messages_per_s=1000.0)
    workshop = Workshop(
        store=store,
        door=TelegramDoor(TelegramClient(token, api_url=api_url), max_file_bytes=20 << 20, budget=budget),
        restorer=LargeResults(),
        options=RestoreOptions(),
        device_lock=FileLock(Path(folder) / "lock", thread_local=False),
        ring=lambda _: None,
        worker="w",
        queues=("restore",),
        lease_s=15.0,
        job_timeout_s=60.0,
    )
    has_more = True
    tracemalloc.start()
    while has_more:
        in_use, _ = tracemalloc.get_traced_memory()
        sys.stdout.write(f"{psutil.Process().memory_info().rss} {_most()} {in_use}\n")
        sys.stdout.flush()
        has_more = workshop.run_next()


def _most() -> int:
    # A new program inherits ru_maxrss from the one that started it.
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(kilobytes) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
