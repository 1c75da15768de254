"""Measuring fairly on a machine that others use, too: contestants take turns, medians count, the spread is shown.

Wall-clock time is what a user waits. Time of the processor, over all threads, is what a contestant used; whatever
else runs on the machine hardly changes it, so it is the steadier of the two.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds on the wall, and of the processor over all threads."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Several numbers in three."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one number."""
        return cls(float(np.median(values)), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Runs(Generic[Result]):
    """What a contestant took each time, and what it gave the last time."""

    samples: tuple[Sample, ...]
    result: Result

    @property
    def wall(self) -> Spread:
        """Seconds that passed."""
        return Spread.of([sample.wall_s for sample in self.samples])

    @property
    def cpu(self) -> Spread:
        """Seconds of the processor."""
        return Spread.of([sample.cpu_s for sample in self.samples])


def timed(work: Callable[[], Result]) -> tuple[Sample, Result]:
    """Run once between two looks at both clocks."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Sample(time.perf_counter() - wall, time.process_time() - cpu), result


Contestant = Callable[[], tuple[Sample, Result]]


def alternate(
    contestants: Mapping[str, Contestant[Result]], repeats: int, done: Callable[[], object] = lambda: None
) -> dict[str, Runs[Result]]:
    """Let each run once, then each again, so that a busy minute hits all of them.

    Args:
        contestants: name to what runs once and says what it took.
        repeats: how often each runs; at least once.
        done: called after every run.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    results: dict[str, Result] = {}
    for _ in range(repeats):
        for name, run in contestants.items():
            sample, results[name] = run()
            samples[name].append(sample)
            done()
    return {name: Runs(tuple(samples[name]), results[name]) for name in contestants}


def growth_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The b of ``seconds = a * sizes ** b`` that fits best, in logarithms; 1 is linear.

    Raises:
        ValueError: fewer than two different sizes, or one that is not positive.
    """
    if len(set(sizes)) < 2 or min(*sizes, *seconds) <= 0:
        raise ValueError(f"no exponent follows from the sizes {list(sizes)} and the seconds {list(seconds)}")
    slope, _ = np.polyfit([math.log(size) for size in sizes], [math.log(value) for value in seconds], 1)
    return float(slope)
