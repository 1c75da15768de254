"""(e), (g) and (h): whole pictures, file to file: what goes on around the network, growth, and estimates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.pictures import RGB, as_jpeg, of_pixels
from benchmarks.text import seconds, table
from benchmarks.timing import Spread, growth_exponent
from models import Restored, Restorer
from models.engine import upsampler
from models.engine.rows import RowStream
from models.options import RestoreOptions

OUTSCALE = 4
STAGES = ("decode", "plan", "upscale", "colours", "encode", "total")
BRIEF_S = 2.0  # shorter runs are repeated: they cost little and vary most
REPEATS = 3

Done = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Trip:
    """One picture's way, as it goes to the JSON file."""

    model: str
    picture: str
    pixels: int
    result_pixels: int
    result_bytes: int
    estimate_s: float
    seconds: dict[str, float]


def trip(restorer: Restorer, name: str, data: bytes, options: RestoreOptions) -> Trip:
    """Restore one file."""
    restored = restorer.restore(data, options)
    return as_trip(restored, name)


def as_trip(restored: Restored, name: str) -> Trip:
    """What is kept of a result."""
    (width, height), (wide, high) = restored.size_in_wh, restored.size_out_wh
    return Trip(
        model=restored.model, picture=name, pixels=width * height, result_pixels=wide * high,
        result_bytes=len(restored.data), estimate_s=restored.estimate_s, seconds=restored.seconds,
    )  # fmt: skip


def around(restorer: Restorer, name: str, picture: RGB, *, repeats: int, done: Done) -> dict[str, object]:
    """(e) for one model: the stages of a photo's way, and how much of them was the network.

    Args:
        restorer: that has the model.
        name: of the model.
        picture: the photo, sent as JPEG of quality 90 and enlarged fourfold.
        repeats: how often.
        done: called after each run.
    """
    data = as_jpeg(picture)
    options = RestoreOptions(model=name, outscale=OUTSCALE, output_format="jpeg")
    rows: list[dict[str, float]] = []
    for _ in range(repeats):
        with network_clock() as clock:
            seconds_by_stage = trip(restorer, "photo", data, options).seconds
        if not clock.seconds:
            raise RuntimeError(f"{name} is not streamed, so the time of its network is not known")
        outside = seconds_by_stage["total"] - clock.seconds
        rows.append({**seconds_by_stage, "network": clock.seconds, "around": outside, "share": outside / clock.seconds})
        done()
    return {
        "model": name,
        "size_wh": [picture.shape[1], picture.shape[0]],
        "stages": {stage: asdict(Spread.of([row[stage] for row in rows])) for stage in rows[0]},
        "samples": rows,
    }


@dataclass
class Clock:
    """Seconds that networks took."""

    seconds: float = 0.0


@contextmanager
def network_clock() -> Iterator[Clock]:
    """Time the networks of all that is restored meanwhile, whole pictures through rows of them.

    Subtracting a run of the network alone would do as well on a quiet machine; on any other the difference of two
    long times is mostly noise. A GPU is waited for, so there what it does at the same time as the host counts twice.
    """
    clock = Clock()

    class Clocked(RowStream):
        def push(self, lq: Tensor) -> Iterator[Tensor]:
            steps = super().push(lq)
            while True:
                start = time.perf_counter()
                sr = next(steps, None)
                if lq.device.type == "cuda":
                    torch.cuda.synchronize(lq.device)
                clock.seconds += time.perf_counter() - start
                if sr is None:
                    return
                yield sr

    with patch.object(upsampler, "RowStream", Clocked):
        yield clock


def growth(restorer: Restorer, name: str, picture: RGB, megapixels: Sequence[float], done: Done) -> list[Trip]:
    """(g): trips of one model through rising sizes; of brief ones the middle one of three."""
    trips = []
    options = RestoreOptions(model=name, outscale=OUTSCALE, output_format="jpeg")
    for size in megapixels:
        data = as_jpeg(of_pixels(picture, size * 1e6))
        several = [trip(restorer, f"{size} MP", data, options)]
        while len(several) < REPEATS and several[0].seconds["total"] < BRIEF_S:
            several.append(trip(restorer, f"{size} MP", data, options))
        trips.append(sorted(several, key=lambda one: one.seconds["total"])[len(several) // 2])
        done()
    return trips


def album(restorer: Restorer, files: Iterable[Path], done: Done) -> list[Trip]:
    """(h): pictures as people send them, with all choices left to the planner."""
    trips = []
    for file in files:
        trips.append(trip(restorer, file.name, file.read_bytes(), RestoreOptions()))
        done()
    return trips


def estimate_error(trips: Sequence[Trip]) -> float:
    """Median of |estimated - real| / real."""
    return float(np.median([abs(one.estimate_s - one.seconds["total"]) / one.seconds["total"] for one in trips]))


def exponents(trips: Sequence[Trip]) -> dict[str, float]:
    """With which power of the pixels the whole, and the network's stage, grow."""
    sizes = [one.pixels for one in trips]
    return {stage: growth_exponent(sizes, [one.seconds[stage] for one in trips]) for stage in ("total", "upscale")}


def stage_lines(rows: Sequence[dict[str, object]]) -> list[str]:
    """(e) as a table, medians."""
    head = ("model", *STAGES, "network", "around it", "share of the network")
    cells = [
        [
            str(row["model"]),
            *(seconds(_stage(row, stage)) for stage in (*STAGES, "network", "around")),
            f"{_stage(row, 'share'):.1%}",
        ]
        for row in rows
    ]
    return table(head, cells)


def growth_lines(trips: Sequence[Trip]) -> list[str]:
    """(g) as a table."""
    head = ("model, picture", "result, MP", "upscale, s", "total, s", "total, s/MP", "estimate, s")
    return table(
        head,
        [
            [
                f"{one.model}, {one.picture}",
                f"{one.result_pixels / 1e6:.1f}",
                seconds(one.seconds["upscale"]),
                seconds(one.seconds["total"]),
                f"{one.seconds['total'] / one.pixels * 1e6:.2f}",
                seconds(one.estimate_s),
            ]
            for one in trips
        ],
    )


def _stage(row: dict[str, object], stage: str) -> float:
    return cast("dict[str, dict[str, float]]", row["stages"])[stage]["median"]
