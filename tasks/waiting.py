"""How long it will take until a queued picture is done, from what the workers say of themselves. Knows no Redis.

And what it costs its owner in turns: the queue is fair by the work that pictures make, not by their number.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.messages import WorkerCard

# What a picture costs, in megapixels: what every picture takes, and where the planner makes large ones grow less.
LEAST_COST, MOST_COST = 0.5, 4.0

STICKER_RUNS = 2  # of a network: stickers are drawings with transparency, which is a picture of its own

Estimates = Sequence[tuple[int, float]]  # pixels of a picture, rising, and the seconds one takes


def cost_of(pixels: int) -> float:
    """The share of everybody's time that a picture takes of its owner's, in no unit but that of other pictures.

    Bounded, so that nobody's picture waits for more than ``MOST_COST / LEAST_COST`` of each other user's.
    """
    return min(MOST_COST, max(LEAST_COST, pixels / 1e6))


@dataclass(frozen=True)
class Picture:
    """What a picture takes, as far as one can tell before it is opened.

    Args:
        pixels: as the bot knew them, or guessed; of all runs of a network together.
        longest: it is of the kind that takes longest, and not a photograph.
    """

    pixels: int
    longest: bool = False

    @classmethod
    def sent_as(cls, kind: str, pixels: int) -> Picture:
        """A sticker is a drawing; whatever else is sent counts as a photograph, which most pictures are."""
        return cls(STICKER_RUNS * pixels, longest=True) if kind == "sticker" else cls(pixels)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A job that a worker holds.

    Args:
        worker: its name.
        picture: what it restores.
        progress: in [0, 1].
        left_s: seconds by the pace it has shown so far; None: not known yet.
    """

    worker: str
    picture: Picture
    progress: float
    left_s: float | None = None


@dataclass(kw_only=True)
class Lane:
    """Where one picture is restored at a time: a device, which the workers of one host share."""

    estimates: Estimates
    longest: Estimates = ()
    busy_s: float = 0.0

    def takes_s(self, picture: Picture) -> float:
        """Seconds that a picture takes here."""
        photograph_s = expected_s(picture.pixels, self.estimates)
        if not (picture.longest and self.longest):
            return photograph_s
        return max(photograph_s, expected_s(picture.pixels, self.longest))


def expected_s(pixels: int, estimates: Estimates) -> float:
    """Seconds that a picture of ``pixels`` takes.

    Between two sizes of the table, interpolated between the logarithms. Below its smallest, along the straight line
    through the first two: what a small picture takes is mostly what every picture takes. Above its largest as long as
    that one, since what is not in the table would be refused or done in another way within the same time.

    Args:
        pixels: any number.
        estimates: at least one size.
    """
    if pixels <= estimates[0][0]:
        return _below(pixels, estimates)
    after = bisect_right(estimates, pixels, key=lambda row: row[0])
    if after == len(estimates):
        return estimates[-1][1]
    (low, low_s), (high, high_s) = estimates[after - 1 : after + 1]
    share = math.log(pixels / low) / math.log(high / low)
    return math.pow(low_s, 1 - share) * math.pow(high_s, share)


def _below(pixels: int, estimates: Estimates) -> float:
    first_pixels, first_s = estimates[0]
    proportional_s = first_s * max(0, pixels) / first_pixels
    for (low, low_s), (high, high_s) in pairwise(estimates[:2]):
        line_s = low_s - (low - pixels) * (high_s - low_s) / (high - low)
        return min(first_s, max(proportional_s, line_s))  # measured numbers need not lie on any line
    return proportional_s


def lanes_of(workers: Iterable[WorkerCard], running: Iterable[Running]) -> list[Lane]:
    """The lanes of these workers, with the work that is left of their running jobs.

    A worker that gives no estimates, as those of older versions, has none.
    """
    lanes: dict[tuple[str, str], Lane] = {}
    lane_of: dict[str, Lane] = {}
    for card in workers:
        if card.estimates:
            host = card.name.rpartition(":")[0] or card.name
            lane_of[card.name] = lanes.setdefault(
                (host, card.device), Lane(estimates=card.estimates, longest=card.longest)
            )
    for job in running:
        if lane := lane_of.get(job.worker):
            lane.busy_s += lane.takes_s(job.picture) * (1 - job.progress) if job.left_s is None else job.left_s
    return list(lanes.values())


def done_in_s(
    picture: Picture, *, before: Iterable[Picture], lanes: Sequence[Lane], each_stands_for: float = 1.0
) -> float | None:
    """Seconds until a queued picture is done, when each picture goes to the lane that is free first.

    Args:
        picture: the queued one.
        before: each picture that comes before it.
        lanes: what :func:`lanes_of` gives; left as they are.
        each_stands_for: how many pictures each one of ``before`` was picked from.

    Returns:
        None where there is no lane to measure by.
    """
    if not lanes:
        return None
    free_at_s = [lane.busy_s for lane in lanes]
    for each in before:
        first = free_at_s.index(min(free_at_s))
        free_at_s[first] += lanes[first].takes_s(each) * each_stands_for
    first = free_at_s.index(min(free_at_s))
    return free_at_s[first] + lanes[first].takes_s(picture)
