"""Work on large maps done on several threads: OpenCV and NumPy let go of Python's lock while they calculate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import cv2

Part = TypeVar("Part")
One = TypeVar("One")
Other = TypeVar("Other")

ROWS = 64  # of the picture, done at a time


def strips_of(height: int, rows: int = ROWS) -> list[slice]:
    """Rows that are done at a time, which stay in a processor's cache."""
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def side_by_side(work: Callable[[Part], object], parts: Iterable[Part]) -> None:
    """Do all parts on as many threads as OpenCV may use; what is done to one must not touch what is done to others.

    The caller's thread is one of them. What a part raises is raised here, when no thread works any more.
    """
    waiting = list(parts)
    threads = min(cv2.getNumThreads(), len(waiting))
    if threads < 2:
        for part in waiting:
            work(part)
        return
    left = iter(waiting)  # of a list, which threads may share

    def take() -> None:
        for part in left:
            work(part)

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(take) for _ in range(threads - 1)]
        take()
        for other in others:
            other.result()


def both(one: Callable[[], One], other: Callable[[], Other]) -> tuple[One, Other]:
    """Two things at a time, where OpenCV may use two threads; neither must touch what the other one does."""
    if cv2.getNumThreads() < 2:
        return one(), other()
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(other)
        done = one()
        return done, begun.result()
