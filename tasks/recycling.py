"""A worker's process is replaced between two jobs, never in one, when it keeps too much memory.

Celery has that on board, but asks the kernel for the most a process ever had: after one large picture it would load
its models anew, however little is left of that. What counts here is what a process has while nothing is being done and
after it gave back what it could: more than half of what there is, and so much more than a fresh process has that a new
one would help.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from pathlib import Path

import billiard.pool

from models.engine.cgroups import control_group_folders
from tasks import metrics
from tasks.processes import resident_bytes

logger = logging.getLogger(__name__)

SHARE = 0.5  # of what there is, that an idle process may keep
GROWTH = 1.25  # over a fresh one, below which replacing it would gain too little for what it costs
LIMIT_FILES = ("memory.max", "memory.limit_in_bytes")  # of control groups, version 2 and 1


def may_keep_bytes(stated: int | None, *, processes: int, root: Path = Path("/")) -> int | None:
    """What each of a worker's processes may keep between jobs; None where nothing limits it.

    Args:
        stated: ``WORKER_MEMORY``; the container's limit counts as well.
        processes: that share it.
        root: where /proc and /sys are looked for.
    """
    limits = [] if stated is None else [stated]
    for folder in control_group_folders(root, "memory"):
        limits += _limit_in(folder)
    return int(min(limits) * SHARE / processes) if limits else None


def _limit_in(folder: Path) -> list[int]:
    for name in LIMIT_FILES:
        try:
            text = (folder / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < 2**60:  # else it is "max", or version 1's way of saying so
            return [int(text)]
    return []


class Recycling:
    """What a fresh process decides by; Celery asks it after every job."""

    def __init__(self, may_keep: int, *, give_back: Callable[[], None]) -> None:
        """``give_back`` returns freed memory to the system."""
        self._may_keep = may_keep
        self._give_back = give_back
        self._fresh = resident_bytes()

    def install(self) -> None:
        """Answer in place of billiard's own measure, in this process."""
        vars(billiard.pool)["mem_rss"] = self.kilobytes

    def kilobytes(self) -> int:
        """What this process keeps, in KB, as far as a new one would not."""
        kept = resident_bytes()
        if self._is_too_much(kept):
            gc.collect()
            self._give_back()
            kept = resident_bytes()
        if not self._is_too_much(kept):
            return 1  # 0 would mean that nobody knows
        metrics.count("restora_worker_recycled")
        logger.warning(
            "keeps %(kept_mb)d MB, may keep %(may_keep_mb)d and began with %(fresh_mb)d: it is replaced",
            {"kept_mb": kept // 10**6, "may_keep_mb": self._may_keep // 10**6, "fresh_mb": self._fresh // 10**6},
        )
        return kept // 1024

    def _is_too_much(self, kept: int) -> bool:
        return kept > max(self._may_keep, GROWTH * self._fresh)
